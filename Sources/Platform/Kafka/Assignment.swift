// Which partitions are ours, what is paused, how far was committed. A struct without I/O.

/// The consumer's own book of its assignment: librdkafka 2.0.2 accepts commits that go backwards, commits of
/// partitions given up, and re-delivers when a partition that is not paused is resumed.
struct Assignment {
    private(set) var partitions: Set<TopicPartition> = []
    private(set) var paused: Set<TopicPartition> = []
    /// The highest offset that was sent for commit, of partitions that are ours.
    private var sent: [TopicPartition: Int64] = [:]
    private(set) var epoch: UInt64 = 0

    /// - Returns: The number of this assignment.
    mutating func assign(_ added: [TopicPartition]) -> UInt64 {
        partitions.formUnion(added)
        epoch += 1
        return epoch
    }

    mutating func revoke(_ removed: [TopicPartition]) {
        partitions.subtract(removed)
        paused.subtract(removed)
        for partition in removed { sent[partition] = nil }
    }

    /// Those that are ours and not paused yet; they count as paused now.
    mutating func pause(_ wanted: Set<TopicPartition>) -> [TopicPartition] {
        let new = wanted.intersection(partitions).subtracting(paused)
        paused.formUnion(new)
        return new.sorted()
    }

    /// Those that are paused; they count as running now.
    mutating func resume(_ wanted: Set<TopicPartition>) -> [TopicPartition] {
        let gone = wanted.intersection(paused)
        paused.subtract(gone)
        return gone.sorted()
    }

    /// Sorts what may be sent from what is not ours. What is not beyond an offset sent before, and not failed since,
    /// is dropped: the broker knows better already.
    mutating func admit(
        _ offsets: [TopicPartition: Int64]
    ) -> (send: [TopicPartition: Int64], foreign: [TopicPartition: Int64], known: [TopicPartition: Int64]) {
        var send: [TopicPartition: Int64] = [:]
        var foreign: [TopicPartition: Int64] = [:]
        var known: [TopicPartition: Int64] = [:]
        for (partition, offset) in offsets {
            if !partitions.contains(partition) {
                foreign[partition] = offset
            } else if let before = sent[partition], offset <= before {
                known[partition] = offset
            } else {
                send[partition] = offset
                sent[partition] = offset
            }
        }
        return (send, foreign, known)
    }

    /// A commit failed: the same offset may be sent again.
    mutating func forget(_ offsets: some Collection<TopicPartition>) {
        for partition in offsets { sent[partition] = nil }
    }
}
