// The receiver's process at its limits: signals with requests in hand, and crowds that want its memory.

import Basics
import Glibc
import HTTPClient
import Kafka
import PipelineEvents
import TestSupport
import Testing

extension SystemTests {
    @Suite struct ReceiverPressureTests {
        /// A receiver before an embedded broker, with the test as Plaid.
        private struct Bench {
            let broker: TestBroker
            let signer: WebhookSigner
            let receiver: ServiceProcess
            let port: UInt16
            static let topics = Topics(prefix: "p.")
            var url: String { "http://127.0.0.1:\(port)/webhooks/plaid" }

            static func run(_ test: (Bench) async throws -> Void) async throws {
                let broker = try await TestBroker(.embedded, prefix: topics.prefix, isOwn: true)
                defer { broker.end() }
                let signer = try WebhookSigner()
                let receiver = try ServiceProcess(
                    "webhook-receiver",
                    environment: [
                        "PLAID_CLIENT_ID": "client", "PLAID_SECRET": "secret", "PLAID_BASE_URL": signer.url,
                        "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrapServers, "TOPIC_PREFIX": topics.prefix,
                        "SHUTDOWN_GRACE": "15s",
                    ]
                )
                defer { receiver.child.end() }
                try await receiver.untilReady()
                let port = try #require(
                    UInt16(try await receiver.logged("server.port", in: "the public listener is open"))
                )
                let bench = Bench(broker: broker, signer: signer, receiver: receiver, port: port)
                // The key is known, and so are the topics.
                #expect(try await bench.send(0).status == 200)
                try await test(bench)
            }

            func send(_ number: Int) async throws -> HTTPClientResponse {
                let body = WebhookSigner.ready(number)
                let token = try signer.token(for: body)
                return try await TestHTTP.shared.send(
                    "POST",
                    url,
                    body,
                    headers: [("Plaid-Verification", .plain(token))]
                )
            }

            /// A counter of the admin port, summed over its labels.
            func count(_ series: String) async throws -> Double {
                let text = try await TestHTTP.shared.get(receiver.adminURL() + "/metrics").body.string() ?? ""
                return text.split(separator: "\n").filter { $0.hasPrefix(series) }
                    .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0, +)
            }

            /// Of the process, in bytes, by the kernel's name of it.
            func memory(_ name: String) -> Int {
                let status = TemporaryFolder.read("/proc/\(receiver.child.pid)/status") ?? []
                let line = String(decoding: status, as: UTF8.self).split(separator: "\n").first {
                    $0.hasPrefix(name + ":")
                }
                return (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 1_024
            }
        }

        // MARK: SIGTERM

        @Test(arguments: [true, false])
        func `SIGTERM with webhooks in hand: each is answered, what comes is put off, newcomers are refused, exit 0`(
            brokerReturns: Bool
        ) async throws {
            try await Bench.run { bench in
                let inHand = 32
                // Half a request, whose head has been read.
                let body = String(decoding: WebhookSigner.ready(900), as: UTF8.self)
                let half = try #require(RawConnection(port: bench.port))
                let idle = try #require(RawConnection(port: bench.port))
                let token = try bench.signer.token(for: Array(body.utf8))
                half.send(
                    "POST /webhooks/plaid HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nPlaid-Verification: \(token)"
                        + "\r\nContent-Length: \(body.utf8.count)\r\nExpect: 100-continue\r\n\r\n"
                )
                #expect(try await onThread { try half.text(until: "\r\n\r\n") }.hasPrefix("HTTP/1.1 100"))

                bench.broker.freeze()
                async let answers = forEach(Array(1...inHand), atOnce: inHand) { number in try await bench.send(number)
                }
                try await eventually("all webhooks are in hand", within: .seconds(20)) { () -> Bool? in
                    try await bench.count("check_pipeline_webhooks_received_total") >= Double(inHand + 1) ? true : nil
                }
                let signalled = MonotonicClock.system.now()
                bench.receiver.child.kill(SIGTERM)
                // The quiet connection is closed: from here on it drains.
                #expect(try await onThread { try idle.text(until: nil) }.isEmpty)
                #expect(RawConnection(port: bench.port) == nil)
                half.send(body)
                let put = try await onThread { try half.text(until: nil) }
                #expect(put.hasPrefix("HTTP/1.1 429"))
                #expect(put.lowercased().contains("\r\nconnection: close\r\n"))
                #expect(put.lowercased().contains("\r\nretry-after: "))

                if brokerReturns { bench.broker.thaw() }
                let statuses = try await answers.map(\.status)
                #expect(statuses.count == inHand)
                #expect(Set(statuses).isSubset(of: brokerReturns ? [200, 429] : [429]))
                #expect(try await bench.receiver.child.exit(within: .seconds(20)).code == 0)
                #expect(MonotonicClock.system.now() - signalled < .seconds(15))

                bench.broker.thaw()
                let records = try await TopicReader(bootstrapServers: bench.broker.bootstrapServers)
                    .records(of: Bench.topics.checkReport)
                let stored = Set(records.map { $0.keyText ?? "" })
                for (number, status) in zip(1...inHand, statuses) where status == 200 {
                    #expect(stored.contains("usr_loadtest\(number)"))
                }
                #expect(!stored.contains("usr_loadtest900"))
            }
        }

