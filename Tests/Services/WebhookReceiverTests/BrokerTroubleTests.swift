// What the receiver answers to each trouble a broker can have, with the real Kafka client between them.

import Basics
import Cryptography
import HTTPClient
import HTTPServer
import Kafka
import PipelineEvents
import PlaidAPI
import ServiceKit
import Testing

@testable import WebhookReceiver

@Suite struct BrokerTroubleTests {
    /// Kafka's codes, as brokers answer a produce request with them.
    enum Refusal: Int32, CaseIterable, CustomTestStringConvertible {
        case unknownTopicOrPartition = 3
        case leaderNotAvailable = 5
        case notLeaderForPartition = 6
        case messageTooLarge = 10
        case notEnoughReplicas = 19
        case notEnoughReplicasAfterAppend = 20
        case topicAuthorizationFailed = 29
        case clusterAuthorizationFailed = 31
        case policyViolation = 44
        /// What a client sees of a full disk.
        case storageError = 56
        case invalidRecord = 87

        var testDescription: String { "\(self)" }

        /// These pass when asked again, within the time an answer may take.
        static let passing: [Refusal] = [
            .leaderNotAvailable, .notLeaderForPartition, .notEnoughReplicas, .notEnoughReplicasAfterAppend,
            .storageError,
        ]
    }

    @Test(arguments: Refusal.allCases)
    func `a refusal that lasts is 429 in time, and 200 comes back when it ends`(_ refusal: Refusal) async throws {
        try await Bench.run { bench in
            try await bench.store()
            bench.cluster.pushRequestErrors(.produce, Array(repeating: refusal.rawValue, count: 10_000))
            for _ in 0..<2 { try await bench.sendInVain() }
            bench.cluster.clearRequestErrors(.produce)
            try await bench.recovers()
        }
    }

    @Test(arguments: Refusal.passing)
    func `a refusal that passes is not seen outside`(_ refusal: Refusal) async throws {
        try await Bench.run { bench in
            try await bench.store()
            bench.cluster.pushRequestErrors(.produce, Array(repeating: refusal.rawValue, count: 3))
            try await bench.store()
        }
    }

    enum Absence: CaseIterable {
        case down, silent, topicMissing
    }

    @Test(arguments: Absence.allCases)
    func `a broker or a topic that is away is 429 in time and not ready, and 200 and ready when it is back`(
        _ absence: Absence
    ) async throws {
        try await Bench.run { bench in
            try await bench.store()
            try await bench.until("ready") { $0.isPassing }
            let topics = bench.topics.webhooks
            switch absence {
            case .down: bench.cluster.setBroker(1, isUp: false)
            case .silent: bench.cluster.setRoundTripTime(.seconds(60), ofBroker: 1)
            case .topicMissing:
                let code = Refusal.unknownTopicOrPartition.rawValue
                for topic in topics { bench.cluster.setTopicError(topic, code) }
                bench.cluster.pushRequestErrors(.produce, Array(repeating: code, count: 10_000))
            }
            for _ in 0..<2 { try await bench.sendInVain() }
            try await bench.until("not ready") { !$0.isPassing }
            switch absence {
            case .down: bench.cluster.setBroker(1, isUp: true)
            case .silent: bench.cluster.setRoundTripTime(.zero, ofBroker: 1)
            case .topicMissing:
                for topic in topics { bench.cluster.setTopicError(topic, 0) }
                bench.cluster.clearRequestErrors(.produce)
            }
            try await bench.recovers()
            try await bench.until("ready again") { $0.isPassing }
        }
    }

    @Test func `a leader that moves costs no webhook`() async throws {
        try await Bench.run(brokers: 2) { bench in
            for round in 0..<6 {
                let leader = Int32(round % 2 + 1)
                for topic in bench.topics.webhooks {
                    bench.cluster.setLeader(leader, of: TopicPartition(topic: topic, partition: 0))
                }
                try await bench.store()
            }
        }
    }

    @Test func `a slow broker is waited for`() async throws {
        try await Bench.run { bench in
            try await bench.store()
            bench.cluster.setRoundTripTime(.seconds(1), ofBroker: 1)
            let (status, took) = try await bench.timed()
            #expect(status == 200)
            #expect(took >= .seconds(1))
        }
    }

    @Test func `a broker away at start is waited for, and no restart is needed`() async throws {
        try await Bench.run(isUpAtStart: false) { bench in
            for _ in 0..<2 { try await bench.sendInVain() }
            bench.cluster.setBroker(1, isUp: true)
            try await bench.recovers()
        }
    }

