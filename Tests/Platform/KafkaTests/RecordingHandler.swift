// A consumer's handler that writes down what it is told.

import Basics

@testable import Kafka

final class RecordingHandler: ConsumerHandler {
    struct Commit: Sendable {
        let offsets: [TopicPartition: Int64]
        let error: KafkaError?
    }
    struct Revocation: Sendable {
        let partitions: [TopicPartition]
        let isLost: Bool
    }
    struct Told: Sendable {
        var records: [ConsumerRecord] = []
        var assigned: [TopicPartition] = []
        var assignments: [[TopicPartition]] = []
        var epochs: [UInt64] = []
        var revocations: [Revocation] = []
        var commits: [Commit] = []
        var errors: [KafkaError] = []
        var ticks = 0
        /// Records of partitions that were not ours when they came.
        var strays = 0
    }

    let told = Watched(Told())
    /// What `revoked` returns, from what was received so far.
    private let onRevoke:
        @Sendable (Told, [TopicPartition], (MonotonicInstant, () -> Bool) -> Void) -> [TopicPartition: Int64]

    init(
        onRevoke:
            @escaping @Sendable (Told, [TopicPartition], (MonotonicInstant, () -> Bool) -> Void) ->
            [TopicPartition: Int64] = { _, _, _ in [:] }
    ) { self.onRevoke = onRevoke }

    func assigned(_ partitions: [TopicPartition], epoch: UInt64) {
        told.change { told in
            told.assigned += partitions
            told.assignments.append(partitions.sorted())
            told.epochs.append(epoch)
        }
    }

    func revoked(
        _ partitions: [TopicPartition],
        lost: Bool,
        wait: (MonotonicInstant, () -> Bool) -> Void
    ) -> [TopicPartition: Int64] {
        let offsets = onRevoke(told.value, partitions, wait)
        told.change { told in
            told.assigned.removeAll { partitions.contains($0) }
            told.revocations.append(Revocation(partitions: partitions.sorted(), isLost: lost))
        }
        return offsets
    }

    func received(_ record: ConsumerRecord) {
        told.change { told in
            if !told.assigned.contains(record.topicPartition) { told.strays += 1 }
            told.records.append(record)
        }
    }

    func commitCompleted(_ offsets: [TopicPartition: Int64], error: KafkaError?) {
        told.change { $0.commits.append(Commit(offsets: offsets, error: error)) }
    }

    func tick(_ now: MonotonicInstant) { told.change { $0.ticks += 1 } }

    func consumerError(_ error: KafkaError) { told.change { $0.errors.append(error) } }

    // MARK: Waiting

    func records(_ count: Int, within limit: Duration = .seconds(20)) async throws -> [ConsumerRecord] {
        try await told.first("\(count) records", within: limit) { $0.records.count >= count ? $0.records : nil }
    }

    func assignment(of count: Int, within limit: Duration = .seconds(20)) async throws -> [TopicPartition] {
        try await told.first("\(count) partitions", within: limit) { $0.assigned.count == count ? $0.assigned : nil }
    }

    func commit(_ count: Int = 1, within limit: Duration = .seconds(20)) async throws -> Commit {
        try await told.first("commit \(count)", within: limit) {
            $0.commits.count >= count ? $0.commits[count - 1] : nil
        }
    }
}

extension ConsumerRecord {
    var text: String { value.string() ?? "?" }
}

extension ProducerRecord {
    init(_ topic: String, _ text: String, key: String? = nil) {
        self.init(topic: topic, key: key.map { Array($0.utf8) }, value: Bytes(utf8: text))
    }
}
