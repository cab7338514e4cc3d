// Against real Apache Kafka: what the mock cannot show. Skipped without KAFKA_HOME.

import Basics
import TestSupport
import Testing

@testable import Kafka

/// One broker for all tests that leave it alone.
private let sharedServer = Task { try await KafkaServer() }

@Suite(.enabled(if: KafkaServer.isAvailable), .serialized)
struct RealKafkaTests {
    private func settings(_ server: KafkaServer) -> KafkaSettings {
        KafkaSettings(bootstrapServers: server.bootstrapServers, clientID: "tests")
    }

    /// A topic of its own for a test.
    private func makeTopic(_ name: String, partitions: Int, on server: KafkaServer) async throws {
        let admin = try AdminClient(settings: settings(server))
        defer { admin.close() }
        let results = try await admin.createTopics([NewTopic(name: name, partitions: partitions, replication: 1)])
        try #require(results[name]).get()
    }

    private func close(_ consumer: Consumer) async throws {
        #expect(try await onThread { consumer.close(until: soon(.seconds(10))) })
    }

    private func close(_ producer: Producer) async throws {
        _ = try await onThread { producer.close(until: soon(.seconds(10))) }
    }

    // MARK: Admin

    @Test func `topics are made, described and refused one by one`() async throws {
        let admin = try AdminClient(settings: settings(try await sharedServer.value))
        defer { admin.close() }
        let results = try await admin.createTopics([
            NewTopic(name: "admin-a", partitions: 3, replication: 1, config: ["retention.ms": "604800000"]),
            NewTopic(name: "admin-b", partitions: 1, replication: 3),
            NewTopic(name: "admin-c", partitions: 1, replication: 1, config: ["retention.ms": "soon"]),
            NewTopic(name: "not a name", partitions: 1, replication: 1),
        ])
        #expect(results.count == 4)
        #expect(throws: Never.self) { try results["admin-a"]?.get() }
        for (name, code) in [
            ("admin-b", KafkaError.Code.invalidRequest), ("admin-c", .invalidConfiguration),
            ("not a name", .invalidRequest),
        ] {
            let error = #expect(throws: KafkaError.self) { try results[name]?.get() }
            #expect(error?.code == code, "\(name): \(String(describing: error))")
        }
        let again = try await admin.createTopics([NewTopic(name: "admin-a", partitions: 3, replication: 1)])
        let error = #expect(throws: KafkaError.self) { try again["admin-a"]?.get() }
        #expect(error?.code == .alreadyExists)

        let described = try await admin.describe(topics: ["admin-a", "nowhere"])
        #expect(described.map(\.name) == ["admin-a"])
        #expect(described.first?.partitions.map(\.id) == [0, 1, 2])
        #expect(described.first?.partitions.allSatisfy { $0.leader == 1 && $0.inSyncReplicas == [1] } == true)
        let all = try await admin.describe()
        #expect(all.contains { $0.name == "admin-a" } && !all.contains { $0.name == "nowhere" })
    }

    @Test func `watermarks and committed offsets are what was written and committed`() async throws {
        let server = try await sharedServer.value
        try await makeTopic("marks", partitions: 2, on: server)
        let admin = try AdminClient(settings: settings(server))
        let producer = try Producer(settings: settings(server), tuning: .standard)
        var counts: [Int32: Int64] = [0: 0, 1: 0]
        for index in 0..<7 {
            let delivery = try await producer.publish(ProducerRecord("marks", "\(index)", key: "\(index)"))
            counts[delivery.partition, default: 0] += 1
        }
        let partitions = (0..<2).map { TopicPartition(topic: "marks", partition: Int32($0)) }
        let marks = try await admin.watermarks(partitions + [TopicPartition(topic: "marks", partition: 0)])
        #expect(
            marks
                == Dictionary(
                    uniqueKeysWithValues: partitions.map { ($0, Watermarks(low: 0, high: counts[$0.partition]!)) }
                )
        )
        #expect(try await admin.watermarks([TopicPartition(topic: "nowhere", partition: 0)]).isEmpty)

