import Basics
import Testing
import WorkerKit

private struct Item: LaneItem, Equatable {
    var id: Int
    var mergeRule = MergeRule.alone
    var group = 0
}

/// The struct behind a reference, since the expectation macros take no mutating calls.
private final class Lanes {
    var value = KeyLanes<Item>()
    var queuedCount: Int { value.queuedCount }
    var waitingCount: Int { value.waitingCount }
    var runningCount: Int { value.runningCount }
    var laneCount: Int { value.laneCount }
    var hasReady: Bool { value.hasReady }
    func enqueue(_ item: Item, in key: LaneKey) { value.enqueue(item, in: key) }
    func startNext() -> KeyLanes<Item>.Started? { value.startNext() }
    func startNext(where condition: ([Item]) -> Bool) -> KeyLanes<Item>.Started? { value.startNext(where: condition) }
    func finish(_ key: LaneKey) { value.finish(key) }
    @discardableResult
    func putBack(_ items: [Item], in key: LaneKey, waits: Bool) -> UInt64? {
        value.putBack(items, in: key, waits: waits)
    }
    @discardableResult
    func wake(_ key: LaneKey, hold: UInt64) -> Bool { value.wake(key, hold: hold) }
    func purge(where condition: (Item) -> Bool) -> [Item] { value.purge(where: condition) }
}

@Suite struct KeyLanesTests {
    private let a = LaneKey.key([1])
    private let b = LaneKey.key([2])

    private func lanes(_ items: [(LaneKey, Item)]) -> Lanes {
        let lanes = Lanes()
        for (key, item) in items { lanes.enqueue(item, in: key) }
        return lanes
    }

    @Test func `one event of a key at a time, different keys at once`() throws {
        let lanes = lanes([(a, Item(id: 1)), (a, Item(id: 2)), (b, Item(id: 3))])
        #expect(lanes.startNext()?.items.map(\.id) == [1])
        #expect(lanes.startNext()?.items.map(\.id) == [3])
        #expect(lanes.startNext() == nil)
        lanes.finish(a)
        #expect(lanes.startNext()?.items.map(\.id) == [2])
        lanes.finish(a)
        lanes.finish(b)
        #expect(lanes.laneCount == 0)
        #expect(lanes.queuedCount == 0)
        #expect(lanes.runningCount == 0)
    }

