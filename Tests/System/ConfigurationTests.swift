// What each built program says to bad configuration, to a port that is taken, and to a signal.

import Basics
import Glibc
import HTTPServer
import JSON
import PipelineEvents
import PlaidAPI
import TestSupport
import Testing

extension SystemTests {
    @Suite struct ConfigurationTests {
        static let services =
            ["webhook-receiver", "sandbox", "embedded-broker"]
            + ReportProduct.allCases.map { ConsumerGroup(fetching: $0).rawValue }

        /// With this every program starts; nothing it names answers.
        static let sound = ServiceProcess.common.merging([
            "PLAID_CLIENT_ID": "client", "PLAID_SECRET": "secret", "PLAID_BASE_URL": "http://127.0.0.1:9",
            "ENCRYPTION_KEYS": "test:\(Base64.encode([UInt8](repeating: 7, count: 32)))",
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none",
        ]) { _, new in new }

        /// One malformed value of each variable that any of the programs reads.
        static let malformed = [
            "ADMIN_HOST": "no host", "ADMIN_PORT": "65536", "DATABASE_PREPARE": "perhaps",
            "DATABASE_URL": "postgresql://[", "ENCRYPTION_KEYS": "test:c2hvcnQ=", "EXPECTED_PRODUCTS": "everything",
            "HTTP_HOST": "no host", "HTTP_PORT": "http", "HTTP_TLS_CERT_FILE": "/nowhere/cert.pem",
            "HTTP_TLS_KEY_FILE": "/nowhere/key.pem", "KAFKA_BOOTSTRAP_SERVERS": "broker:port",
            "KAFKA_CONFIG_FILE": "/nowhere/kafka.properties", "LOG_FORMAT": "xml", "LOG_HASH_KEY": "c2hvcnQ=",
            "LOG_LEVEL": "loud", "MAX_BODY": "1MB?", "MAX_CONNECTIONS": "-1", "MAX_IN_FLIGHT": "0",
            "MAX_IN_FLIGHT_BYTES": "much", "NOT_READY_SCHEDULE": "5m,,1h", "OTEL_SERVICE_NAME": "two\nlines",
            "PLAID_BASE_URL": "gopher://plaid", "PLAID_CLIENT_ID": "", "PLAID_ENV": "development",
            "PLAID_SECRET": "", "REPORT_LIFETIME": "a day", "RETRY_BASE": "-1s", "RETRY_MAX": "5 minutes",
            "SANDBOX_FAULTS_FILE": "/nowhere/faults.json", "SANDBOX_SEED": "seven", "SANDBOX_SPEED": "10001",
            "SHUTDOWN_GRACE": "25", "TOPIC_PREFIX": "a b",
        ]