        let before = try await admin.committedOffsets(group: "marks-group", partitions)
        #expect(before.count == 2 && before.values.allSatisfy { $0 == nil })
        let handler = RecordingHandler()
        let consumer = try Consumer(
            settings: settings(server),
            group: "marks-group",
            topics: ["marks"],
            tuning: .standard,
            handler: handler
        )
        consumer.start()
        _ = try await handler.records(7)
        consumer.commit([partitions[0]: counts[0]!])
        #expect(try await handler.commit().error == nil)
        let after = try await admin.committedOffsets(group: "marks-group", partitions)
        #expect(after[partitions[0]] == .some(counts[0]!))
        #expect(after[partitions[1]] == .some(nil))
        try await close(consumer)
        try await close(producer)
        admin.close()
        #expect(try await onThread { admin.waitUntilClosed(until: soon(.seconds(5))) })
        let error = await kafkaError { _ = try await admin.describe() }
        #expect(error?.code == .closed)
    }

    @Test func `an admin call on a cluster that is away ends in time and can be cancelled`() async throws {
        let admin = try AdminClient(settings: KafkaSettings(bootstrapServers: "127.0.0.1:1", clientID: "tests"))
        let (error, took) = await measured {
            await kafkaError { _ = try await admin.describe(timeout: .milliseconds(500)) }
        }
        #expect(error?.isRetriable == true && took < .seconds(3), "\(took)")
        let task = Task { try await admin.describe(timeout: .seconds(2)) }
        task.cancel()
        await #expect(throws: CancellationError.self) { _ = try await task.value }
        admin.close()
        #expect(try await onThread { admin.waitUntilClosed(until: soon(.seconds(8))) })
    }

    // MARK: Groups

    @Test func `a group joins quickly, and a successor resumes after what was committed`() async throws {
        let server = try await sharedServer.value
        try await makeTopic("resume", partitions: 3, on: server)
        let producer = try Producer(settings: settings(server), tuning: .standard)
        for index in 0..<30 {
            _ = try await producer.publish(ProducerRecord("resume", "\(index)", key: "\(index % 5)"))
        }
        let handler = RecordingHandler { told, _, _ in
            // Ten records of each partition's are done, the others in hand.
            var next: [TopicPartition: Int64] = [:]
            for record in told.records where record.offset < 4 {
                next[record.topicPartition] = max(next[record.topicPartition] ?? 0, record.offset + 1)
            }
            return next
        }
        let consumer = try Consumer(
            settings: settings(server),
            group: "resume-group",
            topics: ["resume"],
            tuning: .standard,
            handler: handler
        )
        consumer.start()
        let first = try await handler.records(30)
        try await close(consumer)
        #expect(handler.told.value.commits.count == 1 && handler.told.value.commits.first?.error == nil)

        let next = RecordingHandler()
        let successor = try Consumer(
            settings: settings(server),
            group: "resume-group",
            topics: ["resume"],
            tuning: .standard,
            handler: next
        )
        let (_, took) = try await measured {
            successor.start()
            _ = try await next.assignment(of: 3)
        }
        // The first one has left the group: nobody waits for its session to end.
        #expect(took < .seconds(8), "\(took)")
        let left = first.filter { $0.offset >= 4 }
        let resumed = try await next.records(left.count)
        #expect(Set(resumed.map(\.text)) == Set(left.map(\.text)) && resumed.count == left.count)
        try await close(successor)
        try await close(producer)
    }

    @Test(arguments: ["range", "cooperative-sticky"])
    func `members share and hand over within a few heartbeats`(_ strategy: String) async throws {
        let server = try await sharedServer.value
        let topic = "share-\(strategy)"
        try await makeTopic(topic, partitions: 4, on: server)
        let settings = KafkaSettings(
            bootstrapServers: server.bootstrapServers,
            clientID: "tests",
            properties: [(name: "partition.assignment.strategy", value: strategy)]
        )
        let handlers = (RecordingHandler(), RecordingHandler())
        func member(_ handler: RecordingHandler) throws -> Consumer {
            try Consumer(settings: settings, group: topic, topics: [topic], tuning: .standard, handler: handler)
        }
        let (one, two) = (try member(handlers.0), try member(handlers.1))
        one.start()
        _ = try await handlers.0.assignment(of: 4)
        two.start()
        _ = try await handlers.0.assignment(of: 2)
        _ = try await handlers.1.assignment(of: 2)
        #expect(Set(handlers.0.told.value.assigned + handlers.1.told.value.assigned).count == 4)
        #expect(handlers.0.told.value.revocations.allSatisfy { !$0.isLost })
        let (_, took) = try await measured {
            try await close(two)
            _ = try await handlers.0.assignment(of: 4)
        }
        #expect(took < .seconds(6), "\(took)")
        #expect(handlers.1.told.value.assigned.isEmpty)
        try await close(one)
        // Every partition given was taken back.
        #expect(handlers.0.told.value.assigned.isEmpty)
    }

    @Test func `a topic that is missing is told, and read and written without a restart when it comes`() async throws {
        let server = try await sharedServer.value
        let handler = RecordingHandler()
        let consumer = try Consumer(
            settings: settings(server),
            group: "later",
            topics: ["later"],
            tuning: .standard,
            handler: handler
        )
        consumer.start()
        let missing = try await handler.told.first("the fault") { $0.errors.first }
        #expect(missing.code == .unknownTopic && missing.isRetriable)
        let producer = try Producer(settings: settings(server), tuning: .receiver)
        let (error, took) = await measured {
            await kafkaError { _ = try await producer.publish(ProducerRecord("later", "a")) }
        }
        #expect(error?.code == .unknownTopic && error?.mayBeStored == false, "\(String(describing: error))")
        #expect(took < .seconds(5), "\(took)")
        #expect(producer.topicsReady(["later"])["later"]?.isReady == false)
        try await makeTopic("later", partitions: 1, on: server)
        try await eventually("ready") { producer.topicsReady(["later"])["later"]?.isReady == true }
        _ = try await producer.publish(ProducerRecord("later", "b"))
        #expect(try await handler.records(1, within: .seconds(30)).map(\.text) == ["b"])
        try await close(consumer)
        try await close(producer)
    }

    @Test func `a frozen member is put out, loses its partitions, and cannot commit them`() async throws {
        let server = try await sharedServer.value
        try await makeTopic("lost", partitions: 1, on: server)
        let producer = try Producer(settings: settings(server), tuning: .standard)
        for index in 0..<3 { _ = try await producer.publish(ProducerRecord("lost", "\(index)")) }
        var tuning = Consumer.Tuning.standard
        tuning.sessionTimeout = .seconds(6)
        tuning.maxPollInterval = .seconds(6)
        let gate = Latch()
        let blocked = BlockingHandler(gate)
        let slow = try Consumer(
            settings: settings(server),
            group: "lost",
            topics: ["lost"],
            tuning: tuning,
            handler: blocked
        )
        slow.start()
        try await eventually("it blocks") { blocked.isBlocked.isOpen }
        let handler = RecordingHandler()
        let other = try Consumer(
            settings: settings(server),
            group: "lost",
            topics: ["lost"],
            tuning: tuning,
            handler: handler
        )
        other.start()
        _ = try await handler.records(3, within: .seconds(40))
        slow.commit([TopicPartition(topic: "lost", partition: 0): 3])
        gate.open()
        let commit = try await blocked.inner.commit(1)
        #expect(commit.error != nil)
        let revocation = try await blocked.inner.told.first("the loss") { $0.revocations.first }
        #expect(revocation.isLost)
        let admin = try AdminClient(settings: settings(server))
        let committed = try await admin.committedOffsets(group: "lost", [TopicPartition(topic: "lost", partition: 0)])
        #expect(committed.values.allSatisfy { $0 == nil })
        admin.close()
        try await close(slow)
        try await close(other)
        try await close(producer)
    }

    // MARK: Brokers in trouble

    /// Publishes one after another until told to stop, and remembers every result.
    private final class Traffic: Sendable {
        struct Results: Sendable {
            var stored: [String: Delivery] = [:]
            var unknown: Set<String> = []
            var notStored: Set<String> = []
            var slowest = Duration.zero
            var isStopped = false
            /// By partition.
            var lastSuccess: [Int32: MonotonicInstant] = [:]
            var sent = 0
        }
        let results = Watched(Results())
        let producer: Producer
        let topic: String

        init(_ producer: Producer, _ topic: String) {
            self.producer = producer
            self.topic = topic
        }

        /// Eight lanes, each with one message in flight.
        func run() async {
            await withDiscardingTaskGroup { group in
                for lane in 0..<8 { group.addTask { await self.lane(lane) } }
            }
        }

        private func lane(_ lane: Int) async {
            var index = 0
            while !results.value.isStopped {
                index += 1
                let text = "\(lane)-\(index)"
                results.change { $0.sent += 1 }
                let start = MonotonicClock.system.now()
                let result: Result<Delivery, KafkaError>
                do {
                    result = .success(try await producer.publish(ProducerRecord(topic, text, key: "\(lane)")))
                } catch { result = .failure((error as? KafkaError) ?? KafkaError(.other, "\(error)")) }
                let now = MonotonicClock.system.now()
                results.change { results in
                    results.slowest = max(results.slowest, now - start)
                    switch result {
                    case .success(let delivery):
                        results.stored[text] = delivery
                        results.lastSuccess[delivery.partition] = now
                    case .failure(let error) where error.mayBeStored: results.unknown.insert(text)
                    case .failure: results.notStored.insert(text)
                    }
                }
                // One lane makes some hundred messages a second: enough to be in the middle of something.
                try? await TimerQueue.shared.sleep(until: soon(.milliseconds(5)))
            }
        }

        func stop() { results.change { $0.isStopped = true } }
    }

    @Test(arguments: ["frozen and thawed", "killed and restarted"])
    func `results are truthful and in time, readiness follows, and service resumes within ten seconds`(
        _ trouble: String
    ) async throws {
        let server = try await KafkaServer()
        try await makeTopic("truth", partitions: 3, on: server)
        let producer = try Producer(settings: settings(server), tuning: .receiver)
        try await onThread { try producer.warm(topics: ["truth"], timeout: .seconds(10)) }
        #expect(producer.topicsReady(["truth"])["truth"]?.isReady == true)
        let handler = RecordingHandler()
        let consumer = try Consumer(
            settings: settings(server),
            group: "truth",
            topics: ["truth"],
            tuning: .standard,
            handler: handler
        )
        consumer.start()
        let traffic = Traffic(producer, "truth")
        async let running: Void = traffic.run()
        _ = try await traffic.results.first("traffic") { $0.stored.count >= 200 ? true : nil }
        _ = try await handler.records(100)

        let down = MonotonicClock.system.now()
        if trouble == "frozen and thawed" { server.freeze() } else { try await server.kill() }
        try await eventually("not ready") { producer.topicsReady(["truth"])["truth"]?.isReady == false }
        #expect(
            MonotonicClock.system.now() - down < .seconds(6),
            "not ready after \(MonotonicClock.system.now() - down)"
        )
        _ = try await traffic.results.first("failures") { $0.unknown.count + $0.notStored.count >= 8 ? true : nil }
        if trouble == "frozen and thawed" { server.thaw() } else { try await server.restart() }
        let back = MonotonicClock.system.now()
        _ = try await traffic.results.first("a success") { $0.lastSuccess.values.contains { $0 > back } ? true : nil }
        let resumed = MonotonicClock.system.now() - back
        #expect(resumed < .seconds(10), "\(resumed)")
        try await eventually("ready") { producer.topicsReady(["truth"])["truth"]?.isReady == true }
        let ready = MonotonicClock.system.now() - back
        #expect(ready < .seconds(10), "\(ready)")
        let before = traffic.results.value.stored.count
        _ = try await traffic.results.first("more traffic") { $0.stored.count >= before + 200 ? true : nil }
        traffic.stop()
        await running
        let results = traffic.results.value
        // The receiver must answer within five seconds.
        #expect(results.slowest < .seconds(5), "\(results.slowest)")
        _ = try await onThread { producer.flush(until: soon(.seconds(5))) }

        try await check(results, against: handler, on: server)
        try await close(consumer)
        try await close(producer)
        await server.stop()
    }

    /// What was told is what the log holds, and all of it has reached the consumer, which never restarted.
    private func check(
        _ results: Traffic.Results,
        against handler: RecordingHandler,
        on server: KafkaServer
    ) async throws {
        let admin = try AdminClient(settings: settings(server))
        let marks = try await admin.watermarks((0..<3).map { TopicPartition(topic: "truth", partition: $0) })
        let total = Int(marks.values.reduce(0) { $0 + $1.high })
        let records = try await handler.records(total, within: .seconds(30))
        let counts = Dictionary(records.map { ($0.text, 1) }, uniquingKeysWith: +)
        #expect(results.stored.keys.allSatisfy { counts[$0] == 1 }, "acknowledged, and not there once")
        #expect(results.notStored.allSatisfy { counts[$0] == nil }, "told as not stored, and there")
        #expect(counts.keys.allSatisfy { results.stored[$0] != nil || results.unknown.contains($0) })
        #expect(counts.values.allSatisfy { $0 == 1 }, "repeats inside the client became duplicates")
        for record in records {
            if let delivery = results.stored[record.text] {
                #expect(delivery.partition == record.partition && delivery.offset == record.offset)
            }
        }
        admin.close()
    }

    @Test func `of three nodes one may die: the others go on within ten seconds, and nothing acknowledged is lost`()
        async throws
    {
        let server = try await KafkaServer(nodes: 3)
        let admin = try AdminClient(settings: settings(server))
        let topic = NewTopic(name: "truth", partitions: 3, replication: 3, config: ["min.insync.replicas": "2"])
        try #require(try await admin.createTopics([topic], timeout: .seconds(30))["truth"]).get()
        let producer = try Producer(settings: settings(server), tuning: .receiver)
        try await onThread { try producer.warm(topics: ["truth"], timeout: .seconds(10)) }
        try await eventually("ready") { producer.topicsReady(["truth"])["truth"]?.isReady == true }
        let handler = RecordingHandler()
        let consumer = try Consumer(
            settings: settings(server),
            group: "truth",
            topics: ["truth"],
            tuning: .standard,
            handler: handler
        )
        consumer.start()
        let traffic = Traffic(producer, "truth")
        async let running: Void = traffic.run()
        _ = try await traffic.results.first("traffic") { $0.stored.count >= 200 ? true : nil }
        _ = try await handler.records(100, within: .seconds(40))

        let described = try await admin.describe(topics: ["truth"])
        let leader = try #require(described.first?.partitions.first?.leader)
        try await server.kill(node: Int(leader))
        let died = MonotonicClock.system.now()
        _ = try await traffic.results.first("all partitions serve", within: .seconds(30)) { results in
            (0..<3).allSatisfy { (results.lastSuccess[$0] ?? died) > died + .milliseconds(200) } ? true : nil
        }
        let took = MonotonicClock.system.now() - died
        #expect(took < .seconds(10), "\(took)")
        try await eventually("ready on two nodes") { producer.topicsReady(["truth"])["truth"]?.isReady == true }
        try await server.restart(node: Int(leader))
        let before = traffic.results.value.stored.count
        _ = try await traffic.results.first("more traffic") { $0.stored.count >= before + 200 ? true : nil }
        traffic.stop()
        await running
        let results = traffic.results.value
        #expect(results.slowest < .seconds(5), "\(results.slowest)")
        _ = try await onThread { producer.flush(until: soon(.seconds(5))) }
        try await check(results, against: handler, on: server)
        admin.close()
        try await close(consumer)
        try await close(producer)
        await server.stop()
    }
}

/// Blocks the poll thread at the first record, until the gate opens.
private final class BlockingHandler: ConsumerHandler {
    let inner = RecordingHandler()
    let isBlocked = Latch()
    private let gate: Latch

    init(_ gate: Latch) { self.gate = gate }

    func assigned(_ partitions: [TopicPartition], epoch: UInt64) { inner.assigned(partitions, epoch: epoch) }

    func revoked(
        _ partitions: [TopicPartition],
        lost: Bool,
        wait: (MonotonicInstant, () -> Bool) -> Void
    ) -> [TopicPartition: Int64] { inner.revoked(partitions, lost: lost, wait: wait) }

    func received(_ record: ConsumerRecord) {
        inner.received(record)
        isBlocked.open()
        _ = gate.wait(until: soon(.seconds(60)))
    }

    func commitCompleted(_ offsets: [TopicPartition: Int64], error: KafkaError?) {
        inner.commitCompleted(offsets, error: error)
    }

    func tick(_ now: MonotonicInstant) { inner.tick(now) }

    func consumerError(_ error: KafkaError) { inner.consumerError(error) }
}
