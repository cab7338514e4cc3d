// The receiver's pure parts.

import Basics
import HTTPServer
import Kafka
import PlaidAPI
import ServiceKit
import Testing

@testable import WebhookReceiver

private let start = MonotonicInstant(nanoseconds: 1_000_000_000)

@Suite struct RetryAdviceTests {
    static let ages: [(seconds: Int64, expected: Int)] = [
        (0, 10), (39, 10), (40, 10), (60, 15), (400, 100), (2_400, 600), (86_400, 600),
    ]

    @Test(arguments: ages)
    func `is a quarter of the trouble's age within ten seconds and ten minutes`(
        _ age: (seconds: Int64, expected: Int)
    ) {
        var advice = RetryAdvice()
        advice.failed(.kafka, at: start)
        #expect(advice.seconds(for: .kafka, at: start + .seconds(age.seconds), spread: 0.5) == age.expected)
    }

    @Test func `is spread by a fifth either way and never beyond`() {
        var advice = RetryAdvice()
        advice.failed(.kafka, at: start)
        let now = start + .seconds(400)
        #expect(advice.seconds(for: .kafka, at: now, spread: 0) == 80)
        #expect(advice.seconds(for: .kafka, at: now, spread: 1) == 120)
        #expect(advice.seconds(for: .kafka, at: now, spread: -5) == 80)
        #expect(advice.seconds(for: .kafka, at: now, spread: 5) == 120)
    }

    @Test func `counts from the first failure, ends with a success, and keeps dependencies apart`() {
        var advice = RetryAdvice()
        advice.failed(.kafka, at: start)
        advice.failed(.kafka, at: start + .seconds(400))
        #expect(advice.troubleBegan(.kafka) == start)
        #expect(advice.seconds(for: .keyService, at: start + .seconds(400), spread: 0.5) == 10)
        #expect(advice.seconds(for: nil, at: start + .seconds(400), spread: 0.5) == 10)
        advice.succeeded(.kafka)
        #expect(advice.troubleBegan(.kafka) == nil)
        #expect(advice.seconds(for: .kafka, at: start + .seconds(400), spread: 0.5) == 10)
    }
}

@Suite struct RefusalRatioTests {
    private let noon = Timestamp(secondsSinceEpoch: 1_795_230_000)

    @Test func `is refused over all of the last twenty-four hours`() {
        var ratio = RefusalRatio()
        #expect(ratio.ratio(at: noon) == nil)
        for _ in 0..<3 { ratio.record(accepted: false, at: noon) }
        ratio.record(accepted: true, at: noon + .seconds(3_600))
        #expect(ratio.ratio(at: noon + .seconds(3_600)) == 0.75)
    }

    @Test func `forgets hour by hour, and an hour's place is used again`() {
        var ratio = RefusalRatio()
        ratio.record(accepted: false, at: noon)
        ratio.record(accepted: true, at: noon + .seconds(3_600))
        #expect(ratio.ratio(at: noon + .seconds(23 * 3_600)) == 0.5)
        #expect(ratio.ratio(at: noon + .seconds(24 * 3_600)) == 0)
        #expect(ratio.ratio(at: noon + .seconds(25 * 3_600)) == nil)
        ratio.record(accepted: true, at: noon + .seconds(24 * 3_600))
        #expect(ratio.ratio(at: noon + .seconds(24 * 3_600)) == 0)
    }

    @Test func `a clock that goes back counts nothing of the future`() {
        var ratio = RefusalRatio()
        ratio.record(accepted: false, at: noon + .seconds(7_200))
        #expect(ratio.ratio(at: noon) == nil)
    }
}

@Suite struct KeyWaitsTests {
    private func exchange(_ serial: UInt64) -> Exchange { Exchange.detached(serial: serial) { _ in } }

    @Test func `a key after the wait began, and one before it was noted, leave nothing behind`() {
        var waits = KeyWaits()
        let first = exchange(1)
        waits.began(first)
        #expect(waits.abandoned(first))
        waits.ended(first)
        #expect(!waits.abandoned(first))
        let second = exchange(2)
        waits.ended(second)
        #expect(!waits.abandoned(second))
        waits.began(second)
        #expect(!waits.abandoned(second))
        #expect(waits.count == 0)
    }

    @Test func `any interleaving of many ends empty`() {
        var random = SeededGenerator(seed: 5)
        var waits = KeyWaits()
        var steps: [(Exchange, Bool)] = []
        for serial in 1...500 {
            let one = exchange(UInt64(serial))
            steps += [(one, true), (one, false)]
        }
        steps.shuffle(using: &random)
        for (one, begins) in steps { if begins { waits.began(one) } else { waits.ended(one) } }
        #expect(waits.count == 0)
    }
}

@Suite struct ClockWatchTests {
    private let noon = Timestamp(secondsSinceEpoch: 1_795_230_000)

    @Test func `trusts nothing before the first comparison`() {
        let watch = ClockWatch()
        #expect(watch.trust(wall: noon, monotonic: start) == .unchecked)
        #expect(watch.compared == nil)
    }

    @Test func `a good verdict ends by age, a bad one does not`() {
        var watch = ClockWatch()
        #expect(watch.compare(with: noon, wall: noon, monotonic: start) == .good)
        func trust(_ seconds: Int64) -> ClockTrust {
            watch.trust(wall: noon + .seconds(seconds), monotonic: start + .seconds(seconds))
        }
        #expect(trust(900) == .good)
        #expect(trust(901) == .unchecked)
        #expect(watch.compare(with: noon + .seconds(61), wall: noon, monotonic: start) == .off)
        #expect(trust(90_000) == .off)
    }

    @Test(arguments: [-3_600, -6, 6, 3_600] as [Int64])
    func `a step of the time of day ends either verdict`(_ step: Int64) {
        for difference in [Int64(0), 120] {
            var watch = ClockWatch()
            let verdict = watch.compare(with: noon + .seconds(difference), wall: noon, monotonic: start)
            let now = start + .seconds(60)
            #expect(watch.trust(wall: noon + .seconds(60), monotonic: now) == verdict)
            #expect(watch.trust(wall: noon + .seconds(60 + step), monotonic: now) == .unchecked)
        }
    }

    @Test func `probes come thirty seconds apart`() {
        var watch = ClockWatch()
        let taken = (0..<90).filter { watch.takeProbe(at: start + .seconds(Int64($0))) }
        #expect(taken == [0, 30, 60])
    }
}

@Suite struct ReceiverHealthTests {
    @Test func `is not ready before topics were measured, and names the first that is missing`() {
        #expect(ReceiverHealth.kafka([:]) == .failing("not yet measured"))
    }
}
