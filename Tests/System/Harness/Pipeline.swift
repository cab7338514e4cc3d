// The whole system as real processes, for one test: broker, database, Plaid in a box, receiver and consumers.

import Basics
import HTTPClient
import JSON
import Kafka
import PipelineEvents
import PlaidAPI
import TestSupport

/// What a test wants of its pipeline.
struct PipelineOptions: Sendable {
    var broker = BrokerKind.best
    /// Brokers of the test's own, because it stops them.
    var ownsBroker = false
    /// A database server of the test's own, because it stops it.
    var ownsPostgres = false
    /// Plaid's generation times, retry ladder and expiry run this much faster.
    var speed = 100
    var consumers = ReportProduct.allCases
    /// Added to the consumers' environment.
    var consumerSettings: [String: String] = [:]
}

/// Everything a test needs to talk to its pipeline. Topics, groups and database are its own.
final class Pipeline: Sendable {
    let broker: TestBroker
    let postgres: PostgresServer
    let database: String
    let topics: Topics
    let sandbox: SandboxClient
    let receiver: ServiceProcess
    let webhookURL: String
    private let consumers: Locked<[ReportProduct: ServiceProcess]>
    private let processes: Locked<[ServiceProcess]>
    private let environment: [String: String]
    private let consumerSettings: [String: String]
    private let folder: TemporaryFolder

    static let plaidClientID = "client-of-tests"
    static let plaidSecret = "secret-of-tests"
    /// A group forgets a killed member after this: the least that brokers take.
    private static let consumerProperties = "session.timeout.ms=6000\nheartbeat.interval.ms=500\n"

    /// Starts everything, runs the test, and stops everything however it ends.
    static func run(_ options: PipelineOptions = PipelineOptions(), _ test: (Pipeline) async throws -> Void)
        async throws
    {
        let pipeline = try await Pipeline(options)
        defer { pipeline.end() }
        for product in options.consumers { try pipeline.startConsumer(product) }
        do {
            try await pipeline.receiver.untilReady()
            for product in options.consumers { try await pipeline.consumer(product).untilReady() }
            try await test(pipeline)
        } catch {
            await pipeline.keepEvidence()
            throw error
        }
    }

    /// What a person asks first when something is missing: what the sandbox sent and served, what each program counted.
    private func keepEvidence() async {
        guard let logs = KeptLogs.current else { return }
        let truth = try? await TestHTTP.shared.get(sandbox.url + "/_sandbox/truth")
        logs.add(truth?.body.string() ?? "no answer", as: "sandbox-truth.json")
        let rows = try? await rows("select user_id, product, report_id, covers_received_at, stored_at from reports")
        logs.add((rows ?? []).map { $0.joined(separator: " ") }.joined(separator: "\n"), as: "reports.txt")
        for process in processes.withLock({ $0 }) where process.child.isRunning {
            let metrics = try? await TestHTTP.shared.get(process.adminURL() + "/metrics")
            logs.add(metrics?.body.string() ?? "no answer", as: "\(process.name)-metrics.txt")
        }
    }

    private init(_ options: PipelineOptions) async throws {
        let prefix = "t\(UInt64.random(in: 0...UInt64.max))."
        topics = Topics(prefix: prefix)
        postgres = options.ownsPostgres ? try await PostgresServer.start() : try await PostgresServer.shared()
        let url = try await postgres.freshDatabase()
        database = String(url[url.index(after: url.lastIndex(of: "/") ?? url.startIndex)...])
        broker = try await TestBroker(options.broker, prefix: prefix, isOwn: options.ownsBroker)
        folder = TemporaryFolder("check-pipeline-system")
        consumerSettings = [
            "KAFKA_CONFIG_FILE": folder.write(Self.consumerProperties, to: "kafka.properties"), "RETRY_BASE": "100ms",
            "RETRY_MAX": "1s", "NOT_READY_SCHEDULE": "500ms", "SHUTDOWN_GRACE": "20s",
        ].merging(options.consumerSettings) { _, new in new }
        let plaid = ["PLAID_CLIENT_ID": Self.plaidClientID, "PLAID_SECRET": Self.plaidSecret]
        let sandbox = try ServiceProcess(
            "sandbox",
            environment: plaid.merging(["SANDBOX_SPEED": "\(options.speed)"]) { _, new in new }
        )
        let plaidURL = try await sandbox.publicURL()
        self.sandbox = SandboxClient(url: plaidURL)
        environment = plaid.merging(
            [
                "PLAID_ENV": "sandbox", "PLAID_BASE_URL": plaidURL, "DATABASE_URL": url, "TOPIC_PREFIX": prefix,
                "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrapServers,
                "ENCRYPTION_KEYS": "test:\(Base64.encode([UInt8](repeating: 7, count: 32)))",
                "LOG_HASH_KEY": Base64.encode([UInt8](repeating: 8, count: 32)),
            ]
        ) { _, new in new }
        receiver = try ServiceProcess("webhook-receiver", environment: environment)
        webhookURL = try await receiver.publicURL() + "/webhooks/plaid"
        consumers = Locked([:])
        processes = Locked([sandbox, receiver])
        try await checkctl(["migrate", "--schemas", "\(SchemaValidator.root)/schemas/postgres"])
        if options.broker == .kafka {
            try await checkctl(["topics", "apply", "--partitions", "6", "--replication", "1"])
        }
    }

