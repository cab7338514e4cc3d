import Basics
import Testing
import WorkerKit

@Suite struct RetryGapsTests {
    private let gaps = RetryGaps(base: .seconds(1), max: .seconds(300))

    @Test(arguments: [(0, 1), (1, 1), (2, 2), (3, 4), (8, 128), (9, 256), (10, 300), (11, 300), (1_000_000, 300)])
    func `the ceiling doubles from base to max and never overflows`(_ failures: Int, _ seconds: Int) {
        #expect(gaps.ceiling(failures) == .seconds(seconds))
    }

    @Test func `jitter covers the whole range`() {
        var random = SeededGenerator(seed: 5)
        let samples = (0..<4_000).map { _ in gaps.gap(afterFailures: 5, hint: nil, using: &random).inSeconds }
        #expect(samples.allSatisfy { (0...16).contains($0) })
        let mean = samples.reduce(0, +) / Double(samples.count)
        #expect((7.5...8.5).contains(mean))
        #expect(samples.contains { $0 < 0.5 } && samples.contains { $0 > 15.5 })
    }

    @Test func `Retry-After is the least wait, also beyond max, with at most base on top`() {
        var random = SeededGenerator(seed: 6)
        for seconds in [1, 7, 300, 3_600, 14_400] {
            for failures in [1, 9] {
                let gap = gaps.gap(afterFailures: failures, hint: .seconds(seconds), using: &random)
                #expect(gap >= .seconds(seconds) && gap <= .seconds(seconds + 1))
            }
        }
    }

    @Test func `a repeat at once is given once and then spaced`() {
        var random = SeededGenerator(seed: 7)
        #expect(gaps.gap(afterFailures: 1, hint: .zero, using: &random) == .zero)
        let later = (0..<200).map { _ in gaps.gap(afterFailures: 6, hint: .zero, using: &random) }
        #expect(later.contains { $0 > .seconds(10) })
        #expect(later.allSatisfy { $0 <= .seconds(32) })
        #expect(gaps.gap(afterFailures: 1, hint: .seconds(-5), using: &random) == .zero)
    }
}

@Suite struct DeadLetterAllowanceTests {
    private let start = MonotonicInstant(nanoseconds: 5_000_000_000)

    private func take(_ count: Int, from bucket: inout DeadLetterAllowance, at seconds: Double) -> Bool {
        bucket.take(count, now: start + .seconds(seconds))
    }

    @Test func `a hundred at once, then sixty a minute`() {
        var bucket = DeadLetterAllowance()
        var granted = 0
        for _ in 0..<150 where take(1, from: &bucket, at: 0) { granted += 1 }
        #expect(granted == 100)
        for second in 1...600 {
            for _ in 0..<5 where take(1, from: &bucket, at: Double(second)) { granted += 1 }
        }
        #expect(granted == 700)
    }

    @Test func `never more than the burst after a rest`() {
        var bucket = DeadLetterAllowance()
        _ = take(100, from: &bucket, at: 0)
        var granted = 0
        for _ in 0..<200 where take(1, from: &bucket, at: 1_000_000) { granted += 1 }
        #expect(granted == 100)
    }

    @Test func `all places or none`() {
        var bucket = DeadLetterAllowance(burst: 10, perMinute: 60)
        #expect(take(7, from: &bucket, at: 0))
        let refused = take(4, from: &bucket, at: 0)
        #expect(!refused)
        #expect(take(3, from: &bucket, at: 0))
        let more = take(25, from: &bucket, at: 9.9)
        #expect(!more)
        #expect(take(25, from: &bucket, at: 10), "more than the burst passes a full bucket")
        let after = take(1, from: &bucket, at: 10)
        #expect(!after)
    }

    @Test func `a clock that stands or steps back gives nothing`() {
        var bucket = DeadLetterAllowance(burst: 1, perMinute: 60)
        #expect(take(1, from: &bucket, at: 100))
        let back = take(1, from: &bucket, at: 0)
        #expect(!back)
        let same = take(1, from: &bucket, at: 100.5)
        #expect(!same)
        #expect(take(1, from: &bucket, at: 101))
    }
}
