// What a stored report of 60 KB costs its consumer: fetched after 200 ms, hashed, parsed, stored, announced, committed.

import Basics
import Kafka
import PipelineEvents
import PlaidAPI
import TestSupport

struct ReportBenchmark {
    let broker: Broker
    let unit: VerificationUnit
    let count: Int

    static let inFlight = 256
    static let delay = Duration.milliseconds(200)

    func run() async throws {
        let plaid = try PlaidStandIn(reportDelay: Self.delay)
        defer { plaid.stop() }
        let postgres = try await PostgresServer.start(PostgresServer.Options(fsync: true))
        let database = try await postgres.freshDatabase()
        let environment = [
            "ADMIN_PORT": "0", "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrapServers, "DATABASE_URL": database,
            "PLAID_BASE_URL": plaid.url, "PLAID_CLIENT_ID": "benchmark", "PLAID_SECRET": "benchmark",
            "ENCRYPTION_KEYS": "b:\(Base64.encode([UInt8](repeating: 7, count: 32)))",
            "MAX_IN_FLIGHT": "\(Self.inFlight)", "LOG_LEVEL": "warning",
        ]
        let schemas = String(#filePath.dropLast("/Tests/Benchmarks/ReportBenchmark.swift".count)) + "/schemas/postgres"
        let migrate = try ChildProcess(
            "\(ProcessEnvironment.executableFolder)/checkctl",
            ["migrate", "--schemas", schemas],
            environment: environment
        )
        guard try await migrate.exit().code == 0 else { throw BenchmarkFailure("checkctl migrate: \(migrate.text)") }
        try await publish()
        let consumer = try Programs.start("base-report-consumer", environment)
        defer { consumer.end() }
        // The first tenth warms up; what is measured lies between it and the last row.
        let warm = count / 10
        try await rows(atLeast: warm, database, postgres)
        let before = try ProcessUsage.read(consumer.pid)
        let stored = try await rowCount(postgres, database)
        let began = MonotonicClock.system.now()
        try await rows(atLeast: count, database, postgres)
        let seconds = (MonotonicClock.system.now() - began).inSeconds
        let after = try ProcessUsage.read(consumer.pid)
        let measured = count - stored
        let cost = (after.cpuSeconds - before.cpuSeconds) / Double(measured) * 1_000_000
        let ideal = Double(Self.inFlight) / Self.delay.inSeconds
        Console.line("")
        Console.line(
            "report of 60 KB: \(measured) of \(count), \(Self.inFlight) in flight, upstream answers after 200 ms"
        )
        Console.line(
            "  \(Console.number(Double(measured) / seconds))/s of \(Console.number(ideal))/s possible, "
                + "\(Console.number(cost)) µs of CPU each in the consumer = \(Console.number(cost / unit.microseconds)) verifications"
        )
        Console.line("consumer: resident \(after.residentBytes >> 20) MiB, peak \(after.peakBytes >> 20) MiB")
        try await postgres.stop()
    }

    /// READY webhooks of as many users as reports, straight onto the topic.
    private func publish() async throws {
        let producer = try Producer(
            settings: KafkaSettings(bootstrapServers: broker.bootstrapServers, clientID: "benchmarks"),
            tuning: .standard
        )
        defer { producer.close(until: MonotonicClock.system.now() + .seconds(5)) }
        let topics = Topics(prefix: "")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count {
                let user = "usr_report\(number)"
                let body = Bytes(
                    utf8:
                        "{\"webhook_type\":\"CHECK_REPORT\",\"webhook_code\":\"USER_CHECK_REPORT_READY\",\"user_id\":\"\(user)\","
                        + "\"successful_products\":[\"cra_base_report\"],\"environment\":\"sandbox\"}"
                )
                let received = Array(WallClock.system.now().rfc3339(fractionDigits: 6).utf8)
                group.addTask {
                    _ = try await producer.publish(
                        ProducerRecord(
                            topic: topics.checkReport,
                            key: Array(user.utf8),
                            value: body,
                            headers: [KafkaHeader(name: "received-at", value: received)]
                        )
                    )
                }
                if number % 1_000 == 999 { try await group.waitForAll() }
            }
            try await group.waitForAll()
        }
    }

    private func rowCount(_ postgres: PostgresServer, _ database: String) async throws -> Int {
        let name = database.split(separator: "/").last?.split(separator: "?").first.map(String.init) ?? "postgres"
        return try await postgres.sql("select count(*) from reports", database: name).first.flatMap { Int($0) } ?? 0
    }

    /// Looks at the table ten times a second; an end within three minutes or an error.
    private func rows(atLeast wanted: Int, _ database: String, _ postgres: PostgresServer) async throws {
        let deadline = MonotonicClock.system.now() + .seconds(180)
        while try await rowCount(postgres, database) < wanted {
            guard MonotonicClock.system.now() < deadline else {
                throw BenchmarkFailure("\(wanted) reports were not stored within three minutes")
            }
            try await TimerQueue.shared.sleep(for: .milliseconds(100))
        }
    }
}
