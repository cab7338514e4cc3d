// The receiver's one hot route. Everything here runs on the HTTP loop's thread, on the HTTP client's (a key that had
// to be fetched) or on Kafka's (the broker's answer); nothing blocks, and there is no task on the way.

import Basics
import Cryptography
import HTTPServer
import JSON
import Kafka
import PipelineEvents
import PlaidAPI
import ServiceKit

/// Verifies each webhook, publishes it, and answers when the broker has it.
final class ReceiverService: HTTPService {
    struct Limits: Sendable {
        /// Largest webhook.
        var bodyBytes = 1 << 20
        /// From the last byte of the body to the answer: key look-up and delivery together. One second below what
        /// is promised, which is half of what Plaid waits.
        var answerWithin = Duration.seconds(4)
    }

    static let path = "/webhooks/plaid"

    private let environment: PlaidEnvironment
    private let topics: Topics
    private let limits: Limits
    private let verifier: WebhookVerifier
    private let keys: KeyService
    private let sink: any WebhookSink
    private let advice: Locked<RetryAdvice>
    private let metrics: ReceiverMetrics
    private let health: PublicHealth
    private let logger: Logger
    private let clock: MonotonicClock
    private let wallClock: WallClock
    /// Requests that wait for a key rather than for the broker; a few, on the slow way only.
    private let keyWaits = Locked(KeyWaits())
    private let failureLines = Locked(LinePace())

    init(
        environment: PlaidEnvironment,
        topics: Topics,
        limits: Limits,
        verifier: WebhookVerifier,
        keys: KeyService,
        sink: any WebhookSink,
        advice: Locked<RetryAdvice>,
        metrics: ReceiverMetrics,
        health: PublicHealth,
        logger: Logger,
        clock: MonotonicClock,
        wallClock: WallClock
    ) {
        self.environment = environment
        self.topics = topics
        self.limits = limits
        self.verifier = verifier
        self.keys = keys
        self.sink = sink
        self.advice = advice
        self.metrics = metrics
        self.health = health
        self.logger = logger
        self.clock = clock
        self.wallClock = wallClock
    }

    // MARK: Before the body

    func head(_ head: RequestHead) -> HeadDecision {
        switch head.path {
        case Self.path:
            guard head.method == .post else { return .answer(Responses.wrongMethod(allow: "POST")) }
            guard head.mediaType == nil || head.mediaType == "application/json", !head.hasContentCoding else {
                return .answer(Responses.wrongMedia)
            }
            return .accept(bodyLimit: limits.bodyBytes)
        case "/health/live", "/health/ready":
            guard head.method == .get || head.method == .head else {
                return .answer(Responses.wrongMethod(allow: "GET, HEAD"))
            }
            return .accept(bodyLimit: 0, mayWait: false)
        default: return .answer(Responses.notFound)
        }
    }

    // MARK: The whole request

    func request(_ request: Request, exchange: Exchange) -> RequestDecision {
        switch request.head.path {
        case "/health/live": return .answer(.empty(200))
        case "/health/ready": return .answer(.empty(health.isReady ? 200 : 503))
        default: return webhook(request, exchange)
        }
    }

    private func webhook(_ request: Request, _ exchange: Exchange) -> RequestDecision {
        metrics.began()
        let pending = PendingWebhook(request: request, exchange: exchange, digest: SHA256.hash(request.body))
        if request.head.arrivedWhileDraining { return answer(.later(.draining), pending) }
        let token: WebhookVerifier.CheckedToken
        switch verifier.check(
            request.head.headerValues("plaid-verification"),
            bodyDigest: pending.digest,
            receivedAt: request.receivedAt,
            clock: keys.clockTrust
        ) {
        case .bad(let reason): return answer(.forged(reason), pending)
        case .undecided(let reason): return answer(undecided(reason), pending)
        case .needsKey(let checked): token = checked
        }
        let lookup = keys.lookUp(token.keyID) { [weak self] outcome in self?.keyArrived(outcome, token, pending) }
        switch lookup {
        case .key(let key):
            if let answered = judge(token, key, pending) { return answer(answered, pending) }
            return wait(pending, onTimeout: .kafkaTimeout)
        case .unknown: return answer(.forged(.unknownKey), pending)
        case .exhausted: return answer(.later(.lookupBudget), pending)
        case .waiting:
            keyWaits.withLock { $0.began(exchange) }
            return wait(pending, onTimeout: .keyTimeout)
        }
    }

    /// On the HTTP client's thread: the key that this webhook waited for has come, or has not.
    ///
    /// A genuine webhook is published also when its 429 has gone out: Plaid's repeat then finds it stored.
    private func keyArrived(
        _ outcome: KeyService.Outcome,
        _ token: WebhookVerifier.CheckedToken,
        _ pending: PendingWebhook
    ) {
        keyWaits.withLock { $0.ended(pending.exchange) }
        let answered: Answer? =
            switch outcome {
            case .key(let key): judge(token, key, pending)
            case .unknown: .forged(.unknownKey)
            case .undecided: .later(.keyService)
            }
        if let answered { complete(answered, pending) }
    }

    // MARK: Verification and publishing

