// Which verification keys are known, which are being asked for, and which do not exist: decisions only, no I/O.

import Basics

/// The verification keys of one Plaid environment.
///
/// A key id is chosen by whoever sends a request and is read before any signature is checked, so everything here is
/// bounded against a flood of ids: one fetch at a time per id, a token bucket on look-ups of unknown ids, a short and
/// bounded memory of ids that Plaid says do not exist. Only Plaid can put a key in, and no failure takes one out.
///
/// - `Key`: what Plaid answered. `Waiter`: whoever waits for an answer; returned with it.
struct KeyCache<Key: Sendable, Waiter: Sendable> {
    struct Limits: Sendable {
        /// Keys kept. Plaid has a few at a time; beyond it the one unused for longest goes.
        var keys = 64
        /// A key in use is asked for again after this, so that its expiry is seen.
        var recheckAfter = Duration.seconds(600)
        /// How soon a failed re-check is repeated.
        var recheckAgainAfter = Duration.seconds(30)
        /// A key is used this long after Plaid last confirmed it: through an outage, not for ever.
        var keepUnconfirmed = Duration.seconds(24 * 3_600)
        /// Ids that Plaid says do not exist, and how long that is believed.
        var unknownIDs = 1_000
        var unknownFor = Duration.seconds(60)
        /// Look-ups of unknown ids: so many at once, so many a minute.
        var lookupBurst = 10
        var lookupsPerMinute = 10
        /// Webhooks that wait for one key.
        var waitersPerFetch = 256
    }

    enum Lookup {
        /// Use the key. With `recheck`, start a background fetch of it and report to ``fetched(_:_:at:)``.
        case known(Key, recheck: Bool)
        /// Plaid said a short time ago that there is no such key.
        case unknown
        /// The waiter is kept. With `fetch`, start one and report to ``fetched(_:_:at:)``.
        case waiting(fetch: Bool)
        /// Cannot be decided now: the look-up budget is spent, or too many wait already.
        case exhausted
    }

    enum Answer {
        case key(Key)
        /// Plaid's own word that the id does not exist; nothing else may be reported as this.
        case noSuchKey
        case failed
    }

    enum Outcome {
        case key(Key)
        case unknown
        case undecided
    }

    private struct Entry {
        var key: Key
        var confirmedAt: MonotonicInstant
        var checkDueAt: MonotonicInstant
        var usedAt: MonotonicInstant
    }

    private let limits: Limits
    private var known: [String: Entry] = [:]
    private var unknown: [String: MonotonicInstant] = [:]
    private var unknownOrder: [String] = []
    private var fetching: [String: [Waiter]] = [:]
    private var tokens: Double
    private var tokensAt: MonotonicInstant?

    init(limits: Limits = Limits()) {
        self.limits = limits
        tokens = Double(limits.lookupBurst)
    }

    var keyCount: Int { known.count }
    var fetchCount: Int { fetching.count }
    var unknownCount: Int { unknown.count }

    /// What to do with a webhook that names key `id`. `waiter` is kept only with `.waiting`.
    mutating func lookUp(_ id: String, waiter: @autoclosure () -> Waiter, at now: MonotonicInstant) -> Lookup {
        if var entry = known[id] {
            if now - entry.confirmedAt < limits.keepUnconfirmed {
                entry.usedAt = now
                let recheck = now >= entry.checkDueAt && fetching[id] == nil
                if recheck { fetching[id] = [] }
                known[id] = entry
                return .known(entry.key, recheck: recheck)
            }
            known[id] = nil
        }
        if let until = unknown[id] {
            if now < until { return .unknown }
            unknown[id] = nil
        }
        if let waiters = fetching[id] {
            guard waiters.count < limits.waitersPerFetch else { return .exhausted }
            fetching[id]?.append(waiter())
            return .waiting(fetch: false)
        }
        guard takeToken(at: now) else { return .exhausted }
        fetching[id] = [waiter()]
        return .waiting(fetch: true)
    }

    /// Records the end of a fetch; returns those who waited, and what to tell them.
    mutating func fetched(_ id: String, _ answer: Answer, at now: MonotonicInstant) -> (Outcome, [Waiter]) {
        let waiters = fetching.removeValue(forKey: id) ?? []
        switch answer {
        case .key(let key):
            let usedAt = known[id]?.usedAt ?? now
            known[id] = Entry(key: key, confirmedAt: now, checkDueAt: now + limits.recheckAfter, usedAt: usedAt)
            unknown[id] = nil
            if known.count > limits.keys, let oldest = known.min(by: { $0.value.usedAt < $1.value.usedAt }) {
                known[oldest.key] = nil
            }
            return (.key(key), waiters)
        case .noSuchKey:
            known[id] = nil
            remember(unknown: id, at: now)
            return (.unknown, waiters)
        case .failed:
            guard var entry = known[id] else { return (.undecided, waiters) }
            entry.checkDueAt = now + limits.recheckAgainAfter
            known[id] = entry
            return now - entry.confirmedAt < limits.keepUnconfirmed ? (.key(entry.key), waiters) : (.undecided, waiters)
        }
    }

    /// Marks `id` as being asked for, for another reason than a webhook. False when it already is.
    mutating func recheck(_ id: String) -> Bool {
        guard fetching[id] == nil else { return false }
        fetching[id] = []
        return true
    }

    private mutating func remember(unknown id: String, at now: MonotonicInstant) {
        if unknown.updateValue(now + limits.unknownFor, forKey: id) == nil { unknownOrder.append(id) }
        while unknown.count > limits.unknownIDs || unknownOrder.count > 2 * limits.unknownIDs {
            unknown[unknownOrder.removeFirst()] = nil
        }
    }

    private mutating func takeToken(at now: MonotonicInstant) -> Bool {
        if let last = tokensAt {
            let gained = (now - last).inSeconds * Double(limits.lookupsPerMinute) / 60
            tokens = min(Double(limits.lookupBurst), tokens + gained)
        }
        tokensAt = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
