// What lies in topics, read whole from the beginning by a group of its own.

import Basics
import Kafka

/// Reads topics up to where they end now.
struct TopicReader: Sendable {
    let settings: KafkaSettings

    init(bootstrapServers: String) {
        settings = KafkaSettings(bootstrapServers: bootstrapServers, clientID: "test-reader")
    }

    /// Every record of these topics, in the order of their partitions' offsets.
    func records(of topics: [String], within limit: Duration = .seconds(60)) async throws -> [String: [ConsumerRecord]]
    {
        let ends = try await ends(of: topics)
        let collector = Collector(until: ends.filter { $0.value.high > $0.value.low }.mapValues(\.high))
        if !collector.isComplete {
            let consumer = try Consumer(
                settings: settings,
                group: "test-reader-\(UInt64.random(in: 0...UInt64.max))",
                topics: topics,
                tuning: .embedded,
                handler: collector
            )
            consumer.start()
            let token = TimerQueue.shared.schedule(at: soon(limit)) { collector.giveUp() }
            defer { TimerQueue.shared.cancel(token) }
            do {
                try await collector.complete.value()
            } catch {
                try await onThread { _ = consumer.close(until: soon(.seconds(10))) }
                throw error
            }
            try await onThread { _ = consumer.close(until: soon(.seconds(10))) }
        }
        var found = Dictionary(uniqueKeysWithValues: topics.map { ($0, [ConsumerRecord]()) })
        for record in collector.sorted { found[record.topic]?.append(record) }
        return found
    }

    func records(of topic: String) async throws -> [ConsumerRecord] { try await records(of: [topic])[topic] ?? [] }

    /// Events that the group has not finished, over all partitions of the topics.
    func lag(of group: String, in topics: [String]) async throws -> Int64 {
        let committed = try await committed(by: group, in: topics)
        return try await ends(of: topics).reduce(0) { sum, end in
            sum + end.value.high - (committed[end.key] ?? end.value.low)
        }
    }

    /// What the group has committed; partitions without a commit are left out.
    func committed(by group: String, in topics: [String]) async throws -> [TopicPartition: Int64] {
        try await withAdmin { admin in
            let partitions = try await partitions(of: topics, admin)
            return try await admin.committedOffsets(group: group, partitions).compactMapValues { $0 }
        }
    }

    /// A partition made a moment ago, or whose broker has just come back, may have no leader yet.
    private func ends(of topics: [String]) async throws -> [TopicPartition: Watermarks] {
        try await withAdmin { admin in
            try await eventually("the ends of \(topics) can be read", within: .seconds(20)) {
                try await admin.watermarks(partitions(of: topics, admin))
            }
        }
    }

    private func partitions(of topics: [String], _ admin: AdminClient) async throws -> [TopicPartition] {
        let found = try await admin.describe(topics: topics)
        guard found.count == topics.count else {
            throw TimedOut(description: "of the topics \(topics) only \(found.map(\.name)) exist")
        }
        return found.flatMap { topic in
            topic.partitions.map { TopicPartition(topic: topic.name, partition: $0.id) }
        }
    }

    private func withAdmin<Value: Sendable>(_ body: (AdminClient) async throws -> Value) async throws -> Value {
        let admin = try AdminClient(settings: settings)
        defer { admin.close() }
        return try await body(admin)
    }
}

/// Takes records until each partition has been read up to its end.
private final class Collector: ConsumerHandler {
    private struct State {
        var records: [ConsumerRecord] = []
        var missing: [TopicPartition: Int64]
    }
    private let state: Locked<State>
    let complete = Promise<Void>()

    init(until ends: [TopicPartition: Int64]) { state = Locked(State(missing: ends)) }

    var isComplete: Bool { state.withLock { $0.missing.isEmpty } }

    var sorted: [ConsumerRecord] {
        state.withLock { $0.records }.sorted {
            ($0.topicPartition, $0.offset) < ($1.topicPartition, $1.offset)
        }
    }

    func giveUp() {
        let missing = state.withLock { $0.missing }
        complete.resolve(.failure(TimedOut(description: "topics were not read to their ends: \(missing)")))
    }

    func received(_ record: ConsumerRecord) {
        let isComplete = state.withLock { state in
            state.records.append(record)
            if let end = state.missing[record.topicPartition], record.offset + 1 >= end {
                state.missing[record.topicPartition] = nil
            }
            return state.missing.isEmpty
        }
        if isComplete { complete.resolve(.success(())) }
    }

    func assigned(_ partitions: [TopicPartition], epoch: UInt64) {}
    func revoked(
        _ partitions: [TopicPartition],
        lost: Bool,
        wait: (MonotonicInstant, () -> Bool) -> Void
    ) -> [TopicPartition: Int64] { [:] }
    func commitCompleted(_ offsets: [TopicPartition: Int64], error: KafkaError?) {}
    func tick(_ now: MonotonicInstant) {}
    func consumerError(_ error: KafkaError) {}
}

extension ConsumerRecord {
    /// A header's value as text; nil when it is missing.
    func header(_ name: String) -> String? {
        headers.first { $0.name == name }?.value.map { String(decoding: $0, as: UTF8.self) }
    }

    var keyText: String? { key.map { String(decoding: $0, as: UTF8.self) } }
}
