// The consumer against the mock cluster, where a group's first join takes three seconds.

import Basics
import Testing

@testable import Kafka

@Suite struct ConsumerTests {
    /// A cluster with one topic, a producer to fill it, and consumers.
    final class Bench: Sendable {
        let cluster: MockCluster
        let producer: Producer
        let settings: KafkaSettings

        init(partitions: Int = 2, properties: [(String, String)] = []) throws {
            cluster = try MockCluster()
            try cluster.createTopic("events", partitions: partitions)
            settings = KafkaSettings(
                bootstrapServers: cluster.bootstrapServers,
                clientID: "bench",
                properties: properties.map { (name: $0.0, value: $0.1) }
            )
            producer = try Producer(settings: settings, tuning: .standard)
        }

        func consumer(_ handler: RecordingHandler, group: String = "g") throws -> Consumer {
            try Consumer(settings: settings, group: group, topics: ["events"], tuning: .embedded, handler: handler)
        }

        func fill(_ range: Range<Int>, key: String? = nil) async throws {
            for index in range { _ = try await producer.publish(ProducerRecord("events", "\(index)", key: key)) }
        }

        func end(_ consumers: Consumer...) async throws {
            let producer = producer
            for consumer in consumers { _ = try await onThread { consumer.close(until: soon(.seconds(10))) } }
            _ = try await onThread { producer.close(until: soon(.seconds(5))) }
        }
    }