        // MARK: Memory

        /// What the issue's prototypes stayed below.
        private static let mostMemory = 50 << 20

        @Test func `hundreds of slow, large and endless requests cost little memory and no good webhook`() async throws
        {
            try await Bench.run { bench in
                let atRest = bench.memory("VmRSS")
                let head = "POST /webhooks/plaid HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                let megabyte = [UInt8](repeating: 0x20, count: 1 << 20)
                func field(_ count: Int) -> String { "X-Long: \(String(repeating: "a", count: count))\r\n" }
                let crowd = HostileCrowd(
                    port: bench.port,
                    [
                        // Nothing at all, half a request line, a header that never ends.
                        .init(members: 200, bytes: []),
                        .init(members: 100, bytes: Array("POST /web".utf8)),
                        .init(members: 200, bytes: Array((head + field(7_000)).utf8)),
                        .init(members: 20, bytes: Array((head + String(repeating: field(1_000), count: 1_000)).utf8)),
                        // Bodies that lack their last byte, and whole ones that nobody signed.
                        .init(
                            members: 100,
                            bytes: Array((head + "Content-Length: 1048576\r\n\r\n").utf8) + megabyte.dropLast()
                        ),
                        .init(
                            members: 50,
                            bytes: Array((head + "Transfer-Encoding: chunked\r\n\r\n100000\r\n").utf8)
                                + megabyte.dropLast()
                        ),
                        .init(members: 10, bytes: Array((head + "Content-Length: 1048576\r\n\r\n").utf8) + megabyte),
                    ]
                )
                defer { crowd.end() }
                let load = try ObligationLoad(signer: bench.signer, url: bench.url, connections: 16, perSecond: 100)
                async let sending: Void = load.run()
                do {
                    // Longer than a body may take, so that the crowd is thrown out and comes again.
                    try await load.until(1_200, "answers 200", within: .seconds(120)) { $0.status == 200 }
                    // Large ones among the good share their room with the crowd's: they wait for its end.
                    crowd.end()
                    try await load.settle(within: .seconds(60))
                    try await sending
                } catch {
                    load.stop()
                    throw error
                }
                let (peak, open) = (bench.memory("VmHWM"), bench.memory("VmRSS"))
                let records = try await TopicReader(bootstrapServers: bench.broker.bootstrapServers)
                    .records(of: Bench.topics.webhooks)
                let audit = ObligationAudit(
                    load.attempts,
                    records.mapValues { $0.filter { $0.keyText != "usr_loadtest0" } },
                    topics: Bench.topics
                )
                print(
                    "hostile load: \(crowd.connections) connections of a crowd of 680; resident \(atRest >> 20) MiB at rest, "
                        + "\(peak >> 20) MiB at most, \(open >> 20) MiB at the end; \(audit)"
                )
                #expect(audit.faults.isEmpty, "\(audit.faults.prefix(20))")
                #expect(audit.slowest < .seconds(5))
                #expect(audit.count(nil) == 0)
                #expect(crowd.connections > 680)
                #expect(peak > 0)
                #expect(peak < Self.mostMemory)
                #expect(try await bench.receiver.stop() == 0)
            }
        }
    }
}
