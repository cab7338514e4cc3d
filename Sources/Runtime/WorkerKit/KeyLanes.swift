// Order within a key, freedom between keys. Pure: it says what may start, the driver starts it.

/// Names the lane an event queues in.
package enum LaneKey: Hashable, Sendable {
    /// Events with one record key share a lane, whichever topic they came from: the source and `<group>.retry`.
    case key([UInt8])
    /// A record without a key waits for nobody. The number makes it unique.
    case unkeyed(UInt64)
}

/// Whether queued events of one lane may be handled by one piece of work.
package enum MergeRule: Hashable, Sendable {
    /// Never merged, and nothing overtakes it.
    case alone
    /// Never merged, but events behind it may join a piece of work that began before it.
    case overtakable
    /// Merged with the events of the same name that stand in the lane when the first of them starts.
    case together(String)
}

/// What a lane needs to know of the events in it.
package protocol LaneItem: Sendable {
    var mergeRule: MergeRule { get }
}

/// A queue for each key: at most one piece of work of a key runs, different keys run at once.
///
/// A lane is *ready* (work queued, nothing running), *running*, or *waiting* (its first event is to be repeated
/// later; what is behind it keeps its place). Ready lanes start in the order in which they became ready. A lane
/// without work does not exist, so memory follows the events in hand.
package struct KeyLanes<Item: LaneItem>: Sendable {
    /// The most events one piece of work takes: bounds what one failure repeats.
    package static var maxMerged: Int { 256 }

    /// Queued events in lanes that are ready or running: what waits only for a place.
    package private(set) var queuedCount = 0
    /// Queued events in waiting lanes: counted apart, so that repeats do not take the place of healthy work.
    package private(set) var waitingCount = 0
    /// Lanes whose work runs now.
    package private(set) var runningCount = 0

    private var lanes: [LaneKey: Lane] = [:]
    /// Keys of ready lanes in turn. A key whose lane is not ready any more is skipped when its turn comes.
    private var turns = Fifo<LaneKey>()
    private var nextHold: UInt64 = 0

    private enum LaneState: Equatable {
        case ready
        case running
        /// Until ``wake(_:hold:)`` with the same number: an older timer changes nothing.
        case waiting(hold: UInt64)
    }

    private struct Lane: Sendable {
        var queue = Fifo<Item>()
        var state = LaneState.ready
    }

    package init() {}

    package var laneCount: Int { lanes.count }

    /// Whether some lane could start.
    package var hasReady: Bool {
        turns.contains { lanes[$0]?.state == .ready }
    }

    /// Adds an event at the end of its lane.
    package mutating func enqueue(_ item: Item, in key: LaneKey) {
        if lanes[key] == nil {
            lanes[key] = Lane()
            turns.append(key)
        }
        lanes[key]?.queue.append(item)
        if case .waiting = lanes[key]?.state { waitingCount += 1 } else { queuedCount += 1 }
    }

    /// A piece of work that has begun: its lane runs until ``finish(_:)`` or ``putBack(_:in:waits:)``.
    package struct Started: Sendable {
        package let key: LaneKey
        /// The events in order of arrival, at least one.
        package let items: [Item]
    }

    /// Begins the next piece of work: the first event of the lane whose turn it is, and those it merges with.
    package mutating func startNext() -> Started? {
        while let key = turns.popFirst() {
            guard lanes[key]?.state == .ready else { continue }
            return start(key)
        }
        return nil
    }

    /// Begins the first piece of work that satisfies a condition; the others keep their turns.
    package mutating func startNext(where condition: ([Item]) -> Bool) -> Started? {
        for key in turns.elements {
            guard let lane = lanes[key], lane.state == .ready, condition(Self.merged(lane.queue.elements)) else {
                continue
            }
            _ = turns.extract { $0 == key }
            return start(key)
        }
        return nil
    }

    /// Ends a lane's work; its next event becomes ready.
    package mutating func finish(_ key: LaneKey) {
        precondition(lanes[key]?.state == .running, "only a running lane finishes")
        runningCount -= 1
        settle(key)
    }

    /// Ends a lane's work with events that are to be handled again, before all others of the lane.
    ///
    /// - Parameter waits: True holds the lane until ``wake(_:hold:)``; false makes it ready at once, at the end of
    ///   the turns.
    /// - Returns: The number of the hold, nil when the lane does not wait.
    @discardableResult
    package mutating func putBack(_ items: [Item], in key: LaneKey, waits: Bool) -> UInt64? {
        precondition(lanes[key]?.state == .running, "only a running lane puts back")
        runningCount -= 1
        lanes[key]?.queue.prepend(items)
        queuedCount += items.count
        guard waits, !items.isEmpty, let count = lanes[key]?.queue.count else {
            settle(key)
            return nil
        }
        nextHold += 1
        lanes[key]?.state = .waiting(hold: nextHold)
        queuedCount -= count
        waitingCount += count
        return nextHold
    }

    package func isWaiting(_ key: LaneKey, hold: UInt64) -> Bool {
        lanes[key]?.state == .waiting(hold: hold)
    }

    /// Ends a lane's wait.
    ///
    /// - Returns: False when that wait is over already; then nothing changes.
    @discardableResult
    package mutating func wake(_ key: LaneKey, hold: UInt64) -> Bool {
        guard let lane = lanes[key], lane.state == .waiting(hold: hold) else { return false }
        waitingCount -= lane.queue.count
        queuedCount += lane.queue.count
        settle(key)
        return true
    }

    /// Takes out every queued event that satisfies the condition, wherever it stands; what runs goes on.
    ///
    /// A lane that waited for a repeat which is taken out becomes ready for what stood behind it.
    package mutating func purge(where condition: (Item) -> Bool) -> [Item] {
        var purged: [Item] = []
        for key in Array(lanes.keys) {
            guard var lane = lanes[key] else { continue }
            let firstGoes = lane.queue.first.map(condition) ?? false
            let taken = lane.queue.extract(condition)
            guard !taken.isEmpty else { continue }
            lanes[key] = lane
            purged += taken
            guard case .waiting = lane.state else {
                queuedCount -= taken.count
                if lane.state == .ready, lane.queue.isEmpty { lanes[key] = nil }
                continue
            }
            waitingCount -= taken.count
            if lane.queue.isEmpty || firstGoes {
                waitingCount -= lane.queue.count
                queuedCount += lane.queue.count
                settle(key)
            }
        }
        if !purged.isEmpty { dropEmptyTurns() }
        return purged
    }

    /// Every queued event, for a display.
    package func forEachQueued(_ body: (_ item: Item, _ isWaiting: Bool) -> Void) {
        for lane in lanes.values {
            let isWaiting = if case .waiting = lane.state { true } else { false }
            for item in lane.queue.elements { body(item, isWaiting) }
        }
    }

    /// The events that one piece of work takes from the front of this queue.
    private static func merged(_ queue: [Item]) -> [Item] {
        indicesMerged(queue).map { queue[$0] }
    }

    private static func indicesMerged(_ queue: [Item]) -> [Int] {
        guard let first = queue.first else { return [] }
        var indices = [0]
        guard case .together = first.mergeRule else { return indices }
        scan: for index in queue.indices.dropFirst() where indices.count < maxMerged {
            switch queue[index].mergeRule {
            case first.mergeRule: indices.append(index)
            case .overtakable: continue
            case .alone, .together: break scan
            }
        }
        return indices
    }

    private mutating func start(_ key: LaneKey) -> Started {
        var items: [Item] = []
        if let first = lanes[key]?.queue.popFirst() { items.append(first) }
        if let first = items.first, case .together = first.mergeRule, let rest = lanes[key]?.queue, !rest.isEmpty {
            let queue = items + rest.elements
            let joined = Set(Self.indicesMerged(queue))
            items = joined.sorted().map { queue[$0] }
            var kept = Fifo<Item>()
            for index in queue.indices where !joined.contains(index) { kept.append(queue[index]) }
            lanes[key]?.queue = kept
        }
        lanes[key]?.state = .running
        queuedCount -= items.count
        runningCount += 1
        return Started(key: key, items: items)
    }

    /// Leaves one turn for each ready lane: without this, lanes that end and come again while nothing may start
    /// would leave a turn behind each time.
    private mutating func dropEmptyTurns() {
        var seen: Set<LaneKey> = []
        _ = turns.extract { lanes[$0]?.state != .ready || !seen.insert($0).inserted }
    }

    /// Makes a lane ready for its next event, or ends it when there is none.
    private mutating func settle(_ key: LaneKey) {
        if lanes[key]?.queue.isEmpty ?? true {
            lanes[key] = nil
        } else {
            lanes[key]?.state = .ready
            turns.append(key)
        }
    }
}
