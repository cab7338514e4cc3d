// What a handler says about a piece of work, as a value. Mapping errors to outcomes is the service's one function.

/// The end of one attempt.
package enum Outcome: Sendable {
    /// Everything is in place: the transaction committed and the event acknowledged. The offset follows.
    case done
    /// Worth repeating, in its lane: later events of the key wait behind it, all other keys go on.
    ///
    /// - Parameter after: The least wait (`Retry-After`, a schedule); nil leaves it to ``RetryGaps``.
    case retry(after: Duration?, reason: RetryReason)
    /// Wrong with the event itself: it becomes a dead letter.
    case park(ParkReason)
    /// Wrong with everything (credentials, database, key): partitions pause, one event probes after this long.
    case pauseAll(for: Duration, reason: String)
    /// The upstream says that the report has expired: ``EventHandler/expire(_:context:)`` follows at once.
    case expired
}

/// Why an event is repeated.
package struct RetryReason: Hashable, Sendable {
    /// From a closed set of the service, fit for a metric label: `rate-limited`, `product-not-ready`.
    package let code: String
    /// False for what says nothing about the event: a 429, a wait for a product.
    package let costsAttempt: Bool

    package init(_ code: String, costsAttempt: Bool = true) {
        self.code = code
        self.costsAttempt = costsAttempt
    }
}

/// Why an event is dead-lettered. All three texts are stored and published: no secrets, no bodies.
package struct ParkReason: Hashable, Sendable {
    package let type: String
    package let code: String
    package let message: String

    package init(type: String, code: String, message: String) {
        self.type = type
        self.code = code
        self.message = message
    }
}
