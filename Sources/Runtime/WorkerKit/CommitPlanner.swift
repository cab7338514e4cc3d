// When to commit and what. Pure: the marks come from the ledger, the answer goes to the broker.

package import Basics
package import Kafka

/// One commit in flight, explicit offsets, never backwards.
///
/// Both broker and client accept a commit that goes back, so the guard is here. A failed commit is not repeated:
/// by the time it could be, the marks have moved, and the next tick builds a newer one.
package struct CommitPlanner: Sendable {
    /// The least time between two commits.
    package static let interval: Duration = .milliseconds(250)
    /// A commit that was not answered for this long counts as failed.
    package static let answerLimit: Duration = .seconds(60)

    /// Per assigned partition the offset known to be committed, or the position at which reading began.
    private var confirmed: [TopicPartition: Int64] = [:]
    /// What was sent and not answered: one commit, whose answer may come in parts.
    private var sent: [TopicPartition: Int64] = [:]
    /// Partitions of ``sent`` that were given up or rewound since: their answer says nothing any more.
    private var disowned: Set<TopicPartition> = []
    private var sentAt: MonotonicInstant?

    package init() {}

    /// Reading of a partition began, or its log went back: what lies before needs no commit.
    package mutating func begin(_ partition: TopicPartition, at offset: Int64) {
        confirmed[partition] = offset
        disown(partition)
    }

    /// Forgets a partition.
    package mutating func forget(_ partition: TopicPartition) {
        confirmed[partition] = nil
        disown(partition)
    }

    package func confirmedOffset(_ partition: TopicPartition) -> Int64? { confirmed[partition] }

    /// The commit to send now, nil when nothing moved, one is in flight, or it is too soon.
    package mutating func plan(
        marks: [TopicPartition: Int64],
        now: MonotonicInstant
    ) -> [TopicPartition: Int64]? {
        if let sentAt {
            let age = now - sentAt
            if !sent.isEmpty, age < Self.answerLimit { return nil }
            if age < Self.interval { return nil }
        }
        let offsets = advanced(marks)
        guard !offsets.isEmpty else { return nil }
        sent = offsets
        disowned = []
        sentAt = now
        return offsets
    }

    /// What lies beyond the confirmed offsets, whatever is in flight: for the last commit before giving up.
    package func advanced(_ marks: [TopicPartition: Int64]) -> [TopicPartition: Int64] {
        marks.filter { partition, mark in confirmed[partition].map { mark > $0 } ?? false }
    }

    /// Takes an answer, or the part of one that concerns these partitions.
    ///
    /// An answer to an older commit than the last (it had timed out) is known by its offsets and ignored.
    package mutating func completed(_ offsets: [TopicPartition: Int64], succeeded: Bool) {
        for (partition, offset) in offsets where sent[partition] == offset {
            sent[partition] = nil
            let isOurs = disowned.remove(partition) == nil
            if succeeded, isOurs, let known = confirmed[partition] { confirmed[partition] = max(known, offset) }
        }
    }

    private mutating func disown(_ partition: TopicPartition) {
        if sent[partition] != nil { disowned.insert(partition) }
    }
}
