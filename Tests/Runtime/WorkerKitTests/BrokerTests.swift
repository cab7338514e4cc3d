// The runtime on the real client library: joining, reading, committing, leaving, rebalancing. On the library's mock
// brokers, and on Apache Kafka where it is at hand: the mock refuses commits while a group rebalances.

import Basics
import TestSupport
import Testing

@testable import Kafka
@testable import WorkerKit

/// Answers by the value of the record: `held` waits until it is let go, `bad` is parked, `twice` is repeated once.
private final class ByValueHandler: EventHandler {
    struct Seen: Sendable {
        let partition: TopicPartition
        let offset: Int64
        let key: UInt8
        let value: String
        let attempt: Int
    }
    let seen = AsyncMailbox<Seen>(capacity: 100_000)
    let isHolding = Locked(true)

    func handle(_ work: LaneWork, context: HandlerContext) async -> Outcome {
        for event in work.events {
            _ = seen.push(
                Seen(
                    partition: event.coordinates.topicPartition,
                    offset: event.coordinates.offset,
                    key: event.key?.first ?? 0,
                    value: event.value.string() ?? "",
                    attempt: context.attempt
                )
            )
        }
        switch work.newest.value.string() {
        case "held" where isHolding.withLock({ $0 }):
            // Until the runtime cancels.
            try? await TimerQueue.shared.sleep(for: .seconds(60))
            return .retry(after: nil, reason: RetryReason("held"))
        case "bad": return .park(ParkReason(type: "T", code: "C", message: "m"))
        case "twice" where context.attempt == 1:
            return .retry(after: .milliseconds(20), reason: RetryReason("again"))
        default: return .done
        }
    }

    func expire(_ work: LaneWork, context: HandlerContext) async -> Outcome { .done }
}

private struct TopicSink: DeadLetterSink {
    let producer: Producer
    let rows = Locked<[RecordCoordinates]>([])
    func publish(_ letter: DeadLetter) async throws {
        _ = try await producer.publish(
            ProducerRecord(topic: "group.dead-letters", key: letter.event.key, value: letter.event.value)
        )
    }
    func record(_ letter: DeadLetter) async throws { rows.withLock { $0.append(letter.event.coordinates) } }
}

private final class CommitWatch: WorkerObserver {
    let committed = Locked<[TopicPartition: Int64]>([:])
    let commits = AsyncMailbox<Bool>(capacity: 100_000)
    let assigned = AsyncMailbox<Int>(capacity: 1_000)

    func observe(_ observation: WorkerObservation) {
        switch observation {
        case .committed(let offsets):
            committed.withLock { $0.merge(offsets) { _, new in new } }
            _ = commits.push(true)
        case .assigned(let partitions, _): _ = assigned.push(partitions.count)
        default: break
        }
    }
}

/// One member of the group.
private struct Member {
    let handler = ByValueHandler()
    let watch = CommitWatch()
    let runtime: ConsumerRuntime

    init(_ servers: String, _ kind: BrokerKind, name: String, rows: TopicSink) throws {
        runtime = ConsumerRuntime(
            configuration: ConsumerRuntime.Configuration(
                core: WorkerCore.Settings(
                    group: "group",
                    limits: AdmissionLimits(maxInFlight: 32),
                    gaps: RetryGaps(base: .milliseconds(10), max: .seconds(1))
                )
            ),
            service: ConsumerRuntime.Service(
                handler: handler,
                deadLetters: rows,
                observer: watch,
                describe: { EventRecord(record: $0, receivedAt: $0.timestamp, lifetime: .seconds(86_400)) }
            )
        )
        let settings = KafkaSettings(bootstrapServers: servers, clientID: name)
        try runtime.start { handler in
            try Consumer(
                settings: settings,
                group: "group",
                topics: ["source", "group.retry"],
                tuning: kind == .mock ? .embedded : .standard,
                handler: handler
            )
        }
    }

    func nextSeen() async throws -> ByValueHandler.Seen {
        try await within(.seconds(40)) { [handler] in await handler.seen.next() }
    }

    /// Waits until these offsets are committed.
    func committed(_ wanted: [TopicPartition: Int64]) async throws {
        while !wanted.allSatisfy({ partition, offset in watch.committed.withLock { $0[partition] == offset } }) {
            _ = try await within(.seconds(40)) { [watch] in await watch.commits.next() }
        }
    }

    func stop(within limit: Duration) async throws -> Bool {
        try await onThread { [runtime] in runtime.stop(until: MonotonicClock.system.now() + limit) }
    }
}

enum BrokerKind: Sendable, CaseIterable {
    case mock, kafka
    static var available: [BrokerKind] { KafkaServer.isAvailable ? [.mock, .kafka] : [.mock] }
}

@Suite(.serialized) struct BrokerTests {
    private static let topics = [("source", 3), ("group.retry", 1), ("group.dead-letters", 1)]

    private func withBroker(_ kind: BrokerKind, _ body: (String, Producer) async throws -> Void) async throws {
        switch kind {
        case .mock:
            let cluster = try MockCluster(brokers: 1)
            defer { cluster.close() }
            for (topic, partitions) in Self.topics { try cluster.createTopic(topic, partitions: partitions) }
            try await withProducer(cluster.bootstrapServers, body)
        case .kafka:
            let server = try await KafkaServer()
            let admin = try AdminClient(
                settings: KafkaSettings(bootstrapServers: server.bootstrapServers, clientID: "admin")
            )
            defer { admin.close() }
            let made = try await admin.createTopics(
                Self.topics.map { NewTopic(name: $0, partitions: $1, replication: 1) },
                timeout: .seconds(30)
            )
            for result in made.values { try result.get() }
            do {
                try await withProducer(server.bootstrapServers, body)
            } catch {
                await server.stop()
                throw error
            }
            await server.stop()
        }
    }

