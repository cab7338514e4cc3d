import Basics
import Testing
import WorkerKit

/// The struct behind a reference, since the expectation macros take no mutating calls.
private final class Ledger {
    private var value: PartitionLedger
    init(epoch: UInt64) { value = PartitionLedger(epoch: epoch) }
    var lowWaterMark: Int64? { value.lowWaterMark }
    var unfinishedCount: Int { value.unfinishedCount }
    var unfinishedOffsets: [Int64] { value.unfinishedOffsets }
    var rewinds: Int { value.rewinds }
    func begin(_ offset: Int64) -> PartitionLedger.Begun { value.begin(offset) }
    @discardableResult
    func finish(_ sequence: UInt64) -> Bool { value.finish(sequence) }
}

@Suite struct PartitionLedgerTests {
    @Test func `nothing is committable before the first record`() {
        #expect(Ledger(epoch: 1).lowWaterMark == nil)
    }

    @Test func `the mark stays at the lowest unfinished offset and passes all that is done at once`() {
        let ledger = Ledger(epoch: 1)
        let sequences = (10..<15).map { ledger.begin($0).sequence }
        #expect(ledger.lowWaterMark == 10)
        for index in [1, 2, 4] { ledger.finish(sequences[index]) }
        #expect(ledger.lowWaterMark == 10)
        ledger.finish(sequences[0])
        #expect(ledger.lowWaterMark == 13)
        ledger.finish(sequences[3])
        #expect(ledger.lowWaterMark == 15)
        #expect(ledger.unfinishedCount == 0)
    }

    @Test func `offsets that were never fetched count as done`() {
        let ledger = Ledger(epoch: 1)
        let first = ledger.begin(3).sequence
        let second = ledger.begin(9).sequence
        ledger.finish(first)
        #expect(ledger.lowWaterMark == 9)
        ledger.finish(second)
        #expect(ledger.lowWaterMark == 10)
    }

    @Test func `a second completion, and one of a record never begun, change nothing`() {
        let ledger = Ledger(epoch: 1)
        let first = ledger.begin(0).sequence
        _ = ledger.begin(1)
        #expect(ledger.finish(first))
        #expect(!ledger.finish(first))
        #expect(!ledger.finish(99))
        #expect(ledger.lowWaterMark == 1)
        #expect(ledger.unfinishedCount == 1)
    }

    @Test func `a log that goes back takes the mark with it`() {
        let ledger = Ledger(epoch: 1)
        let old = (100..<104).map { ledger.begin($0).sequence }
        ledger.finish(old[0])
        let begun = ledger.begin(0)
        #expect(begun.isRewind)
        #expect(ledger.rewinds == 1)
        #expect(ledger.lowWaterMark == 0)
        #expect(!ledger.finish(old[2]), "what was overtaken is no longer in hand")
        ledger.finish(begun.sequence)
        #expect(ledger.lowWaterMark == 1)
        #expect(!ledger.begin(1).isRewind)
        #expect(ledger.lowWaterMark == 1)
    }

    @Test func `a record below the rewind still holds the mark`() {
        let ledger = Ledger(epoch: 1)
        let low = ledger.begin(5).sequence
        _ = ledger.begin(6)
        let again = ledger.begin(6)
        #expect(again.isRewind)
        ledger.finish(again.sequence)
        #expect(ledger.lowWaterMark == 5)
        ledger.finish(low)
        #expect(ledger.lowWaterMark == 7)
    }

    /// Random begins, gaps, completions in any order and rewinds against the plainest model there is.
    @Test func `agrees with a naive model over 2000 seeds`() async {
        /// The macro costs more than all that is tested here.
        func check(_ condition: Bool, _ note: @autoclosure () -> String = "", line: Int = #line) {
            if !condition { Issue.record("line \(line): \(note())") }
        }
        for seed in UInt64(0)..<2_000 {
            // The pool has a thread for each core, and other tests wait for theirs.
            await Task.yield()
            var random = SeededGenerator(seed: seed)
            let ledger = Ledger(epoch: seed)
            var model: [(sequence: UInt64, offset: Int64, live: Bool)] = []
            var next: Int64 = Int64.random(in: 0..<50, using: &random)
            var last: Int64?
            let rewindsAllowed = seed % 4 == 0
            for _ in 0..<Int.random(in: 1...80, using: &random) {
                let before = ledger.lowWaterMark
                var rewound = false
                switch Int.random(in: 0..<20, using: &random) {
                case 0..<9:
                    if Int.random(in: 0..<8, using: &random) == 0 { next += Int64.random(in: 1...9, using: &random) }
                    let begun = ledger.begin(next)
                    check(!begun.isRewind)
                    model.append((begun.sequence, next, true))
                    last = next
                    next += 1
                case 9 where rewindsAllowed && last != nil:
                    let target = Int64.random(in: 0...(last ?? 0), using: &random)
                    let begun = ledger.begin(target)
                    check(begun.isRewind)
                    for index in model.indices where model[index].offset >= target { model[index].live = false }
                    model.append((begun.sequence, target, true))
                    last = target
                    next = target + 1
                    rewound = true
                default:
                    guard let pick = model.indices.randomElement(using: &random) else { continue }
                    check(ledger.finish(model[pick].sequence) == model[pick].live)
                    model[pick].live = false
                }
                let live = model.filter(\.live).map(\.offset)
                check(ledger.lowWaterMark == live.min() ?? last.map { $0 + 1 }, "seed \(seed)")
                check(ledger.unfinishedCount == live.count, "seed \(seed)")
                check(ledger.unfinishedOffsets == live.sorted(), "seed \(seed)")
                if let before, let after = ledger.lowWaterMark, !rewound { check(after >= before, "seed \(seed)") }
            }
        }
    }
}
