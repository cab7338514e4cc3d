// A 200 is a promise: held against real brokers that die, stop and fall silent, by a receiver that is killed meanwhile.

import Basics
import Glibc
import HTTPClient
import Kafka
import PipelineEvents
import TestSupport
import Testing

extension SystemTests {
    @Suite struct ReceiverObligationTests {
        private static let isLong = ProcessEnvironment.value("CHECK_PIPELINE_LONG_TESTS") != nil

        enum Trouble: CaseIterable, Sendable {
            case receiverKilled
            case brokerFrozen
            case brokerKilled
            case brokerCutOff
            case connectionsReset
            /// The receiver dies with webhooks in hand that no broker has taken.
            case receiverKilledInTheDark
            /// Two of three: fewer replicas in sync than a write needs.
            case majorityKilled
        }

        @Test(.enabled(if: KafkaServer.isAvailable))
        func `on one broker every 200 is in the topic, intact, and nothing that was not sent`() async throws {
            try await Run.start(nodes: 1) { run in
                for trouble in Trouble.allCases where trouble != .majorityKilled {
                    try await run.endure(trouble, node: 1)
                }
            }
        }

        @Test(.enabled(if: KafkaServer.isAvailable && isLong))
        func `on three brokers, for two minutes, too`() async throws {
            try await Run.start(nodes: 3) { run in
                var random = SeededGenerator(seed: 6)
                let end = soon(.seconds(120))
                while MonotonicClock.system.now() < end {
                    for trouble in Trouble.allCases.shuffled(using: &random) {
                        try await run.endure(trouble, node: .random(in: 1...3, using: &random))
                    }
                }
            }
        }

        /// A receiver behind relays, under load, between the troubles a test makes.
        private final class Run: Sendable {
            private let kafka: KafkaServer
            private let nodes: Int
            private let settings: [String: String]
            private let receiver: Locked<ServiceProcess>
            private let load: ObligationLoad
            private let recoveries = Locked<[(Trouble, Duration)]>([])
            private static let topics = Topics(prefix: "o.")
            /// What the contract grants after a broker's return.
            private static let recoveryLimit = Duration.seconds(10)

            static func start(nodes: Int, _ troubles: (Run) async throws -> Void) async throws {
                let kafka = try await KafkaServer(nodes: nodes, hasRelays: true)
                let signer = try WebhookSigner()
                let port = try FreePorts.take(1)[0]
                let settings = [
                    "PLAID_CLIENT_ID": "client", "PLAID_SECRET": "secret", "PLAID_BASE_URL": signer.url,
                    "KAFKA_BOOTSTRAP_SERVERS": kafka.relayedBootstrapServers, "TOPIC_PREFIX": topics.prefix,
                    "HTTP_PORT": "\(port)",
                ]
                try await makeTopics(settings, replication: nodes)
                let receiver = try ServiceProcess("webhook-receiver", environment: settings)
                let run = Run(
                    kafka: kafka,
                    nodes: nodes,
                    settings: settings,
                    receiver: receiver,
                    load: try ObligationLoad(
                        signer: signer,
                        url: "http://127.0.0.1:\(port)/webhooks/plaid",
                        connections: 64,
                        perSecond: 400
                    )
                )
                defer { run.receiver.withLock { $0 }.child.end() }
                try await receiver.untilReady()
                let began = MonotonicClock.system.now()
                async let sending: Void = run.load.run()
                do {
                    try await run.untilStored(500, within: .seconds(60))
                    try await troubles(run)
                    try await run.untilStored(500, within: .seconds(60))
                    try await run.load.settle(within: .seconds(120))
                    try await sending
                } catch {
                    run.load.stop()
                    throw error
                }
                try await run.judge(MonotonicClock.system.now() - began)
            }

            private init(
                kafka: KafkaServer,
                nodes: Int,
                settings: [String: String],
                receiver: ServiceProcess,
                load: ObligationLoad
            ) {
                self.kafka = kafka
                self.nodes = nodes
                self.settings = settings
                self.receiver = Locked(receiver)
                self.load = load
            }

            private static func makeTopics(_ settings: [String: String], replication: Int) async throws {
                let child = try ChildProcess(
                    ServiceProcess.path("checkctl"),
                    ["topics", "apply", "--partitions", "3", "--replication", "\(replication)"],
                    environment: settings
                )
                defer { child.end() }
                let exit = try await child.exit(within: .seconds(60))
                if exit.code != 0 { throw TimedOut(description: child.text) }
            }

            // MARK: Troubles

