// Whether this machine's time of day may be held against a webhook, and when to compare it with Plaid's again.

import Basics
import PlaidAPI

/// What the answers of the key service have shown of our clock. Decisions only.
///
/// A verdict is good for as long as nothing speaks against it: a step of the time of day, seen against the monotonic
/// clock, ends it at once, and a good one ends by age. Without this a clock that jumps would turn every genuine
/// webhook into a stale one, and one found wrong would never be looked at again, since such webhooks ask for no key.
struct ClockWatch: Sendable {
    /// Steps up to this are NTP's business; they add to what the comparison itself allows.
    static let mostStep = Duration.seconds(5)
    /// Above the keys' re-check interval, so that steady traffic never falls back to "unchecked".
    static let goodFor = Duration.seconds(900)
    /// Between two comparisons that are made for the clock's sake.
    static let probeEvery = Duration.seconds(30)

    private struct Comparison {
        let trust: ClockTrust
        let wall: Timestamp
        let monotonic: MonotonicInstant
    }
    private var comparison: Comparison?
    private var probedAt: MonotonicInstant?

    init() {}

    /// The trust that the last comparison left, nil before the first.
    var compared: ClockTrust? { comparison?.trust }

    func trust(wall: Timestamp, monotonic: MonotonicInstant) -> ClockTrust {
        guard let comparison else { return .unchecked }
        let passed = monotonic - comparison.monotonic
        let step = (wall - comparison.wall) - passed
        guard step <= Self.mostStep, step >= .zero - Self.mostStep else { return .unchecked }
        return comparison.trust == .good && passed > Self.goodFor ? .unchecked : comparison.trust
    }

    /// Notes the `Date` of an answer that came just now.
    mutating func compare(with date: Timestamp, wall: Timestamp, monotonic: MonotonicInstant) -> ClockTrust {
        let trust = ClockTrust(serverDate: date, now: wall)
        comparison = Comparison(trust: trust, wall: wall, monotonic: monotonic)
        return trust
    }

    /// Whether to ask now for the clock's sake; a yes is counted.
    mutating func takeProbe(at now: MonotonicInstant) -> Bool {
        if let probedAt, now - probedAt < Self.probeEvery { return false }
        probedAt = now
        return true
    }
}
