// Verification keys: the cache, and the calls that fill it. Answers come on the HTTP client's thread.

import Basics
import Cryptography
import HTTPClient
import PlaidAPI
import ServiceKit

/// Looks up Plaid's verification keys without ever blocking the caller.
final class KeyService: Sendable {
    /// What Plaid said of a key id; a key that is unfit for webhooks counts as one that does not exist.
    enum Outcome: Sendable { case key(VerificationKey), unknown, undecided }
    typealias Waiter = @Sendable (Outcome) -> Void
    typealias Cache = KeyCache<VerificationKey, Waiter>

    enum Lookup {
        case key(VerificationKey)
        case unknown
        /// The waiter is called once, on another thread.
        case waiting
        case exhausted
    }

    private let cache: Locked<Cache>
    private let trust = Locked(ClockTrust.unchecked)
    private let plaid: PlaidClient
    private let clock: MonotonicClock
    private let wallClock: WallClock
    private let metrics: ReceiverMetrics
    private let logger: Logger
    private let advice: Locked<RetryAdvice>

    init(
        plaid: PlaidClient,
        limits: Cache.Limits = .init(),
        advice: Locked<RetryAdvice>,
        clock: MonotonicClock,
        wallClock: WallClock,
        metrics: ReceiverMetrics,
        logger: Logger
    ) {
        cache = Locked(Cache(limits: limits))
        self.plaid = plaid
        self.advice = advice
        self.clock = clock
        self.wallClock = wallClock
        self.metrics = metrics
        self.logger = logger
    }

    /// Whether `iat` can be judged by our clock, as the last answer of the key service showed.
    var clockTrust: ClockTrust { trust.withLock { $0 } }

    var keyCount: Int { cache.withLock { $0.keyCount } }

    /// The key of `id`, from the cache or by a call. `waiter` is kept only with `.waiting`.
    func lookUp(_ id: String, waiter: @escaping Waiter) -> Lookup {
        let now = clock.now()
        switch cache.withLock({ $0.lookUp(id, waiter: waiter, at: now) }) {
        case .known(let key, let recheck):
            if recheck { fetch(id) }
            return .key(key)
        case .unknown: return .unknown
        case .exhausted: return .exhausted
        case .waiting(let fetchNow):
            if fetchNow { fetch(id) }
            return .waiting
        }
    }

    private func fetch(_ id: String) {
        plaid.verificationKey(id: id) { [self] answer in
            if let date = answer.serverDate { compareClocks(with: date) }
            let result: Cache.Answer
            switch answer.outcome {
            case .key(let key):
                result = .key(key)
                metrics.keyFetch(.found)
            case .unknownKey, .unfit:
                result = .noSuchKey
                metrics.keyFetch(.unknown)
            case .failed(let failure):
                result = .failed
                metrics.keyFetch(.failed)
                logger.warning(
                    "a verification key could not be fetched",
                    metadata: ["key.id": .string(id), "error.message": .string(failure.message)]
                )
            }
            let now = clock.now()
            advice.withLock { advice in
                if case .failed = result { advice.failed(.keyService, at: now) } else { advice.succeeded(.keyService) }
            }
            let (known, waiters) = cache.withLock { $0.fetched(id, result, at: now) }
            let outcome: Outcome =
                switch known {
                case .key(let key): .key(key)
                case .unknown: .unknown
                case .undecided: .undecided
                }
            for waiter in waiters { waiter(outcome) }
        }
    }

    /// One loud line when the clocks part, one when they agree again.
    private func compareClocks(with date: Timestamp) {
        let ours = wallClock.now()
        let measured = ClockTrust(serverDate: date, now: ours)
        let before = trust.withLock { trust in
            defer { trust = measured }
            return trust
        }
        let now = clock.now()
        if measured == .off {
            // Asked again soon, so that a corrected clock is noticed.
            cache.withLock { $0.recheckSoon(at: now) }
            advice.withLock { $0.failed(.clock, at: now) }
            guard before != .off else { return }
            logger.critical(
                "this machine's clock differs from Plaid's: no webhook can be judged until it is set right",
                metadata: ["clock.difference_seconds": .stringConvertible((ours - date).inSeconds)]
            )
        } else if before == .off {
            advice.withLock { $0.succeeded(.clock) }
            logger.notice("this machine's clock agrees with Plaid's again")
        }
    }
}
