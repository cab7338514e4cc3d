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
    private let clockWatch = Locked(ClockWatch())
    /// The id asked for last: any id shows Plaid's clock.
    private let lastAsked = Locked<String?>(nil)
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
    var clockTrust: ClockTrust {
        let (wall, monotonic) = (wallClock.now(), clock.now())
        return clockWatch.withLock { $0.trust(wall: wall, monotonic: monotonic) }
    }

    /// Compares the clocks once more, for a webhook that could not be judged by ours, and for readiness. At most one
    /// look-up in ``ClockWatch/probeEvery``, whoever asks.
    func probeClock() {
        guard clockTrust != .good, let id = lastAsked.withLock({ $0 }) else { return }
        let now = clock.now()
        guard clockWatch.withLock({ $0.takeProbe(at: now) }), cache.withLock({ $0.recheck(id) }) else { return }
        fetch(id)
    }

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
        lastAsked.withLock { $0 = id }
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
        let (ours, now) = (wallClock.now(), clock.now())
        let (before, measured) = clockWatch.withLock { watch in
            (watch.compared, watch.compare(with: date, wall: ours, monotonic: now))
        }
        if measured == .off {
            advice.withLock { $0.failed(.clock, at: now) }
            guard before != .off else { return }
            logger.critical(
                "this machine's clock differs from Plaid's: no webhook can be judged until it is set right",
                metadata: ["clock.difference_seconds": .stringConvertible((ours - date).inSeconds)]
            )
        } else {
            advice.withLock { $0.succeeded(.clock) }
            if before == .off { logger.notice("this machine's clock agrees with Plaid's again") }
        }
    }
}