    private func end() {
        for process in processes.withLock({ $0 }) { process.child.end() }
        broker.end()
    }

    // MARK: Consumers

    static func program(_ product: ReportProduct) -> String { ConsumerGroup(fetching: product).rawValue }

    @discardableResult
    func startConsumer(_ product: ReportProduct, _ settings: [String: String] = [:]) throws -> ServiceProcess {
        let all = environment.merging(consumerSettings) { _, new in new }.merging(settings) { _, new in new }
        let process = try ServiceProcess(Self.program(product), environment: all)
        consumers.withLock { $0[product] = process }
        processes.withLock { $0.append(process) }
        return process
    }

    func consumer(_ product: ReportProduct) throws -> ServiceProcess {
        guard let process = consumers.withLock({ $0[product] }) else {
            throw TimedOut(description: "there is no consumer of \(product.rawValue)")
        }
        return process
    }

    func group(_ product: ReportProduct) -> ConsumerGroup { ConsumerGroup(fetching: product) }

    /// What one product's consumer reads.
    func sources(_ product: ReportProduct) -> [String] {
        [topics.checkReport, topics.retry(group: group(product))]
    }

    // MARK: Looking at the outcome

    var reader: TopicReader { TopicReader(bootstrapServers: broker.bootstrapServers) }

    func rows(_ query: String) async throws -> [[String]] {
        try await postgres.sql(query, database: database).filter { !$0.isEmpty }.map { line in
            line.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        }
    }

    func count(_ table: String, where condition: String = "true") async throws -> Int {
        let rows = try await rows("select count(*) from \(table) where \(condition)")
        return rows.first?.first.flatMap { Int($0) } ?? 0
    }

    /// Waits until that many reports stand in the database.
    func untilStored(_ wanted: Int, where condition: String = "true", within limit: Duration = .seconds(120))
        async throws
    {
        let seen = Locked(0)
        do {
            try await eventually("\(wanted) rows in reports", within: limit, every: .milliseconds(200)) { () -> Bool? in
                let count = try await count("reports", where: condition)
                seen.withLock { $0 = count }
                return count >= wanted ? true : nil
            }
        } catch {
            let dead = (try? await count("dead_letters")).map { "\($0)" } ?? "an unknown number of"
            throw TimedOut(description: "\(error); there were \(seen.withLock { $0 }), and \(dead) dead letters")
        }
    }

    /// Waits until the product's group has finished everything in its topics.
    func untilNoLag(_ product: ReportProduct, within limit: Duration = .seconds(60)) async throws {
        let group = topics.groupID(group(product))
        try await eventually("\(group) has no lag", within: limit, every: .milliseconds(250)) { () -> Bool? in
            try await reader.lag(of: group, in: sources(product)) == 0 ? true : nil
        }
    }

    // MARK: checkctl

    /// Runs the command line to its end and returns its lines; any exit code but 0 is an error that shows them.
    @discardableResult
    func checkctl(_ arguments: [String], input: String? = nil) async throws -> [String] {
        let child = try ChildProcess(
            ServiceProcess.path("checkctl"),
            arguments,
            environment: environment,
            standardInput: input != nil
        )
        defer { child.end() }
        if let input { child.write(input) }
        child.closeInput()
        let exit = try await child.exit(within: .seconds(60))
        guard exit.code == 0 else {
            throw TimedOut(description: "checkctl \(arguments.joined(separator: " ")): \(exit)\n\(child.text)")
        }
        return child.lines
    }
}
