// How long an event waits before its next attempt. Pure.

import Basics

/// Full jitter: a random wait up to a ceiling that doubles with each failure, from `base` to `max`.
///
/// Spread over the whole range, since many events fail together and would otherwise come back together.
package struct RetryGaps: Sendable {
    package let base: Duration
    package let max: Duration

    package init(base: Duration, max: Duration) {
        precondition(base > .zero && max >= base, "gaps grow from a positive base")
        self.base = base
        self.max = max
    }

    /// The wait after this many failures in a row (1 for the first).
    ///
    /// - Parameter hint: What the upstream or a schedule asks for. It is the least wait and is not bounded by
    ///   `max`; a little is added so that those told the same do not return at one instant. A hint below `base`
    ///   (repeat at once) is followed the first time only, or a constant "at once" would be a busy loop.
    package func gap(afterFailures failures: Int, hint: Duration?, using random: inout some RandomNumberGenerator)
        -> Duration
    {
        guard let hint else { return jitter(upTo: ceiling(failures), using: &random) }
        let wanted = Swift.max(hint, .zero)
        if wanted >= base { return wanted + jitter(upTo: base, using: &random) }
        return failures <= 1 ? wanted : Swift.max(wanted, jitter(upTo: ceiling(failures), using: &random))
    }

    /// The longest jittered wait after this many failures.
    package func ceiling(_ failures: Int) -> Duration {
        var ceiling = base
        for _ in 1..<Swift.max(2, failures) where ceiling < max { ceiling = Swift.min(max, ceiling * 2) }
        return failures <= 1 ? base : ceiling
    }

    private func jitter(upTo ceiling: Duration, using random: inout some RandomNumberGenerator) -> Duration {
        .nanoseconds(Int64.random(in: 0...Swift.max(0, ceiling.wholeNanoseconds), using: &random))
    }
}
