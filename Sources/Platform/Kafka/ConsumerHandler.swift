// What a consumer tells its owner, and in which order.

package import Basics

/// The receiving side of a ``Consumer``. Every call comes on the consumer's poll thread, one at a time, and must not
/// block it: heartbeats go on, but nothing else is served meanwhile.
package protocol ConsumerHandler: AnyObject, Sendable {
    /// These partitions are ours from now on; their records come after this call. `epoch` grows with each assignment.
    /// The list may be empty (more members than partitions); no revocation answers that one.
    func assigned(_ partitions: [TopicPartition], epoch: UInt64)

    /// These partitions go. No record of them comes any more.
    ///
    /// - Parameters:
    ///   - lost: They are others' already: nothing can be committed, and what is returned is ignored.
    ///   - wait: Waits on the poll thread until `isDone` or the instant, serving commits, pauses and resumes
    ///     meanwhile. Looks at `isDone` after each ``Consumer/commit(_:)`` and ``Consumer/wake()``, and four times a second.
    /// - Returns: Next offsets to read, committed before the partitions are given up.
    func revoked(
        _ partitions: [TopicPartition],
        lost: Bool,
        wait: (_ until: MonotonicInstant, _ isDone: () -> Bool) -> Void
    ) -> [TopicPartition: Int64]

    func received(_ record: ConsumerRecord)

    /// What became of one ``Consumer/commit(_:)`` or of the offsets returned by `revoked`. Offsets of partitions that
    /// failed by themselves, or are not ours, come in a call of their own.
    func commitCompleted(_ offsets: [TopicPartition: Int64], error: KafkaError?)

    /// After each batch of records, and at least every ``Consumer/tickInterval``.
    func tick(_ now: MonotonicInstant)

    /// A broker or the group is in trouble. Not retriable or fatal ones mean that this consumer reads no more.
    func consumerError(_ error: KafkaError)
}
