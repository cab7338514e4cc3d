// Clocks as values: the system's, and one that tests move by hand.

import CLinux

/// A point on the monotonic clock. Means nothing outside this process.
package struct MonotonicInstant: Hashable, Comparable, Sendable {
    package let nanoseconds: UInt64

    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// No deadline.
    package static let distantFuture = MonotonicInstant(nanoseconds: .max)

    package static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// Saturates at 0 and at ``distantFuture``.
    package static func + (instant: MonotonicInstant, duration: Duration) -> MonotonicInstant {
        let step = duration.wholeNanoseconds
        if step < 0 {
            return MonotonicInstant(nanoseconds: instant.nanoseconds - min(instant.nanoseconds, step.magnitude))
        }
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(UInt64(step))
        return overflow ? .distantFuture : MonotonicInstant(nanoseconds: sum)
    }

    package static func - (left: MonotonicInstant, right: MonotonicInstant) -> Duration {
        left.nanoseconds >= right.nanoseconds
            ? .nanoseconds(Int64(clamping: left.nanoseconds - right.nanoseconds))
            : .zero - .nanoseconds(Int64(clamping: right.nanoseconds - left.nanoseconds))
    }
}

/// Time since an arbitrary start, never set back: for deadlines and gaps.
package struct MonotonicClock: Sendable {
    package let now: @Sendable () -> MonotonicInstant

    package init(now: @escaping @Sendable () -> MonotonicInstant) { self.now = now }

    package static let system = MonotonicClock { MonotonicInstant(nanoseconds: clinux_monotonic_nanoseconds()) }
}

/// The time of day: for what is written down and compared with others' clocks.
package struct WallClock: Sendable {
    package let now: @Sendable () -> Timestamp

    package init(now: @escaping @Sendable () -> Timestamp) { self.now = now }

    package static let system = WallClock {
        var seconds: Int64 = 0
        var nanoseconds: Int32 = 0
        clinux_wall_clock(&seconds, &nanoseconds)
        return Timestamp(seconds: seconds, nanoseconds: Int64(nanoseconds))
    }
}

/// Both clocks under a test's hand. Time passes only by ``advance(by:)``.
package final class ManualClock: Sendable {
    private struct Hands {
        var wall: Timestamp
        var monotonic: MonotonicInstant
        var watchers: [@Sendable (MonotonicInstant) -> Void] = []
    }
    private let hands: Locked<Hands>

    package init(wall: Timestamp = Timestamp(seconds: 1_800_000_000)) {
        hands = Locked(Hands(wall: wall, monotonic: MonotonicInstant(nanoseconds: 1_000_000_000_000)))
    }

    package var wall: WallClock { WallClock { [hands] in hands.withLock { $0.wall } } }
    package var monotonic: MonotonicClock { MonotonicClock { [hands] in hands.withLock { $0.monotonic } } }

    /// Moves both clocks and then tells whoever waits on this clock, on the caller's thread.
    package func advance(by duration: Duration) {
        let (now, watchers) = hands.withLock { hands in
            hands.wall = hands.wall + duration
            hands.monotonic = hands.monotonic + duration
            return (hands.monotonic, hands.watchers)
        }
        for watcher in watchers { watcher(now) }
    }

    /// Sets the time of day alone, as an operator or NTP would.
    package func set(wall: Timestamp) { hands.withLock { $0.wall = wall } }

    /// Calls `watcher` after each ``advance(by:)``; for timers that run on this clock.
    package func onAdvance(_ watcher: @escaping @Sendable (MonotonicInstant) -> Void) {
        hands.withLock { $0.watchers.append(watcher) }
    }
}
