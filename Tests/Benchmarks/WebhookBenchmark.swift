// What an accepted webhook costs the receiver, saturated and at a steady rate.

import Basics
import HTTPClient
import TestSupport

struct WebhookBenchmark {
    let broker: Broker
    let unit: VerificationUnit
    let count: Int

    static let connections = 64
    static let steadyRate = 500
    static let warmUp = 2_000

    private struct Signed: Sendable {
        let body: [UInt8]
        let token: String
    }

    func run() async throws {
        let plaid = try PlaidStandIn(reportDelay: .zero)
        defer { plaid.stop() }
        let started = MonotonicClock.system.now()
        let receiver = try Programs.start(
            "webhook-receiver",
            [
                "HTTP_HOST": "127.0.0.1", "HTTP_PORT": "0", "ADMIN_PORT": "0", "LOG_LEVEL": "info",
                "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrapServers, "PLAID_BASE_URL": plaid.url,
                "PLAID_CLIENT_ID": "benchmark", "PLAID_SECRET": "benchmark",
            ]
        )
        defer { receiver.end() }
        let listening = try await receiver.line(containing: "the public listener is open")
        _ = try await receiver.line(containing: "a dependency is there")
        let ready = MonotonicClock.system.now() - started
        let atRest = try ProcessUsage.read(receiver.pid)
        let url = "http://127.0.0.1:\(try Programs.value("server.port", in: listening))/webhooks/plaid"
        let client = try HTTPClient(
            settings: HTTPClientSettings(maxInFlight: Self.connections, maxWaiting: 100_000, allowsPlainHTTP: true)
        )
        defer { client.close(grace: .zero) }

        _ = try await send(try sign(Self.warmUp, plaid), to: url, by: client)
        let webhooks = try sign(count, plaid)
        let before = try ProcessUsage.read(receiver.pid)
        let began = MonotonicClock.system.now()
        try await send(webhooks, to: url, by: client)
        let seconds = (MonotonicClock.system.now() - began).inSeconds
        let after = try ProcessUsage.read(receiver.pid)
        let cost = (after.cpuSeconds - before.cpuSeconds) / Double(count) * 1_000_000
        Console.line("")
        Console.line("webhook, saturated: \(count) over \(Self.connections) keep-alive connections")
        Console.line(
            "  \(Console.number(Double(count) / seconds))/s, \(Console.number(cost)) µs of CPU each = "
                + "\(Console.number(cost / unit.microseconds)) verifications"
        )

        let steadyCount = Self.steadyRate * 20
        let steadyWebhooks = try sign(steadyCount, plaid)
        let steadyBefore = try ProcessUsage.read(receiver.pid)
        let latencies = try await sendSteadily(steadyWebhooks, to: url, by: client)
        let steadyAfter = try ProcessUsage.read(receiver.pid)
        let steadyCost = (steadyAfter.cpuSeconds - steadyBefore.cpuSeconds) / Double(steadyCount) * 1_000_000
        Console.line("webhook, steady \(Self.steadyRate)/s for 20 s, from the scheduled time")
        Console.line(
            "  \(latencies.text); \(Console.number(steadyCost)) µs of CPU each = "
                + "\(Console.number(steadyCost / unit.microseconds)) verifications"
        )
        Console.line(
            "receiver: start to ready \(Console.number(ready.inSeconds * 1000)) ms, resident \(atRest.residentBytes >> 20) MiB "
                + "at rest, \(steadyAfter.residentBytes >> 20) MiB after \(Self.warmUp + count + steadyCount) webhooks"
        )
    }

    private func sign(_ count: Int, _ plaid: PlaidStandIn) throws -> [Signed] {
        try (0..<count).map { number in
            let body = Array(
                """
                {
                  "environment": "sandbox",
                  "failed_products": [],
                  "successful_products": [
                    "cra_base_report"
                  ],
                  "user_id": "usr_benchmark\(number)",
                  "webhook_code": "USER_CHECK_REPORT_READY",
                  "webhook_type": "CHECK_REPORT"
                }
                """.utf8
            )
            return Signed(body: body, token: try plaid.token(for: body))
        }
    }

    private func request(_ webhook: Signed, _ url: String) -> HTTPClientRequest {
        HTTPClientRequest(
            method: "POST",
            url: url,
            headers: [("Content-Type", "application/json"), ("Plaid-Verification", .plain(webhook.token))],
            body: webhook.body,
            isRepeatable: true
        )
    }

    /// As fast as the connections allow; every answer must be 200.
    private func send(_ webhooks: [Signed], to url: String, by client: HTTPClient) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let share = (webhooks.count + Self.connections - 1) / Self.connections
            for start in stride(from: 0, to: webhooks.count, by: share) {
                let part = webhooks[start..<min(webhooks.count, start + share)]
                group.addTask {
                    for webhook in part {
                        let status = try await client.send(request(webhook, url)).status
                        guard status == 200 else { throw BenchmarkFailure("a webhook was answered with \(status)") }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func sendSteadily(_ webhooks: [Signed], to url: String, by client: HTTPClient) async throws -> Latencies {
        let start = MonotonicClock.system.now() + .milliseconds(100)
        let gap = Duration.seconds(1) / Self.steadyRate
        return try await withThrowingTaskGroup(of: Duration.self) { group in
            for (number, webhook) in webhooks.enumerated() {
                let due = start + gap * number
                group.addTask {
                    try await TimerQueue.shared.sleep(until: due)
                    let status = try await client.send(request(webhook, url)).status
                    guard status == 200 else { throw BenchmarkFailure("a webhook was answered with \(status)") }
                    return MonotonicClock.system.now() - due
                }
            }
            var latencies = Latencies()
            for try await latency in group { latencies.add(latency) }
            return latencies
        }
    }
}