    @Test func `records without a key wait for nobody`() {
        let lanes = lanes((0..<5).map { (LaneKey.unkeyed(UInt64($0)), Item(id: $0)) })
        for id in 0..<5 { #expect(lanes.startNext()?.items.map(\.id) == [id]) }
    }

    @Test func `a key that comes often does not go before the others`() {
        let lanes = lanes([(a, Item(id: 1)), (a, Item(id: 2)), (b, Item(id: 3))])
        _ = lanes.startNext()
        lanes.finish(a)
        #expect(lanes.startNext()?.items.map(\.id) == [3])
        #expect(lanes.startNext()?.items.map(\.id) == [2])
    }

    struct MergeCase: Sendable, CustomTestStringConvertible {
        var queue: [MergeRule]
        var started: [Int]
        var testDescription: String { "\(queue)" }
    }

    @Test(arguments: [
        MergeCase(queue: [.together("r"), .together("r"), .together("r")], started: [0, 1, 2]),
        MergeCase(queue: [.together("r"), .overtakable, .together("r")], started: [0, 2]),
        MergeCase(queue: [.together("r"), .alone, .together("r")], started: [0]),
        MergeCase(queue: [.together("r"), .together("s"), .together("r")], started: [0]),
        MergeCase(queue: [.alone, .alone], started: [0]),
        MergeCase(queue: [.overtakable, .together("r")], started: [0]),
        MergeCase(queue: [.together("r")], started: [0]),
    ])
    func `merges what stands in the lane by its rule and keeps the rest in order`(_ example: MergeCase) {
        let lanes = lanes(example.queue.enumerated().map { (a, Item(id: $0.offset, mergeRule: $0.element)) })
        #expect(lanes.startNext()?.items.map(\.id) == example.started)
        #expect(lanes.queuedCount == example.queue.count - example.started.count)
        var rest: [Int] = []
        while lanes.runningCount > 0 {
            lanes.finish(a)
            rest += lanes.startNext()?.items.map(\.id) ?? []
        }
        #expect(rest == example.queue.indices.filter { !example.started.contains($0) })
    }

    @Test func `an event that comes while the work runs is not part of it`() {
        let lanes = lanes([(a, Item(id: 1, mergeRule: .together("r")))])
        #expect(lanes.startNext()?.items.map(\.id) == [1])
        lanes.enqueue(Item(id: 2, mergeRule: .together("r")), in: a)
        lanes.enqueue(Item(id: 3, mergeRule: .together("r")), in: a)
        lanes.finish(a)
        #expect(lanes.startNext()?.items.map(\.id) == [2, 3])
    }

    @Test func `merging is bounded`() {
        let lanes = lanes((0..<600).map { (a, Item(id: $0, mergeRule: .together("r"))) })
        #expect(lanes.startNext()?.items.count == KeyLanes<Item>.maxMerged)
        lanes.finish(a)
        #expect(lanes.startNext()?.items.first?.id == KeyLanes<Item>.maxMerged)
    }

    @Test func `a waiting lane keeps its order, is counted apart, and holds no other lane`() throws {
        let lanes = lanes([(a, Item(id: 1)), (a, Item(id: 2)), (b, Item(id: 3))])
        let work = try #require(lanes.startNext())
        let hold = try #require(lanes.putBack(work.items, in: a, waits: true))
        #expect(lanes.waitingCount == 2)
        #expect(lanes.queuedCount == 1)
        lanes.enqueue(Item(id: 4), in: a)
        #expect(lanes.waitingCount == 3)
        #expect(lanes.startNext()?.items.map(\.id) == [3])
        #expect(lanes.startNext() == nil)
        #expect(!lanes.wake(a, hold: hold + 1), "an older or foreign timer wakes nothing")
        #expect(lanes.wake(a, hold: hold))
        #expect(!lanes.wake(a, hold: hold))
        for id in [1, 2, 4] {
            #expect(lanes.startNext()?.items.map(\.id) == [id])
            lanes.finish(a)
        }
        #expect(lanes.waitingCount == 0)
    }

    @Test func `what came during the wait joins the repeat`() throws {
        let lanes = lanes([(a, Item(id: 1, mergeRule: .together("r")))])
        let work = try #require(lanes.startNext())
        let hold = try #require(lanes.putBack(work.items, in: a, waits: true))
        lanes.enqueue(Item(id: 2, mergeRule: .together("r")), in: a)
        lanes.wake(a, hold: hold)
        #expect(lanes.startNext()?.items.map(\.id) == [1, 2])
    }

    @Test func `a purge takes queued and waiting events and leaves what runs`() throws {
        let lanes = lanes([
            (a, Item(id: 1, group: 1)), (a, Item(id: 2, group: 2)), (a, Item(id: 3, group: 1)),
            (b, Item(id: 4, group: 1)),
        ])
        #expect(lanes.startNext()?.items.map(\.id) == [1])
        let purged = lanes.purge { $0.group == 1 }
        #expect(Set(purged.map(\.id)) == [3, 4])
        #expect(lanes.runningCount == 1)
        #expect(lanes.queuedCount == 1)
        #expect(lanes.startNext() == nil)
        lanes.finish(a)
        #expect(lanes.startNext()?.items.map(\.id) == [2])
    }

    @Test func `purging the repeat frees what stood behind it`() throws {
        let lanes = lanes([(a, Item(id: 1, group: 1)), (a, Item(id: 2, group: 2))])
        let work = try #require(lanes.startNext())
        let hold = try #require(lanes.putBack(work.items, in: a, waits: true))
        #expect(lanes.purge { $0.group == 1 }.map(\.id) == [1])
        #expect(lanes.waitingCount == 0)
        #expect(lanes.startNext()?.items.map(\.id) == [2])
        #expect(!lanes.wake(a, hold: hold))
    }

    @Test func `starts out of turn only what the condition names`() {
        let lanes = lanes([(a, Item(id: 1)), (b, Item(id: 2))])
        #expect(lanes.startNext { $0.contains { $0.id == 2 } }?.items.map(\.id) == [2])
        #expect(lanes.startNext { $0.contains { $0.id == 9 } } == nil)
        #expect(lanes.hasReady)
        #expect(lanes.startNext()?.items.map(\.id) == [1])
        #expect(!lanes.hasReady)
    }

    /// Random traffic against a model of plain arrays: order per key, one at a time, nothing lost, counts right.
    @Test func `agrees with a naive model over 2000 seeds`() async {
        /// The macro costs more than all that is tested here.
        func check(_ condition: Bool, _ note: @autoclosure () -> String = "", line: Int = #line) {
            if !condition { Issue.record("line \(line): \(note())") }
        }
        for seed in UInt64(0)..<2_000 {
            // The pool has a thread for each core, and other tests wait for theirs.
            await Task.yield()
            var random = SeededGenerator(seed: seed &+ 77)
            let lanes = Lanes()
            var queues: [LaneKey: [Item]] = [:]
            var running: [LaneKey: [Item]] = [:]
            var holds: [LaneKey: UInt64] = [:]
            var nextID = 0
            let keys = (0..<UInt8.random(in: 1...6, using: &random)).map { LaneKey.key([$0]) }
            for _ in 0..<80 {
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<4:
                    let key = keys.randomElement(using: &random) ?? .key([0])
                    let rule = [MergeRule.alone, .overtakable, .together("x")].randomElement(using: &random) ?? .alone
                    let item = Item(id: nextID, mergeRule: rule, group: Int.random(in: 0..<3, using: &random))
                    nextID += 1
                    lanes.enqueue(item, in: key)
                    queues[key, default: []].append(item)
                case 4..<7:
                    guard let work = lanes.startNext() else {
                        let startable = queues.contains {
                            !$0.value.isEmpty && running[$0.key] == nil && holds[$0.key] == nil
                        }
                        check(!startable, "seed \(seed): something could have started")
                        continue
                    }
                    check(running[work.key] == nil && holds[work.key] == nil, "seed \(seed)")
                    var queue = queues[work.key] ?? []
                    check(queue.first == work.items.first, "seed \(seed): the first of the lane starts")
                    for pair in zip(work.items, work.items.dropFirst()) { check(pair.0.id < pair.1.id) }
                    // Nothing but overtakable events may stand between two merged ones.
                    if let last = work.items.last, let end = queue.firstIndex(of: last) {
                        for between in queue[..<end] where !work.items.contains(between) {
                            check(between.mergeRule == .overtakable, "seed \(seed)")
                        }
                    }
                    queue.removeAll { work.items.contains($0) }
                    queues[work.key] = queue
                    running[work.key] = work.items
                case 7:
                    guard let (key, items) = running.randomElement(using: &random) else { continue }
                    running[key] = nil
                    switch Int.random(in: 0..<3, using: &random) {
                    case 0: lanes.finish(key)
                    case 1:
                        lanes.putBack(items, in: key, waits: false)
                        queues[key] = items + (queues[key] ?? [])
                    default:
                        holds[key] = lanes.putBack(items, in: key, waits: true)
                        queues[key] = items + (queues[key] ?? [])
                    }
                case 8:
                    guard let (key, hold) = holds.randomElement(using: &random) else { continue }
                    check(lanes.wake(key, hold: hold))
                    holds[key] = nil
                default:
                    let group = Int.random(in: 0..<3, using: &random)
                    let purged = lanes.purge { $0.group == group }
                    let expected = queues.values.joined().filter { $0.group == group }
                    check(Set(purged.map(\.id)) == Set(expected.map(\.id)), "seed \(seed)")
                    for (key, queue) in queues {
                        if queue.first?.group == group { holds[key] = nil }
                        queues[key] = queue.filter { $0.group != group }
                        if queues[key]?.isEmpty ?? true { holds[key] = nil }
                    }
                }
                let waiting = queues.filter { holds[$0.key] != nil }.values.joined().count
                check(lanes.waitingCount == waiting, "seed \(seed)")
                check(lanes.queuedCount == queues.values.joined().count - waiting, "seed \(seed)")
                check(lanes.runningCount == running.count, "seed \(seed)")
            }
        }
    }
}
