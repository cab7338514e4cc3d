// Which waiting lane comes next. Pure; the driver keeps one timer, for the earliest.

import Basics

/// A heap of waits, earliest first. Waits that ended otherwise stay until their time and are then ignored by
/// ``KeyLanes/wake(_:hold:)``; there is at most one for each repeat that was ever asked for and is not yet due.
struct DueTimes: Sendable {
    struct Entry: Sendable {
        let at: MonotonicInstant
        let key: LaneKey
        let hold: UInt64
    }

    private var heap: [Entry] = []

    var earliest: MonotonicInstant? { heap.first?.at }
    var count: Int { heap.count }

    mutating func insert(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0, heap[child].at < heap[(child - 1) / 2].at {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Takes the earliest wait that is over.
    mutating func popDue(_ now: MonotonicInstant) -> Entry? {
        guard let first = heap.first, first.at <= now else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].at < heap[smallest].at
            {
                smallest = child
            }
            if smallest == parent { return first }
            heap.swapAt(parent, smallest)
            parent = smallest
        }
    }

    /// Forgets waits that no lane waits for any more.
    mutating func removeAll(where isOver: (Entry) -> Bool) {
        let kept = heap.filter { !isOver($0) }
        heap = []
        for entry in kept { insert(entry) }
    }
}