        @Test(arguments: services)
        func `every malformed variable is 78 and one line that names it`(_ program: String) async throws {
            let help = try ChildProcess(ServiceProcess.path(program), ["--help"])
            defer { help.end() }
            #expect(try await help.exit().code == 0)
            let names = help.lines.compactMap { line -> String? in
                guard line.hasPrefix("  "), let end = line.firstIndex(of: "="), !line.hasPrefix("   ") else {
                    return nil
                }
                return String(line[line.index(line.startIndex, offsetBy: 2)..<end])
            }
            #expect(names.contains("ADMIN_PORT"))
            for name in names {
                let value = try #require(Self.malformed[name], "no malformed value of \(name) is known here")
                let child = try ChildProcess(
                    ServiceProcess.path(program),
                    environment: Self.sound.merging([name: value]) { _, new in new }
                )
                defer { child.end() }
                let exit = try? await child.exit(within: .seconds(20))
                #expect(exit?.code == 78, "\(name)=\(value)\n\(child.text)")
                #expect(child.lines.count == 1, "\(name): \(child.text)")
                #expect(child.text.contains(name), "\(name): \(child.text)")
                if value.count > 3 { #expect(!child.text.contains(value), "\(child.text)") }
            }
        }

        @Test(arguments: services)
        func `a secret from a file that is not there is 78`(_ program: String) async throws {
            guard program != "embedded-broker" else { return }
            let settings = Self.sound.filter { $0.key != "PLAID_SECRET" }
            let child = try ChildProcess(
                ServiceProcess.path(program),
                environment: settings.merging(["PLAID_SECRET_FILE": "/nowhere/secret"]) { _, new in new }
            )
            defer { child.end() }
            #expect(try await child.exit().code == 78)
            #expect(child.lines.count == 1)
            #expect(child.text.contains("PLAID_SECRET_FILE"))
        }

        @Test(arguments: ["acks=0", "enable.auto.commit=true", "auto.offset.reset=latest"])
        func `a Kafka property that the promises rest on is 78`(_ property: String) async throws {
            let folder = TemporaryFolder()
            let file = folder.write(property + "\n", to: "kafka.properties")
            for program in ["webhook-receiver", "base-report-consumer"] {
                let child = try ChildProcess(
                    ServiceProcess.path(program),
                    environment: Self.sound.merging(["KAFKA_CONFIG_FILE": file]) { _, new in new }
                )
                defer { child.end() }
                #expect(try await child.exit().code == 78)
                #expect(child.lines.count == 1)
                #expect(child.text.contains("KAFKA_CONFIG_FILE"))
            }
        }

        @Test(arguments: services)
        func `a port that is taken is 69`(_ program: String) async throws {
            let holder = try HTTPServer(host: "127.0.0.1", port: 0, service: Router(routes: []))
            holder.start()
            defer { holder.stop() }
            let hasPublicListener = ["webhook-receiver", "sandbox"].contains(program)
            for name in hasPublicListener ? ["ADMIN_PORT", "HTTP_PORT"] : ["ADMIN_PORT"] {
                let child = try ChildProcess(
                    ServiceProcess.path(program),
                    environment: Self.sound.merging([name: "\(holder.port)"]) { _, new in new }
                )
                defer { child.end() }
                #expect(try await child.exit(within: .seconds(20)).code == 69, "\(child.text)")
                #expect(child.text.contains(name))
            }
        }

        /// Nothing that these programs need is there.
        @Test(arguments: services)
        func `with every dependency away it is alive, and SIGTERM ends it with 0`(_ program: String) async throws {
            let service = try ServiceProcess(program, environment: Self.sound)
            defer { service.child.end() }
            #expect(try await service.status("/health/live") == 200)
            let needsOthers = !["sandbox", "embedded-broker"].contains(program)
            if needsOthers {
                #expect(try await service.status("/health/ready") == 503)
            } else {
                try await service.untilReady()
            }
            service.child.kill(SIGTERM)
            let exit = try await service.child.exit(within: .seconds(30))
            #expect(exit.code == 0 && exit.signal == 0)
            for line in service.child.lines {
                #expect(throws: Never.self, "\(line)") { try JSON.parse(Array(line.utf8)) }
                #expect(!line.contains("secret"))
            }
        }

        @Test func `checkctl tells usage, configuration and absence apart`() async throws {
            let cases: [([String], [String: String], Int32, String)] = [
                (["conjure"], [:], 64, "conjure"),
                (["reports", "show"], [:], 64, "ID"),
                (["migrate"], ["DATABASE_URL": "postgresql://["], 78, "DATABASE_URL"),
                (["users", "list"], ["ENCRYPTION_KEYS": "nonsense"], 78, "ENCRYPTION_KEYS"),
                (["users", "list"], [:], 69, ""),
                (["migrate", "--schemas", "\(SchemaValidator.root)/schemas/postgres"], [:], 69, ""),
                (["topics", "plan"], [:], 69, ""),
            ]
            for (arguments, settings, code, word) in cases {
                let child = try ChildProcess(
                    ServiceProcess.path("checkctl"),
                    arguments,
                    environment: Self.sound.merging(settings) { _, new in new }
                )
                defer { child.end() }
                #expect(try await child.exit(within: .seconds(30)).code == code, "\(arguments): \(child.text)")
                #expect(child.text.contains(word), "\(arguments): \(child.text)")
            }
        }
    }
}