    @Test func `a record comes out as it went in: binary key, repeated and null headers, all bytes`() async throws {
        let bench = try Bench()
        let key: [UInt8] = [0, 255, 1, 0]
        let value = (0...255).map { UInt8($0) }
        let headers = [
            KafkaHeader(name: "a", value: [1, 0, 2]), KafkaHeader(name: "a", value: []),
            KafkaHeader(name: "ünï", value: nil), KafkaHeader(name: "b", value: Array("x".utf8)),
        ]
        let record = ProducerRecord(topic: "events", key: key, value: Bytes(value), headers: headers)
        let delivery = try await bench.producer.publish(record)
        let empty = ProducerRecord(topic: "events", key: [], value: nil)
        let emptyDelivery = try await bench.producer.publish(empty)
        let handler = RecordingHandler()
        let consumer = try bench.consumer(handler)
        consumer.start()
        let records = try await handler.records(2)
        let read = try #require(records.first { $0.partition == delivery.partition && $0.offset == delivery.offset })
        #expect(read.key == key && read.value.array == value && read.headers == headers)
        #expect(read.byteCount == 4 + 256 + (1 + 3) + 1 + "ünï".utf8.count + 2)
        #expect(read.timestamp.seconds > 1_700_000_000)
        #expect(read.value.readablePadding >= 64)
        let other = try #require(
            records.first { $0.partition == emptyDelivery.partition && $0.offset == emptyDelivery.offset }
        )
        #expect(other.key == [] && other.value.isEmpty && other.headers.isEmpty)
        try await bench.end(consumer)
    }

    @Test func `assigned once, revoked once at close, offsets of the revocation committed`() async throws {
        let bench = try Bench()
        try await bench.fill(0..<10)
        let handler = RecordingHandler { told, partitions, _ in
            var next: [TopicPartition: Int64] = [:]
            for record in told.records {
                next[record.topicPartition] = max(next[record.topicPartition] ?? 0, record.offset + 1)
            }
            return next
        }
        let consumer = try bench.consumer(handler)
        consumer.start()
        _ = try await handler.records(10)
        try await eventually("joined") { consumer.state.isJoined && consumer.state.partitions == 2 }
        #expect(try await onThread { consumer.close(until: soon(.seconds(10))) })
        let told = handler.told.value
        #expect(told.assignments.count == 1 && told.epochs == [1])
        #expect(told.revocations.count == 1)
        #expect(told.revocations.first?.isLost == false)
        #expect(told.revocations.first?.partitions == told.assignments.first)
        #expect(told.commits.count == 1 && told.commits.first?.error == nil)
        #expect(told.strays == 0)

        // A second member goes on where the first one ended.
        try await bench.fill(10..<12)
        let next = RecordingHandler()
        let successor = try bench.consumer(next)
        successor.start()
        let records = try await next.records(2)
        #expect(records.map(\.text).sorted() == ["10", "11"])
        try await bench.end(successor)
    }

    @Test func `a commit's result comes back, and going backwards is not sent`() async throws {
        let bench = try Bench(partitions: 1)
        try await bench.fill(0..<5)
        let handler = RecordingHandler()
        let consumer = try bench.consumer(handler)
        let partition = TopicPartition(topic: "events", partition: 0)
        consumer.start()
        _ = try await handler.records(5)
        consumer.commit([partition: 3])
        let commit = try await handler.commit()
        #expect(commit.offsets == [partition: 3] && commit.error == nil)
        consumer.commit([partition: 2])
        #expect(try await handler.commit(2).error == nil)
        let foreign = TopicPartition(topic: "events", partition: 9)
        consumer.commit([foreign: 2])
        let refused = try await handler.commit(3)
        #expect(refused.error?.code == .notAssigned && refused.offsets == [foreign: 2])
        #expect(try await onThread { consumer.close(until: soon(.seconds(10))) })

        // The broker kept 3, not 2.
        let next = RecordingHandler()
        let successor = try bench.consumer(next)
        successor.start()
        #expect(try await next.records(2).map(\.offset) == [3, 4])
        try await bench.end(successor)
    }

    @Test func `a refused commit is told with its code and may be sent again`() async throws {
        let bench = try Bench(partitions: 1)
        try await bench.fill(0..<3)
        let handler = RecordingHandler()
        let consumer = try bench.consumer(handler)
        let partition = TopicPartition(topic: "events", partition: 0)
        consumer.start()
        _ = try await handler.records(3)
        // GROUP_AUTHORIZATION_FAILED: not repeated inside the client.
        bench.cluster.pushRequestErrors(.offsetCommit, [30])
        consumer.commit([partition: 2])
        let refused = try await handler.commit()
        #expect(refused.error?.code == .authorization && refused.offsets == [partition: 2])
        consumer.commit([partition: 2])
        #expect(try await handler.commit(2).error == nil)
        try await bench.end(consumer)
    }

    @Test func `paused partitions rest, others go on, and nothing is lost or repeated on resume`() async throws {
        let bench = try Bench()
        try await bench.fill(0..<4)
        let handler = RecordingHandler()
        let consumer = try bench.consumer(handler)
        consumer.start()
        _ = try await handler.records(4)
        let all = try await handler.assignment(of: 2)
        consumer.pause(all)
        try await eventually("paused") { consumer.state.paused == 2 }
        try await bench.fill(4..<30)
        // Two ticks' time for a record that must not come.
        let ticks = handler.told.value.ticks
        _ = try await handler.told.first("ticks") { $0.ticks >= ticks + 3 ? true : nil }
        #expect(handler.told.value.records.count == 4)
        // Resuming what was never paused repeats nothing either (2.0.2 would).
        consumer.resume(all)
        consumer.resume(all)
        let records = try await handler.records(30)
        #expect(records.map(\.text).compactMap(Int.init).sorted() == Array(0..<30))
        let later = handler.told.value.ticks
        _ = try await handler.told.first("ticks") { $0.ticks >= later + 3 ? true : nil }
        #expect(handler.told.value.records.count == 30)
        try await bench.end(consumer)
    }

    @Test func `ticks come while nothing happens`() async throws {
        let bench = try Bench()
        let handler = RecordingHandler()
        let consumer = try bench.consumer(handler)
        consumer.start()
        let (_, took) = try await measured {
            try await handler.told.first("eight ticks") { $0.ticks >= 8 ? true : nil }
        }
        #expect(took < .seconds(4))
        try await bench.end(consumer)
    }

    @Test func `two members share, each rebalance is answered, and nothing is lost`() async throws {
        let bench = try Bench(partitions: 4)
        let first = RecordingHandler()
        let second = RecordingHandler()
        let one = try bench.consumer(first)
        let two = try bench.consumer(second)
        one.start()
        _ = try await first.assignment(of: 4)
        two.start()
        _ = try await first.assignment(of: 2, within: .seconds(40))
        _ = try await second.assignment(of: 2, within: .seconds(40))
        let both = Set(first.told.value.assigned).union(second.told.value.assigned)
        #expect(both.count == 4)
        try await bench.fill(0..<40)
        try await eventually("all records") {
            first.told.value.records.count + second.told.value.records.count >= 40
        }
        // The mock may re-balance more than once; every assignment but the last was taken back, once.
        let told = first.told.value
        #expect(told.epochs == Array(1...UInt64(told.assignments.count)))
        #expect(told.revocations.count == told.assignments.count - 1)
        #expect(first.told.value.strays + second.told.value.strays == 0)
        try await bench.end(one, two)
        #expect(first.told.value.assigned.isEmpty && second.told.value.assigned.isEmpty)
    }

    @Test func `waiting inside a revocation ends when the work is done, and carries out commits meanwhile`()
        async throws
    {
        let bench = try Bench(partitions: 1)
        try await bench.fill(0..<3)
        let work = Latch()
        let begun = Latch()
        let handler = RecordingHandler { _, partitions, wait in
            begun.open()
            wait(soon(.seconds(5))) { work.isOpen }
            return [partitions[0]: 3]
        }
        let consumer = try bench.consumer(handler)
        consumer.start()
        _ = try await handler.records(3)
        async let closing = onThread { consumer.close(until: soon(.seconds(10))) }
        #expect(try await onThread { begun.wait(until: soon(.seconds(5))) })
        let (_, took) = try await measured {
            work.open()
            consumer.wake()
            _ = try await handler.told.first("the revocation's end") { $0.revocations.first }
        }
        #expect(took < .milliseconds(200), "\(took)")
        #expect(try await closing)
        #expect(handler.told.value.commits.first?.offsets.values.first == 3)
        try await bench.end()
    }

    @Test func `close is bounded when the broker is gone`() async throws {
        let bench = try Bench()
        try await bench.fill(0..<4)
        let handler = RecordingHandler { told, partitions, _ in [partitions[0]: 1] }
        let consumer = try bench.consumer(handler)
        consumer.start()
        _ = try await handler.records(4)
        bench.cluster.setBroker(1, isUp: false)
        let (_, took) = try await measured { try await onThread { consumer.close(until: soon(.seconds(3))) } }
        #expect(took < .milliseconds(3_500), "\(took)")
        #expect(handler.told.value.revocations.count == 1)
        #expect(try await onThread { consumer.ended.wait(until: soon(.seconds(10))) })
        try await bench.end()
    }

    @Test func `a consumer reads on after the broker was away`() async throws {
        let bench = try Bench(partitions: 1)
        try await bench.fill(0..<2)
        let handler = RecordingHandler()
        let consumer = try bench.consumer(handler)
        consumer.start()
        _ = try await handler.records(2)
        bench.cluster.setBroker(1, isUp: false)
        let error = try await handler.told.first("trouble") { $0.errors.first }
        #expect(error.isRetriable && !error.isFatal)
        try await eventually("not joined") { !consumer.state.isJoined }
        bench.cluster.setBroker(1, isUp: true)
        try await bench.fill(2..<4)
        #expect(try await handler.records(4, within: .seconds(30)).map(\.text).suffix(2) == ["2", "3"])
        try await eventually("joined again") { consumer.state.isJoined }
        try await bench.end(consumer)
    }

    @Test func `a consumer that never started closes at once`() async throws {
        let bench = try Bench()
        let consumer = try bench.consumer(RecordingHandler())
        #expect(try await onThread { consumer.close(until: soon(.seconds(5))) })
        consumer.start()
        #expect(consumer.state.lastPoll == nil)
        try await bench.end()
    }

    @Test func `a consumer closes before its first assignment`() async throws {
        let bench = try Bench()
        let handler = RecordingHandler()
        let consumer = try bench.consumer(handler)
        consumer.start()
        _ = try await handler.told.first("a tick") { $0.ticks > 0 ? true : nil }
        let (isDone, took) = try await measured { try await onThread { consumer.close(until: soon(.seconds(8))) } }
        #expect(isDone && took < .seconds(8), "\(took)")
        #expect(handler.told.value.assigned.isEmpty)
        try await bench.end()
    }

    @Test func `handles are freed with records fetched ahead, rebalances and commits behind them`() async throws {
        let bench = try Bench()
        try await bench.fill(0..<200)
        for round in 0..<2 {
            let handler = RecordingHandler()
            let consumer = try bench.consumer(handler, group: "round-\(round)")
            consumer.start()
            let records = try await handler.records(50)
            consumer.pause(handler.told.value.assigned.prefix(1))
            consumer.commit([records[0].topicPartition: 1])
            // An undestroyed message or list would hold the destruction for ever.
            #expect(try await onThread { consumer.close(until: soon(.seconds(8))) })
        }
        try await bench.end()
    }
}
