// The receiver's promise under a broker that stops, dies and comes back, and while it drains.

import Basics
import HTTPClient
import Kafka
import PipelineEvents
import TestSupport
import Testing

extension SystemTests {
    @Suite struct ReceiverTests {
        /// A receiver alone, with a broker of its own and the test as Plaid.
        private struct Bench {
            let broker: TestBroker
            let signer: WebhookSigner
            let receiver: ServiceProcess
            let url: String
            let topics = Topics(prefix: "r.")

            static func run(_ kind: BrokerKind, _ test: (Bench) async throws -> Void) async throws {
                let broker = try await TestBroker(kind, prefix: "r.", isOwn: true)
                defer { broker.end() }
                let signer = try WebhookSigner()
                let settings = ConfigurationTests.sound.merging([
                    "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrapServers, "TOPIC_PREFIX": "r.",
                    "PLAID_BASE_URL": signer.url,
                ]) { _, new in new }
                if kind == .kafka { try await applyTopics(settings) }
                let receiver = try ServiceProcess("webhook-receiver", environment: settings)
                defer { receiver.child.end() }
                try await receiver.untilReady()
                let url = try await receiver.publicURL() + "/webhooks/plaid"
                try await test(Bench(broker: broker, signer: signer, receiver: receiver, url: url))
            }

            private static func applyTopics(_ settings: [String: String]) async throws {
                let child = try ChildProcess(
                    ServiceProcess.path("checkctl"),
                    ["topics", "apply", "--partitions", "3", "--replication", "1"],
                    environment: settings
                )
                defer { child.end() }
                let exit = try await child.exit(within: .seconds(60))
                if exit.code != 0 { throw TimedOut(description: child.text) }
            }

            /// The numbers of the webhooks that lie in the topic.
            func stored() async throws -> Set<Int> {
                let records = try await TopicReader(bootstrapServers: broker.bootstrapServers)
                    .records(of: topics.checkReport)
                return Set(
                    records.compactMap { record in
                        guard let text = record.keyText, text.hasPrefix("usr_loadtest") else { return nil }
                        return Int(text.dropFirst("usr_loadtest".count))
                    }
                )
            }
        }

        enum Trouble: String, CaseIterable, CustomTestStringConvertible {
            case frozen, killed
            var testDescription: String { rawValue }

            /// The embedded broker forgets everything when it is killed.
            static var possible: [Trouble] { BrokerKind.best == .kafka ? allCases : [.frozen] }
        }

        @Test(arguments: Trouble.possible)
        func `every 200 is in the topic though the broker goes away under load`(_ trouble: Trouble) async throws {
            try await Bench.run(.best) { bench in
                let load = WebhookLoad(signer: bench.signer, url: bench.url)
                async let sent: Void = load.run(connections: 8)
                try await load.untilAnswers("a hundred 200", within: .seconds(60)) { answers in
                    answers.count { $0.status == 200 } >= 100
                }
                switch trouble {
                case .frozen: bench.broker.freeze()
                case .killed: try await bench.broker.kill()
                }
                try await load.untilAnswers("sixteen 429", within: .seconds(60)) { answers in
                    answers.count { $0.status == 429 } >= 16
                }
                let returnBegan: MonotonicInstant
                switch trouble {
                case .frozen:
                    returnBegan = MonotonicClock.system.now()
                    bench.broker.thaw()
                case .killed:
                    try await bench.broker.restart()
                    returnBegan = MonotonicClock.system.now()
                }
                try await load.untilAnswers("200 again", within: .seconds(30)) { answers in
                    answers.contains { $0.status == 200 && $0.answeredAt > returnBegan }
                }
                let back = try #require(
                    load.answers.filter { $0.status == 200 && $0.answeredAt > returnBegan }.map(\.answeredAt).min()
                )
                #expect(back - returnBegan < .seconds(10))
                try await load.untilAnswers("a hundred more 200", within: .seconds(60)) { answers in
                    answers.count { $0.status == 200 && $0.answeredAt > back } >= 100
                }
                load.stop()
                try await sent

                let answers = load.answers
                #expect(Set(answers.map(\.status)) == [200, 429])
                #expect(answers.allSatisfy { $0.took < .seconds(5) }, "\(answers.map(\.took).max() ?? .zero)")
                #expect(answers.allSatisfy { $0.status == 200 || $0.retryAfter != nil })
                let stored = try await bench.stored()
                let missing = answers.filter { $0.status == 200 && !stored.contains($0.number) }
                #expect(missing.isEmpty, "\(missing.count) webhooks were answered 200 and are not in the topic")
            }
        }

        @Test func `drains on SIGTERM: what it took is answered and stored, and it ends with 0`() async throws {
            try await Bench.run(.best) { bench in
                let load = WebhookLoad(signer: bench.signer, url: bench.url)
                async let sent: Void = load.run(connections: 16)
                try await load.untilAnswers("a hundred 200", within: .seconds(60)) { answers in
                    answers.count { $0.status == 200 } >= 100
                }
                async let code = bench.receiver.stop()
                // Once the listener is gone every further one is refused.
                try await load.untilAnswers("a connection refused", within: .seconds(40)) { answers in
                    answers.contains { $0.status == nil }
                }
                load.stop()
                try await sent
                #expect(try await code == 0)
                let answers = load.answers
                #expect(Set(answers.compactMap(\.status)).isSubset(of: [200, 429]))
                let stored = try await bench.stored()
                #expect(answers.allSatisfy { $0.status != 200 || stored.contains($0.number) })
            }
        }

        @Test func `a forged signature is 401 and reaches no topic, a genuine one is 200 once per key`() async throws {
            try await Bench.run(.best) { bench in
                let body = WebhookSigner.ready(7)
                let good = try bench.signer.token(for: body)
                let other = try bench.signer.token(for: WebhookSigner.ready(8))
                let old = try bench.signer.token(for: body, issuedAt: WallClock.system.now() - .seconds(301))
                var bodies: Set<[UInt8]> = []
                for token in [other, old, String(good.dropLast(4)) + "AAAA", "a.b.c", ""] {
                    let answer = try await TestHTTP.shared.send(
                        "POST",
                        bench.url,
                        body,
                        headers: [("Plaid-Verification", .plain(token))]
                    )
                    #expect(answer.status == 401)
                    bodies.insert(answer.body.array)
                }
                // One body for all of them: no oracle.
                #expect(bodies.count == 1)
                #expect(try await bench.stored().isEmpty)
                let answer = try await TestHTTP.shared.send(
                    "POST",
                    bench.url,
                    body,
                    headers: [("Plaid-Verification", .plain(good))]
                )
                #expect(answer.status == 200)
                #expect(answer.body.isEmpty)
                #expect(try await bench.stored() == [7])
            }
        }
    }
}
