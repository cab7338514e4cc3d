import Basics
import HTTPClient
import HTTPServer
import Kafka
import PlaidAPI
import Postgres
import TestSupport
import Testing

@testable import ServiceKit

@Suite struct FactoryTests {
    private let folder = TemporaryFolder("factories")

    private func settings(_ environment: [String: String]) throws -> Settings {
        try Settings(Setting.kafka + Setting.database, environment: environment)
    }

    @Test func `Kafka's properties come from its file`() throws {
        let file = folder.write("# comment\nsocket.keepalive.enable = true\n", to: "kafka")
        let kafka = try settings(["KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2", "KAFKA_CONFIG_FILE": file])
            .kafkaSettings(clientID: "me")
        #expect(kafka.bootstrapServers == "a:1,b:2")
        #expect(kafka.clientID == "me")
        #expect(kafka.properties.map(\.name) == ["socket.keepalive.enable"])
        #expect(try settings([:]).kafkaSettings(clientID: "me").properties.isEmpty)
    }

    @Test(arguments: [
        "acks=1", "enable.idempotence=false", "delivery.timeout.ms=1", "enable.auto.commit=true",
        "auto.offset.reset=latest", "no.such.property=hidden", "sasl.password", "socket.timeout.ms=hidden",
    ])
    func `what the promises rest on and what librdkafka does not know is refused by name`(_ line: String) throws {
        let file = folder.write("client.rack=a\n\(line)\n", to: "kafka")
        let settings = try settings(["KAFKA_CONFIG_FILE": file])
        let error = try #require(throws: ConfigurationError.self) { try settings.kafkaSettings(clientID: "me") }
        #expect(error.variable == "KAFKA_CONFIG_FILE")
        #expect(error.problem.contains("line 2"))
        #expect(!error.problem.contains("hidden"))
    }

    @Test func `a Kafka file that is missing is refused by the variable's name`() throws {
        let settings = try settings(["KAFKA_CONFIG_FILE": "\(folder.path)/none"])
        let error = #expect(throws: ConfigurationError.self) { try settings.kafkaSettings(clientID: "me") }
        #expect(error?.variable == "KAFKA_CONFIG_FILE")
    }

    @Test func `the pool's settings come from DATABASE_URL and DATABASE_PREPARE`() throws {
        let pool = try settings(["DATABASE_URL": "postgresql://h/db", "DATABASE_PREPARE": "off"])
            .poolSettings(applicationName: "me")
        #expect(pool.connectionString == "postgresql://h/db")
        #expect(pool.applicationName == "me")
        #expect(!pool.usePreparedStatements)
    }

    @Test func `Plaid is the one of PLAID_ENV unless PLAID_BASE_URL says otherwise`() throws {
        let environment = ["PLAID_CLIENT_ID": "client", "PLAID_SECRET": "secret", "PLAID_ENV": "production"]
        let plaid = try Settings(Setting.plaid, environment: environment)
        #expect(plaid.plaidEnvironment == .production)
        #expect(plaid.plaidBaseURL == "https://production.plaid.com")
        #expect(plaid.plaidCredentials.clientID == "client")
        #expect(plaid.plaidCredentials.secret.reveal() == "secret")
        #expect(!plaid.plaidHTTPClient(maxInFlight: 3).allowsPlainHTTP)
        #expect(plaid.plaidHTTPClient(maxInFlight: 3).maxInFlight == 3)
        let local = try Settings(
            Setting.plaid,
            environment: [
                "PLAID_CLIENT_ID": "c", "PLAID_SECRET": "s", "PLAID_BASE_URL": "http://127.0.0.1:8081/plaid/",
            ]
        )
        #expect(local.plaidBaseURL == "http://127.0.0.1:8081/plaid")
        #expect(local.plaidHTTPClient(maxInFlight: 3).allowsPlainHTTP)
    }

    private static let plaidFailures: [(PlaidFailure, Int32)] = {
        let away = HTTPClientError(.connect, message: "x")
        let local = HTTPClientError(.local, message: "x")
        return [
            (PlaidFailure(class: .retry(slow: false), message: "m", transport: away), 69),
            (PlaidFailure(class: .global, message: "m", transport: local), 78),
            (PlaidFailure(class: .retry(slow: true), status: 503, message: "m"), 69),
            (PlaidFailure(class: .permanent, status: 400, message: "m"), 70),
        ]
    }()

    @Test(arguments: plaidFailures)
    func `a Plaid that is away ends a command with 69`(_ failure: PlaidFailure, _ code: Int32) {
        let end = ProgramFailure(reporting: failure)
        #expect(end.code.rawValue == code)
        #expect(end.message == "Plaid: m")
    }

    @Test func `the listener's bounds follow the settings that are listed`() throws {
        let bounds = try Settings(
            [Setting.maxConnections, Setting.maxBody],
            environment: ["MAX_CONNECTIONS": "7", "MAX_BODY": "32MiB"]
        ).httpServerLimits
        #expect(bounds.maxConnections == 7)
        #expect(bounds.largeBodyBytes == 64 << 20)
        let unlisted = try Settings([], environment: [:]).httpServerLimits
        #expect(unlisted.maxConnections == HTTPServer.Limits().maxConnections)
    }

    @Test(arguments: [
        (0, Logger.Level.critical), (2, .critical), (3, .error), (4, .warning), (5, .notice), (6, .info), (7, .debug),
        (-1, .critical), (99, .debug),
    ])
    func `the levels of syslog become ours`(_ severity: Int, _ level: Logger.Level) {
        #expect(Logger.level(ofSyslog: severity) == level)
    }

    @Test func `the limit of open files is raised to what the settings need, or the start is refused`() throws {
        let keys: [any AnySettingKey] = [Setting.maxConnections, Setting.maxInFlight]
        let environment = ["MAX_CONNECTIONS": "1000", "MAX_IN_FLIGHT": "2000"]
        let need = OpenFileNeed(try Settings(keys, environment: environment))
        #expect(need.count == 200 + 1000 + 2 * 2000)
        let asked = Locked(0)
        try need.ensure { wanted in
            asked.withLock { $0 = wanted }
            return wanted
        }
        #expect(asked.withLock { $0 } == 5200)
        let error = try #require(throws: ConfigurationError.self) { try need.ensure { _ in 1024 } }
        #expect(error.variable == "MAX_IN_FLIGHT")
        #expect(error.problem.contains("5200") && error.problem.contains("1024"))
        #expect(OpenFileNeed(try Settings([Setting.maxConnections], environment: [:])).variable == "MAX_CONNECTIONS")
    }
}
