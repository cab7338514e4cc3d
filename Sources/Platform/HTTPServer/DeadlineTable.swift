// Deadlines of all connections: one list per state, kept in order, so that the oldest is at the head.

import Basics

/// A list of slots per ``ConnectionState``, linked by index. Within a state deadlines come almost always in order, so
/// that a change costs O(1); one that does not is sorted in from the back, past at most all others of its state.
struct DeadlineTable {
    private struct Entry {
        var state: ConnectionState?
        var deadline = MonotonicInstant.distantFuture
        var previous = -1
        var next = -1
    }
    private struct Ends {
        var first = -1
        var last = -1
    }
    private var entries: [Entry] = []
    private var lists = [Ends](repeating: Ends(), count: ConnectionState.allCases.count)
    private var counts = [Int](repeating: 0, count: ConnectionState.allCases.count)

    func count(in state: ConnectionState) -> Int { counts[state.rawValue] }

    /// Moves `slot` into the list of `state`.
    mutating func set(_ slot: Int, _ state: ConnectionState, at deadline: MonotonicInstant) {
        while entries.count <= slot { entries.append(Entry()) }
        clear(slot)
        var before = lists[state.rawValue].last
        while before >= 0, entries[before].deadline > deadline { before = entries[before].previous }
        let after = before >= 0 ? entries[before].next : lists[state.rawValue].first
        entries[slot] = Entry(state: state, deadline: deadline, previous: before, next: after)
        if before >= 0 { entries[before].next = slot } else { lists[state.rawValue].first = slot }
        if after >= 0 { entries[after].previous = slot } else { lists[state.rawValue].last = slot }
        counts[state.rawValue] += 1
    }

    /// Takes `slot` out of whatever list it is in.
    mutating func clear(_ slot: Int) {
        guard slot < entries.count, let state = entries[slot].state else { return }
        let entry = entries[slot]
        if entry.previous >= 0 {
            entries[entry.previous].next = entry.next
        } else {
            lists[state.rawValue].first = entry.next
        }
        if entry.next >= 0 {
            entries[entry.next].previous = entry.previous
        } else {
            lists[state.rawValue].last = entry.previous
        }
        entries[slot] = Entry()
        counts[state.rawValue] -= 1
    }

    /// The slot that has been in this state longest, by deadline.
    func oldest(in state: ConnectionState) -> Int? {
        let first = lists[state.rawValue].first
        return first >= 0 ? first : nil
    }

    /// All slots of a state, the oldest first.
    func slots(in state: ConnectionState) -> [Int] {
        var slots: [Int] = []
        var slot = lists[state.rawValue].first
        while slot >= 0 {
            slots.append(slot)
            slot = entries[slot].next
        }
        return slots
    }

    /// The earliest deadline of all.
    var next: MonotonicInstant? {
        var earliest: MonotonicInstant?
        for list in lists where list.first >= 0 {
            let deadline = entries[list.first].deadline
            if earliest.map({ deadline < $0 }) ?? true { earliest = deadline }
        }
        return earliest
    }

    /// Takes one expired slot out of its list; nil when none is left.
    mutating func popExpired(_ now: MonotonicInstant) -> (slot: Int, state: ConnectionState)? {
        for state in ConnectionState.allCases {
            let first = lists[state.rawValue].first
            if first >= 0, entries[first].deadline <= now {
                clear(first)
                return (first, state)
            }
        }
        return nil
    }
}