    @Test func `a full queue is 429 at once, and it empties by itself`() async throws {
        var tuning = Producer.Tuning.receiver
        tuning.queueMaxMessages = 4
        try await Bench.run(tuning: tuning) { bench in
            try await bench.store()
            bench.cluster.setRoundTripTime(.seconds(60), ofBroker: 1)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<64 { group.addTask { try await bench.send().status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses == Array(repeating: 429, count: 64))
            bench.cluster.setRoundTripTime(.zero, ofBroker: 1)
            try await bench.recovers()
        }
    }

    // MARK: The receiver of these tests

    /// The service on a real listener, with the real producer and a cluster that does as it is told.
    private final class Bench: Sendable {
        let cluster: MockCluster
        let topics = Topics(prefix: "t.")
        private let producer: Producer
        private let keys = ScriptedKeys()
        private let signer: Signer
        private let server: HTTPServer
        private let client: HTTPClient
        /// What is promised outside.
        private static let answerLimit = Duration.seconds(5)
        private static let recoveryLimit = Duration.seconds(10)

        static func run(
            brokers: Int = 1,
            isUpAtStart: Bool = true,
            tuning: Producer.Tuning = .receiver,
            _ body: (Bench) async throws -> Void
        ) async throws {
            // Waiting for topics blocks, so it has a thread of its own.
            let made = Promise<Bench>()
            _ = WorkerThread(name: "begin") {
                made.resolve(Result { try Bench(brokers: brokers, isUpAtStart: isUpAtStart, tuning: tuning) })
            }
            let bench = try await made.value()
            bench.server.start()
            do {
                try await body(bench)
            } catch {
                await bench.end()
                throw error
            }
            await bench.end()
        }

        private init(brokers: Int, isUpAtStart: Bool, tuning: Producer.Tuning) throws {
            HTTPClientLibrary.globalInit()
            cluster = try MockCluster(brokers: brokers)
            for topic in topics.webhooks { try cluster.createTopic(topic, partitions: 1, replication: brokers) }
            if !isUpAtStart { cluster.setBroker(1, isUp: false) }
            producer = try Producer(
                settings: KafkaSettings(bootstrapServers: cluster.bootstrapServers, clientID: "receiver"),
                tuning: tuning
            )
            if isUpAtStart { try producer.warm(topics: topics.webhooks, timeout: .seconds(10)) }
            signer = try Signer()
            keys.set(signer.keyID, .key(signer))
            keys.set(date: WallClock.system.now())
            let service = ReceiverService.between(keys, producer, topics: topics)
            server = try HTTPServer(host: "127.0.0.1", port: 0, service: service)
            client = try HTTPClient(settings: HTTPClientSettings(maxInFlight: 64, allowsPlainHTTP: true))
        }

        private func end() async {
            let (server, client, producer, cluster) = (server, client, producer, cluster)
            let ended = Promise<Void>()
            _ = WorkerThread(name: "end") {
                server.stop()
                client.close(grace: .zero)
                producer.close(until: MonotonicClock.system.now() + .seconds(2))
                cluster.close()
                ended.resolve(.success(()))
            }
            try? await ended.value()
        }

        func send() async throws -> HTTPClientResponse {
            let body = Array(readyBody.utf8)
            return try await client.send(
                HTTPClientRequest(
                    method: "POST",
                    url: "http://127.0.0.1:\(server.port)\(ReceiverService.path)",
                    headers: [
                        ("Content-Type", "application/json"),
                        ("Plaid-Verification", .plain(try signer.token(body, issuedAt: WallClock.system.now()))),
                    ],
                    body: body,
                    isRepeatable: false,
                    deadline: MonotonicClock.system.now() + .seconds(20)
                )
            )
        }

        func timed() async throws -> (Int, Duration) {
            let start = MonotonicClock.system.now()
            let answer = try await send()
            return (answer.status, MonotonicClock.system.now() - start)
        }

        func store() async throws { #expect(try await send().status == 200) }

        func sendInVain() async throws {
            let start = MonotonicClock.system.now()
            let answer = try await send()
            #expect(answer.status == 429)
            #expect((8...600).contains(answer.retryAfter?.inSeconds ?? 0))
            #expect(MonotonicClock.system.now() - start < Self.answerLimit)
        }

        /// Webhooks go on coming; one of them is stored soon after the trouble's end.
        func recovers() async throws {
            let ended = MonotonicClock.system.now()
            while try await send().status != 200 {
                try #require(MonotonicClock.system.now() - ended < Self.recoveryLimit, "no 200 in time")
            }
            #expect(MonotonicClock.system.now() - ended < Self.recoveryLimit)
        }

        /// Looks at readiness until it is as wanted: nobody announces it.
        func until(_ what: String, _ matches: (HealthState) -> Bool) async throws {
            let deadline = MonotonicClock.system.now() + .seconds(15)
            while !matches(ReceiverHealth.kafka(producer.topicsReady(topics.webhooks))) {
                try #require(MonotonicClock.system.now() < deadline, "never \(what)")
                try await TimerQueue.shared.sleep(for: .milliseconds(100))
            }
        }
    }
}
