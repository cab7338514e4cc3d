// The ladder and the nine-in-ten rule, without any I/O.

import Basics
import Testing

@testable import PlaidSandbox

@Suite struct DeliveryLadderTests {
    static let start = MonotonicInstant(nanoseconds: 1_000_000_000)
    static let refused = DeliveryAnswer.refused(status: 500, retryAfter: nil)

    /// The times of all attempts when each is answered the same at once, in seconds after the first.
    private func times(_ answer: DeliveryAnswer, speed: Double) -> (attempts: [Double], end: DeliveryLadder.Step) {
        var ladder = DeliveryLadder(firstAttempt: Self.start, speed: speed)
        var now = Self.start
        var attempts = [0.0]
        while true {
            let step = ladder.step(answer, now: now, refusesMost: false)
            guard case .again(let gap) = step, attempts.count < 10_000 else { return (attempts, step) }
            now = now + gap
            attempts.append((now - Self.start).inSeconds)
        }
    }

    @Test(arguments: [1.0, 60, 10_000])
    func `climbs 30 s, then four times as long each, within 24 hours`(_ speed: Double) {
        let expected = [0, 30, 150, 630, 2_550, 10_230, 40_950].map { $0 / speed }
        for answer in [Self.refused, .unanswered("timeout_whole"), .refused(status: 503, retryAfter: .seconds(1))] {
            let climbed = times(answer, speed: speed)
            #expect(climbed.attempts.count == expected.count)
            for (time, wanted) in zip(climbed.attempts, expected) { #expect(abs(time - wanted) < 0.001) }
            #expect(climbed.end == .lost(.endOfLadder))
        }
    }

    @Test func `a 200 ends it at any step`() {
        var ladder = DeliveryLadder(firstAttempt: Self.start, speed: 1)
        #expect(ladder.step(Self.refused, now: Self.start, refusesMost: false) == .again(after: .seconds(30)))
        #expect(ladder.step(.accepted, now: Self.start + .seconds(30), refusesMost: true) == .done)
    }

    @Test(arguments: [1.0, 60, 10_000])
    func `a 429 with Retry-After is honoured in real time and does not climb`(_ speed: Double) {
        var ladder = DeliveryLadder(firstAttempt: Self.start, speed: speed)
        let patience = DeliveryAnswer.refused(status: 429, retryAfter: .seconds(10))
        #expect(ladder.step(patience, now: Self.start, refusesMost: false) == .again(after: .seconds(10)))
        let later = Self.start + .seconds(10)
        #expect(ladder.step(Self.refused, now: later, refusesMost: false) == .again(after: .seconds(30) / speed))
    }

    @Test func `Retry-After is honoured up to four hours and until the day is over`() {
        let forever = DeliveryAnswer.refused(status: 429, retryAfter: .seconds(1_000_000))
        let climbed = times(forever, speed: 1)
        #expect(climbed.attempts == (0...6).map { Double($0) * 4 * 3_600 })
        #expect(climbed.end == .lost(.endOfLadder))
        var ladder = DeliveryLadder(firstAttempt: Self.start, speed: 1)
        let negative = DeliveryAnswer.refused(status: 429, retryAfter: .seconds(-5))
        #expect(ladder.step(negative, now: Self.start, refusesMost: false) == .again(after: .zero))
    }

    @Test func `nothing is sent again while the URL refuses most`() {
        var ladder = DeliveryLadder(firstAttempt: Self.start, speed: 1)
        #expect(ladder.step(Self.refused, now: Self.start, refusesMost: true) == .lost(.refusesMost))
    }

    @Test(arguments: [(9, 1, false), (10, 0, true), (90, 10, false), (91, 9, true), (9, 0, false), (0, 20, false)])
    func `more than nine in ten is too many, of at least ten`(_ refusals: Int, _ successes: Int, _ isTooMany: Bool) {
        var history = RefusalHistory(speed: 1)
        for _ in 0..<refusals { history.note(Self.refused, now: Self.start) }
        for _ in 0..<successes { history.note(.accepted, now: Self.start) }
        let refusesMost = history.refusesMost(now: Self.start)
        #expect(refusesMost == isTooMany)
    }

    @Test func `what is older than a day is forgotten, and patience counts on neither side`() {
        var history = RefusalHistory(speed: 60)
        for _ in 0..<20 { history.note(Self.refused, now: Self.start) }
        for _ in 0..<100 { history.note(.refused(status: 429, retryAfter: .seconds(1)), now: Self.start) }
        let atTheEnd = history.refusesMost(now: Self.start + .seconds(24 * 60))
        let after = history.refusesMost(now: Self.start + .seconds(24 * 60 + 1))
        #expect(atTheEnd && !after)
    }

    @Test func `remembers a bounded number`() {
        var history = RefusalHistory(speed: 1)
        for _ in 0..<3 * RefusalHistory.most { history.note(Self.refused, now: Self.start) }
        for _ in 0..<RefusalHistory.most / 5 { history.note(.accepted, now: Self.start) }
        let refusesMost = history.refusesMost(now: Self.start)
        #expect(!refusesMost)
    }
}