            func endure(_ trouble: Trouble, node: Int) async throws {
                switch trouble {
                case .receiverKilled:
                    try await restartReceiver()
                    try await untilStored(200, within: .seconds(60))
                case .connectionsReset:
                    kafka.reset(node: node)
                    try await untilStored(200, within: .seconds(60))
                case .brokerFrozen:
                    kafka.freeze(node: node)
                    try await untilFelt()
                    try await untilBack(trouble) { kafka.thaw(node: node) }
                case .brokerCutOff:
                    kafka.cut(node: node)
                    try await untilFelt()
                    if nodes == 1 { try await healthInTheDark() }
                    try await untilBack(trouble) { kafka.mend(node: node) }
                case .brokerKilled:
                    try await kafka.kill(node: node)
                    try await untilFelt()
                    try await untilBack(trouble) { try await kafka.restart(node: node) }
                case .receiverKilledInTheDark:
                    kafka.freeze(node: node)
                    try await untilFelt()
                    try await restartReceiver()
                    try await untilFelt()
                    try await untilBack(trouble) { kafka.thaw(node: node) }
                case .majorityKilled:
                    let other = node % nodes + 1
                    try await kafka.kill(node: node)
                    try await kafka.kill(node: other)
                    try await untilPostponed(16)
                    try await kafka.restart(node: node)
                    try await untilBack(trouble) { try await kafka.restart(node: other) }
                }
            }

            /// A cluster of one is away as a whole; one of three is either missed or not, and soon others lead.
            private func untilFelt() async throws {
                if nodes == 1 {
                    try await untilPostponed(16)
                } else {
                    try await load.until(400, "answers", within: .seconds(60)) { _ in true }
                }
            }

            private func untilPostponed(_ count: Int) async throws {
                try await load.until(count, "answers 429", within: .seconds(60)) { $0.status == 429 }
            }

            private func untilStored(_ count: Int, within limit: Duration) async throws {
                try await load.until(count, "answers 200", within: limit) { $0.status == 200 }
            }

            /// Ends a trouble and waits for the first 200 to a webhook sent after it.
            private func untilBack(_ trouble: Trouble, _ end: () async throws -> Void) async throws {
                try await end()
                let returned = MonotonicClock.system.now()
                try await load.until(1, "200 after \(trouble)", within: .seconds(60)) {
                    $0.status == 200 && $0.sentAt > returned
                }
                recoveries.withLock { $0.append((trouble, MonotonicClock.system.now() - returned)) }
            }

            private func restartReceiver() async throws {
                try await receiver.withLock { $0 }.kill()
                let next = try ServiceProcess("webhook-receiver", environment: settings)
                receiver.withLock { $0 = next }
                _ = try await next.publicURL()
            }

            /// The admin port says what is; the public one keeps the balancer from answering in the receiver's place.
            private func healthInTheDark() async throws {
                let receiver = receiver.withLock { $0 }
                let open = try await receiver.publicURL()
                try await eventually("the admin port says not ready", within: .seconds(20)) { () -> Bool? in
                    try await receiver.status("/health/ready") == 503 ? true : nil
                }
                #expect(try await receiver.status("/health/live") == 200)
                #expect(try await TestHTTP.shared.get(open + "/health/ready").status == 200)
                #expect(try await TestHTTP.shared.get(open + "/health/live").status == 200)
            }

            // MARK: Judgement

            private func judge(_ took: Duration) async throws {
                let found = try await TopicReader(bootstrapServers: kafka.bootstrapServers)
                    .records(of: Self.topics.webhooks, within: .seconds(120))
                let audit = ObligationAudit(load.attempts, found, topics: Self.topics)
                let recoveries = recoveries.withLock { $0 }
                print("obligation, \(nodes) broker(s), \(Int(took.inSeconds)) s: \(audit)")
                print("back to 200: " + recoveries.map { "\($0.0) \($0.1.inMilliseconds) ms" }.joined(separator: ", "))
                #expect(audit.faults.isEmpty, "\(audit.faults.count): \(audit.faults.prefix(20))")
                #expect(audit.slowest < .seconds(5))
                for (trouble, took) in recoveries { #expect(took < Self.recoveryLimit, "after \(trouble)") }
                // A run in which nothing went wrong, or nothing was forged, would prove nothing.
                #expect(audit.count(200) > 1_000)
                #expect(audit.count(429) > 0)
                #expect(audit.count(401) > 0)
                #expect(audit.count(nil) > 0)
            }
        }
    }
}
