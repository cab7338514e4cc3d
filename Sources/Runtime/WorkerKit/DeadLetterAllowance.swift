// A bound on the rate of dead letters: an outage that is taken for bad events must not flush a topic. Pure.

package import Basics

/// A bucket: `burst` at once, then `perMinute`.
package struct DeadLetterAllowance: Sendable {
    package let burst: Int
    package let perMinute: Int
    /// How long an event without a place waits before it is tried again.
    package static let hold: Duration = .seconds(600)

    /// What is left, in nanoseconds of refill: exact, no rounding drifts.
    private var credit: Int64
    private var asOf: MonotonicInstant?
    private var cost: Int64 { 60_000_000_000 / Int64(perMinute) }

    package init(burst: Int = 100, perMinute: Int = 60) {
        precondition(burst > 0 && perMinute > 0, "a bucket that never gives holds events for ever")
        self.burst = burst
        self.perMinute = perMinute
        credit = Int64(burst) * (60_000_000_000 / Int64(perMinute))
    }

    /// Takes places for this many events, or none of them.
    ///
    /// More than ``burst`` at once can never be had whole: they pass when the bucket is full and empty it.
    package mutating func take(_ count: Int, now: MonotonicInstant) -> Bool {
        let full = Int64(burst) * cost
        if let asOf, now > asOf { credit = min(full, credit + min(full, (now - asOf).wholeNanoseconds)) }
        asOf = max(asOf ?? now, now)
        let price = min(full, Int64(count) * cost)
        guard credit >= price else { return false }
        credit -= price
        return true
    }
}