    /// The answer, or nil: it comes with the broker's.
    private func judge(
        _ token: WebhookVerifier.CheckedToken,
        _ key: VerificationKey,
        _ pending: PendingWebhook
    ) -> Answer? {
        switch verifier.decide(token, key: key, clock: keys.clockTrust) {
        case .good(let verified): publish(verified, pending)
        case .bad(let reason): .forged(reason)
        case .undecided(let reason): undecided(reason)
        }
    }

    private func undecided(_ reason: UndecidedReason) -> Answer {
        switch reason {
        case .clock: keys.probeClock()
        case .library(let problem):
            logger.error("a signature could not be judged", metadata: ["error.message": .string(problem)])
        case .key: break
        }
        return .later(.init(reason))
    }

    private func publish(_ verified: VerifiedWebhook, _ pending: PendingWebhook) -> Answer? {
        let routing: WebhookRouting
        switch WebhookFields.read(pending.request.body, environment: environment) {
        case .success(let fields): routing = fields
        case .failure(let unusable): return .unusable(unusable.reason)
        }
        metrics.verified(age: verified.receivedAt - verified.issuedAt)
        let headers = WebhookEnvelope.headers(
            environment: environment,
            routing: routing,
            bodyDigest: pending.digest,
            issuedAt: verified.issuedAt.seconds,
            receivedAt: pending.request.receivedAt,
            token: verified.token,
            traceParent: pending.request.head.header("traceparent").flatMap { TraceParent(parsing: $0) }
        )
        let record = ProducerRecord(
            topic: WebhookEnvelope.topic(for: routing, in: topics),
            key: WebhookEnvelope.key(for: routing),
            value: pending.request.body,
            headers: headers.map { KafkaHeader(name: $0.name, value: $0.value) }
        )
        let began = clock.now()
        // The client's own deadline lies a little behind the answer's, so that a broker just too late is seen as late.
        sink.send(record) { [weak self] result in self?.delivered(result, pending, since: began) }
        return nil
    }

    /// On the Kafka thread: what became of the record.
    private func delivered(
        _ result: Result<Delivery, KafkaError>,
        _ pending: PendingWebhook,
        since began: MonotonicInstant
    ) {
        let now = clock.now()
        switch result {
        case .success:
            metrics.produced(in: now - began)
            advice.withLock { $0.succeeded(.kafka) }
            health.succeeded()
            if pending.exchange.complete(Responses.stored) {
                metrics.ended(.stored, in: now - pending.request.receivedMonotonic, at: wallClock.now())
            } else {
                // The 429 has gone out and Plaid will send it again: the copy is harmless, the count is news.
                metrics.deliveredLate()
            }
        case .failure(let error):
            advice.withLock { $0.failed(.kafka, at: now) }
            logFailure(error, at: now)
            complete(.later(.kafka), pending)
        }
    }

    /// What no repeat mends is an error: the webhook comes again for a day and is refused each time.
    private func logFailure(_ error: KafkaError, at now: MonotonicInstant) {
        guard let heldBack = failureLines.withLock({ $0.take(error.code.rawValue, at: now) }) else { return }
        logger.log(
            level: error.code == .messageTooLarge || error.code == .invalidRequest ? .error : .warning,
            "a webhook could not be stored",
            metadata: [
                "error.type": .string(error.code.rawValue), "error.message": .string(error.message),
                "lines.held_back": .stringConvertible(heldBack),
            ]
        )
    }

    // MARK: Answers

    private func wait(_ pending: PendingWebhook, onTimeout reason: Answer.Postponement) -> RequestDecision {
        .wait(
            until: pending.request.receivedMonotonic + limits.answerWithin,
            onTimeout: response(.later(reason))
        )
    }

    /// The answer deadline won, on the loop's thread.
    func abandoned(_ exchange: Exchange) {
        let now = clock.now()
        let waitedForKey = keyWaits.withLock { $0.abandoned(exchange) }
        advice.withLock { $0.failed(waitedForKey ? .keyService : .kafka, at: now) }
        metrics.ended(.later(waitedForKey ? .keyTimeout : .kafkaTimeout), in: limits.answerWithin, at: wallClock.now())
    }

    private func answer(_ answer: Answer, _ pending: PendingWebhook) -> RequestDecision {
        ended(answer, pending)
        return .answer(response(answer))
    }

    /// Answers a request that waits. Once its timeout has been answered there is nothing more to count.
    private func complete(_ answer: Answer, _ pending: PendingWebhook) {
        if pending.exchange.complete(response(answer)) { ended(answer, pending) }
    }

    private func ended(_ answer: Answer, _ pending: PendingWebhook) {
        metrics.ended(answer, in: clock.now() - pending.request.receivedMonotonic, at: wallClock.now())
    }

    private func response(_ answer: Answer) -> Response {
        switch answer {
        case .stored: Responses.stored
        case .unusable: Responses.unusable
        case .forged: Responses.forged
        case .later(let reason): .empty(429, retryAfter: retryAfter(reason))
        }
    }

    private func retryAfter(_ reason: Answer.Postponement) -> Int {
        let dependency: RetryAdvice.Dependency? =
            switch reason {
            case .kafka, .kafkaTimeout: .kafka
            case .keyService, .keyTimeout: .keyService
            case .clock: .clock
            case .lookupBudget, .draining, .crypto: nil
            }
        let now = clock.now()
        return advice.withLock { $0.seconds(for: dependency, at: now, spread: .random(in: 0...1)) }
    }
}
