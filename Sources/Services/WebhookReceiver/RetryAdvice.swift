// When Plaid should try again: it honours `Retry-After` on 429 only, at most four hours, and a report lives a day.

import Basics

/// How long each dependency has been in trouble, and what follows for `Retry-After`. Decisions only.
///
/// A short trouble is retried soon; a long one less often, so that a broker that comes back does not meet every
/// webhook of an hour at once; never so late that the report's day is at risk.
struct RetryAdvice: Sendable {
    enum Dependency: Hashable, Sendable { case kafka, keyService, clock }

    /// For overload, draining, a spent look-up budget: nothing is broken.
    static let ordinary = Duration.seconds(10)
    static let shortest = Duration.seconds(10)
    static let longest = Duration.seconds(600)

    private var since: [Dependency: MonotonicInstant] = [:]

    mutating func failed(_ dependency: Dependency, at now: MonotonicInstant) {
        if since[dependency] == nil { since[dependency] = now }
    }

    mutating func succeeded(_ dependency: Dependency) { since[dependency] = nil }

    func troubleBegan(_ dependency: Dependency) -> MonotonicInstant? { since[dependency] }

    /// Whole seconds: a quarter of the trouble's age within the bounds, spread by 20 % either way.
    /// - Parameter spread: 0…1, a random number.
    func seconds(for dependency: Dependency?, at now: MonotonicInstant, spread: Double) -> Int {
        let base =
            if let dependency, let began = since[dependency] {
                min(max((now - began) / 4, Self.shortest), Self.longest)
            } else {
                Self.ordinary
            }
        return max(1, Int((base.inSeconds * (0.8 + 0.4 * min(max(spread, 0), 1))).rounded()))
    }
}