    private func withProducer(_ servers: String, _ body: (String, Producer) async throws -> Void) async throws {
        let producer = try Producer(
            settings: KafkaSettings(bootstrapServers: servers, clientID: "test"),
            tuning: .standard
        )
        func close() async throws {
            _ = try await onThread { producer.close(until: MonotonicClock.system.now() + .seconds(5)) }
        }
        do {
            try await body(servers, producer)
        } catch {
            try? await close()
            throw error
        }
        try await close()
    }

    /// Publishes one after the other and returns the ends of the partitions.
    private func publish(
        _ producer: Producer,
        _ values: [(key: UInt8, value: String)]
    ) async throws -> [TopicPartition: Int64] {
        var ends: [TopicPartition: Int64] = [:]
        for (key, value) in values {
            let delivery = try await producer.publish(
                ProducerRecord(topic: "source", key: [key], value: Bytes(utf8: value))
            )
            let partition = TopicPartition(topic: "source", partition: delivery.partition)
            ends[partition] = max(ends[partition] ?? 0, delivery.offset + 1)
        }
        return ends
    }

    @Test(arguments: BrokerKind.available)
    func `what was finished is not read again after a restart, what was not is`(_ kind: BrokerKind) async throws {
        try await withBroker(kind) { servers, producer in
            var values = (0..<60).map { (key: UInt8($0 % 12), value: "ok") }
            values[20].value = "bad"
            values[30].value = "twice"
            values[40].value = "held"
            let ends = try await publish(producer, values)
            let rows = TopicSink(producer: producer)

            let first = try Member(servers, kind, name: "first", rows: rows)
            var seen: [ByValueHandler.Seen] = []
            // All but the two of the held key that come later, and one twice.
            let behind = values.indices.filter { $0 > 40 && values[$0].key == values[40].key }.count
            while seen.count < 60 - behind + 1 { seen.append(try await first.nextSeen()) }
            let held = try #require(seen.first { $0.value == "held" })
            var marks = ends
            marks[held.partition] = held.offset
            try await first.committed(marks)
            let stopped = try await first.stop(within: .seconds(3))
            #expect(!stopped, "the held call had to be cancelled")
            #expect(first.watch.committed.withLock { $0[held.partition] } == held.offset)
            #expect(rows.rows.withLock { $0.count } == 1)
            for key in UInt8(0)..<12 {
                let offsets = seen.filter { $0.key == key && $0.attempt == 1 }.map(\.offset)
                #expect(offsets == offsets.sorted(), "order of key \(key)")
            }

            let second = try Member(servers, kind, name: "second", rows: rows)
            second.handler.isHolding.withLock { $0 = false }
            try await second.committed([held.partition: ends[held.partition] ?? 0])
            #expect(try await second.stop(within: .seconds(10)))
            second.handler.seen.close()
            var again: [ByValueHandler.Seen] = []
            while let next = await second.handler.seen.next() { again.append(next) }
            #expect(again.contains { $0.value == "held" })
            #expect(again.allSatisfy { $0.partition == held.partition && $0.offset >= held.offset })
        }
    }

    @Test(arguments: BrokerKind.available)
    func `a second member takes over without losing or passing anything`(_ kind: BrokerKind) async throws {
        try await withBroker(kind) { servers, producer in
            let rows = TopicSink(producer: producer)
            let first = try Member(servers, kind, name: "first", rows: rows)
            var values = (0..<30).map { (key: UInt8($0), value: "early \($0)") }
            values[10].value = "held"
            _ = try await publish(producer, values)
            var early: [ByValueHandler.Seen] = []
            while early.count < 30 { early.append(try await first.nextSeen()) }
            let held = try #require(early.first { $0.value == "held" })

            let second = try Member(servers, kind, name: "second", rows: rows)
            // It has a share of the partitions: the first has given something up for it, while the held call ran.
            let share = try await within(.seconds(60)) { [watch = second.watch] in await watch.assigned.next() }
            #expect(share > 0)
            let ends = try await publish(producer, (0..<30).map { (key: UInt8($0 + 100), value: "late \($0)") })
            var late: Set<String> = []
            var again: [ByValueHandler.Seen] = []
            let merged = AsyncMailbox<ByValueHandler.Seen>(capacity: 10_000)
            let pumps = [first, second].map { [merged] member in
                Task { [seen = member.handler.seen] in while let next = await seen.next() { _ = merged.push(next) } }
            }
            while late.count < 30 {
                let next = try await within(.seconds(60)) { await merged.next() }
                if next.value.hasPrefix("late") { late.insert(next.value) } else { again.append(next) }
            }
            let stopped = [try await first.stop(within: .seconds(4)), try await second.stop(within: .seconds(4))]
            #expect(stopped.contains(false), "the held call is in somebody's hand")
            for member in [first, second] { member.handler.seen.close() }
            for pump in pumps { await pump.value }

            let committed = first.watch.committed.withLock { $0 }
                .merging(second.watch.committed.withLock { $0 }) { max($0, $1) }
            #expect(committed[held.partition] ?? 0 <= held.offset, "nothing passes the unfinished event")
            guard kind == .kafka else { return }
            for (partition, end) in ends where partition != held.partition { #expect(committed[partition] == end) }
            #expect(
                again.allSatisfy { $0.partition == held.partition && $0.offset >= held.offset },
                "what was finished was committed before its partition went"
            )
        }
    }
}
