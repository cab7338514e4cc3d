// The ledgers of all partitions this process has been given. Pure.

package import Kafka

/// Names one record in hand: valid for one assignment of its partition only.
package struct EventTicket: Hashable, Sendable {
    package let partition: TopicPartition
    package let epoch: UInt64
    package let sequence: UInt64
}

/// Partition by partition what is unfinished. A ticket of an older assignment changes nothing, nor does one whose
/// partition was cleared: a late completion must not touch what a newer owner, even ourselves, has begun since.
package struct AssignmentLedger: Sendable {
    private var ledgers: [TopicPartition: PartitionLedger] = [:]
    /// Being given up: nothing new begins, what has begun may still finish.
    private var closing: Set<TopicPartition> = []

    package init() {}

    package var partitions: Dictionary<TopicPartition, PartitionLedger>.Keys { ledgers.keys }
    package var unfinishedCounts: [TopicPartition: Int] { ledgers.mapValues(\.unfinishedCount) }

    package subscript(partition: TopicPartition) -> PartitionLedger? { ledgers[partition] }

    /// Starts a new ledger for each partition, in place of any older one.
    package mutating func assign(_ partitions: [TopicPartition], epoch: UInt64) {
        for partition in partitions {
            ledgers[partition] = PartitionLedger(epoch: epoch)
            closing.remove(partition)
        }
    }

    /// Lets nothing new begin. There is no way back but a new assignment: a record left out here would look like a
    /// gap to the next one.
    package mutating func close(_ partitions: [TopicPartition]) {
        closing.formUnion(partitions.filter { ledgers[$0] != nil })
    }

    /// Forgets partitions.
    package mutating func clear(_ partitions: [TopicPartition]) {
        for partition in partitions {
            ledgers[partition] = nil
            closing.remove(partition)
        }
    }

    package struct Begun: Equatable, Sendable {
        package let ticket: EventTicket
        /// The first record of this assignment: its offset is the position.
        package let isFirst: Bool
        package let isRewind: Bool
    }

    /// Takes a record in hand; nil when its partition is not ours, or about to be not.
    package mutating func begin(_ partition: TopicPartition, offset: Int64) -> Begun? {
        guard !closing.contains(partition), let isFirst = ledgers[partition].map({ $0.lowWaterMark == nil }),
            let epoch = ledgers[partition]?.epoch, let begun = ledgers[partition]?.begin(offset)
        else { return nil }
        return Begun(
            ticket: EventTicket(partition: partition, epoch: epoch, sequence: begun.sequence),
            isFirst: isFirst,
            isRewind: begun.isRewind
        )
    }

    /// Marks a record finished; false, and nothing changes, when the ticket is not (or no longer) in hand.
    @discardableResult
    package mutating func finish(_ ticket: EventTicket) -> Bool {
        guard ledgers[ticket.partition]?.epoch == ticket.epoch else { return false }
        return ledgers[ticket.partition]?.finish(ticket.sequence) ?? false
    }

    /// Whether the record is in hand and unfinished.
    package func isUnfinished(_ ticket: EventTicket) -> Bool {
        guard let ledger = ledgers[ticket.partition], ledger.epoch == ticket.epoch else { return false }
        return ledger.isUnfinished(ticket.sequence)
    }

    /// Whether the record may be started or repeated: in hand, and its partition not being given up.
    package func isStartable(_ ticket: EventTicket) -> Bool {
        !closing.contains(ticket.partition) && isUnfinished(ticket)
    }

    /// What may be committed, for partitions of which something was read.
    package func marks(of partitions: some Sequence<TopicPartition>) -> [TopicPartition: Int64] {
        var marks: [TopicPartition: Int64] = [:]
        for partition in partitions { marks[partition] = ledgers[partition]?.lowWaterMark }
        return marks
    }
}
