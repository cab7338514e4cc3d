// What is known about one assigned partition: which records are in hand and how far they are finished.
// Commits are derived from this and from nothing else. Pure: no lock, no clock, no input or output.

/// The unfinished offsets of one partition during one assignment of it.
///
/// Records are begun in the order they are fetched and finished in any order. The low-water mark is the lowest
/// unfinished offset, or one past the last begun record when everything is finished: exactly what may be
/// committed. Offsets that were never fetched (compaction, transaction markers) count as finished.
///
/// Every record that arrives must be begun. One that is dropped after an earlier one was begun would look like a
/// gap to the next and be skipped for good.
package struct PartitionLedger: Sendable {
    /// The assignment this ledger belongs to; a completion of any other assignment is not ours.
    package let epoch: UInt64

    /// How often the log went back under us: see ``begin(_:)``.
    package private(set) var rewinds = 0

    /// Records begun and not finished.
    package private(set) var unfinishedCount = 0

    /// Records in fetch order; those before `head` are finished. Finished ones behind an unfinished one stay.
    private var entries: [Entry] = []
    private var head = 0

    /// The sequence number of `entries[0]`: sequence numbers are dense, so finishing needs no search.
    private var baseSequence: UInt64 = 0

    /// One past the offset begun last.
    private var next: Int64?

    private struct Entry {
        let offset: Int64
        var isFinished: Bool
    }

    package init(epoch: UInt64) {
        self.epoch = epoch
    }

    /// The offset that may be committed now, nil before the first record.
    package var lowWaterMark: Int64? {
        head < entries.count ? entries[head].offset : next
    }

    /// What ``begin(_:)`` made of a record.
    package struct Begun: Equatable, Sendable {
        /// Names the record to ``finish(_:)``.
        package let sequence: UInt64
        /// The log went back: earlier commits of this partition lie above its position now.
        package let isRewind: Bool
    }

    /// Takes a fetched record in hand.
    ///
    /// An offset at or below one begun earlier means that the log itself went back (the topic was made anew, or
    /// truncated by an unclean election, and the position was reset). Everything from that offset on comes again,
    /// so the old records there no longer hold the mark, and the mark goes back with the log: repeating work is
    /// harmless, holding on to the old mark would skip the new records after a restart.
    package mutating func begin(_ offset: Int64) -> Begun {
        var isRewind = false
        if let next, offset < next {
            isRewind = true
            rewinds += 1
            for index in head..<entries.count where entries[index].offset >= offset {
                settle(index)
            }
            advance()
        }
        let sequence = baseSequence + UInt64(entries.count)
        entries.append(Entry(offset: offset, isFinished: false))
        unfinishedCount += 1
        next = offset + 1
        return Begun(sequence: sequence, isRewind: isRewind)
    }

    /// Marks a record finished.
    ///
    /// - Returns: False when it is finished already (or was overtaken by a rewind); then nothing changes.
    @discardableResult
    package mutating func finish(_ sequence: UInt64) -> Bool {
        guard isUnfinished(sequence) else { return false }
        settle(Int(sequence - baseSequence))
        advance()
        return true
    }

    /// Whether this record is in hand and not finished.
    package func isUnfinished(_ sequence: UInt64) -> Bool {
        guard sequence >= baseSequence else { return false }
        let index = sequence - baseSequence
        return index < UInt64(entries.count) && !entries[Int(index)].isFinished
    }

    /// The unfinished offsets, ascending: for a display, not for the hot path.
    package var unfinishedOffsets: [Int64] {
        entries[head...].filter { !$0.isFinished }.map(\.offset)
    }

    private mutating func settle(_ index: Int) {
        guard !entries[index].isFinished else { return }
        entries[index].isFinished = true
        unfinishedCount -= 1
    }

    /// Moves the head over finished records and gives their memory back once they are the larger half.
    private mutating func advance() {
        while head < entries.count, entries[head].isFinished { head += 1 }
        if head >= 64, head * 2 >= entries.count {
            entries.removeFirst(head)
            baseSequence += UInt64(head)
            head = 0
        }
    }
}
