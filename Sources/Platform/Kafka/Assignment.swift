// Which partitions are ours, what is paused, how far was committed. A struct without I/O.

/// The consumer's own book of its assignment: librdkafka 2.0.2 accepts commits that go backwards, commits of
/// partitions given up, and re-delivers when a partition that is not paused is resumed.
struct Assignment {
    private(set) var partitions: Set<TopicPartition> = []
    private(set) var paused: Set<TopicPartition> = []
    /// The highest offset that was sent for commit and has not failed, of partitions that are ours.
    private var sent: [TopicPartition: Int64] = [:]
    /// The highest offset that the broker has acknowledged since the assignment.
    private var acknowledged: [TopicPartition: Int64] = [:]
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
        for partition in removed {
            sent[partition] = nil
            acknowledged[partition] = nil
        }
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

    /// What is to become of the offsets of one commit.
    struct Admission {
        var send: [TopicPartition: Int64] = [:]
        /// Of partitions that are not ours.
        var foreign: [TopicPartition: Int64] = [:]
        /// Not beyond what the broker has acknowledged: nothing to do.
        var known: [TopicPartition: Int64] = [:]
        /// Behind an offset that is on its way: sent after it, they would go backwards.
        var overtaken: [TopicPartition: Int64] = [:]
    }

    /// Sorts the offsets; those to be sent count as sent.
    mutating func admit(_ offsets: [TopicPartition: Int64]) -> Admission {
        var admission = Admission()
        for (partition, offset) in offsets {
            if !partitions.contains(partition) {
                admission.foreign[partition] = offset
            } else if let before = acknowledged[partition], offset <= before {
                admission.known[partition] = offset
            } else if let before = sent[partition], offset < before {
                admission.overtaken[partition] = offset
            } else {
                admission.send[partition] = offset
                sent[partition] = offset
            }
        }
        return admission
    }

    /// A commit succeeded. Of an assignment that is over it says nothing about this one.
    mutating func acknowledge(_ offsets: [TopicPartition: Int64]) {
        for (partition, offset) in offsets {
            guard let latest = sent[partition], offset <= latest else { continue }
            acknowledged[partition] = max(offset, acknowledged[partition] ?? offset)
        }
    }

    /// A record is about to be handed out. One below what was committed means that the log itself went back (the topic
    /// was made anew, or truncated): what was committed above it names records that are gone, and must not swallow the
    /// commits of those that took their place.
    mutating func delivers(_ partition: TopicPartition, _ offset: Int64) {
        guard let before = sent[partition] ?? acknowledged[partition], offset < before else { return }
        sent[partition] = nil
        acknowledged[partition] = nil
    }

    /// A commit failed: the same offsets may be sent again.
    mutating func forget(_ offsets: some Collection<TopicPartition>) {
        for partition in offsets { sent[partition] = acknowledged[partition] }
    }
}
