// What the receiver counts. Labels are closed sets; every series exists from the start.

import Basics
import HTTPServer
import PlaidAPI
import ServiceKit

/// What came of one look-up of a key.
enum KeyFetch: String, CaseIterable, Sendable { case found, unknown, failed }

final class ReceiverMetrics: Sendable {
    private let received: Counter
    private let acknowledged: Counter
    private let late: Counter
    private let unusable: [Answer.Unusable: Counter]
    private let postponed: [Answer.Postponement: Counter]
    private let forged: [BadReason: Counter]
    private let keyFetches: [KeyFetch: Counter]
    private let answerSeconds: Histogram
    private let produceSeconds: Histogram
    private let tokenAge: Histogram
    private let ratio = Locked(RefusalRatio())

    init(_ registry: MetricsRegistry, wallClock: WallClock) {
        received = registry.counter("check_pipeline_webhooks_received_total", help: "Whole webhook requests")
        acknowledged = registry.counter(
            "check_pipeline_webhooks_acknowledged_total",
            help: "Webhooks answered with 200: the broker has them"
        )
        late = registry.counter(
            "check_pipeline_webhooks_late_deliveries_total",
            help: "Webhooks the broker took after their answer had been 429"
        )
        unusable = Self.counters("check_pipeline_webhooks_unusable_total", "Webhooks answered with 400", registry)
        forged = Self.counters("check_pipeline_webhooks_refused_total", "Webhooks answered with 401", registry)
        postponed = Self.counters(
            "check_pipeline_webhooks_undecided_total",
            "Webhooks answered with 429: to be sent again",
            registry
        )
        keyFetches = Self.counters(
            "check_pipeline_verification_key_fetches_total",
            "Look-ups of verification keys at Plaid",
            registry
        )
        answerSeconds = registry.histogram(
            "check_pipeline_webhook_answer_seconds",
            help: "From the last byte of the body to the answer",
            bounds: Histogram.requestSeconds
        )
        produceSeconds = registry.histogram(
            "check_pipeline_webhook_produce_seconds",
            help: "From handing a webhook to the Kafka client to the broker's acknowledgement",
            bounds: Histogram.requestSeconds
        )
        tokenAge = registry.histogram(
            "check_pipeline_webhook_token_age_seconds",
            help: "Receipt minus iat of verified webhooks: a drift shows a wrong clock",
            bounds: [-60, -5, -1, 0, 1, 2, 5, 10, 30, 60, 120, 300]
        )
        registry.gauge(
            "check_pipeline_webhooks_refused_ratio",
            help: "Share of the last 24 hours' webhooks not answered with 200; Plaid stops retrying above 0.9"
        ) { [ratio] in ratio.withLock { $0.ratio(at: wallClock.now()) } }
    }

    func began() { received.increment() }
    func keyFetch(_ result: KeyFetch) { keyFetches[result]?.increment() }
    func deliveredLate() { late.increment() }
    func produced(in duration: Duration) { produceSeconds.record(duration) }
    func verified(age: Duration) { tokenAge.record(age) }

    func ended(_ answer: Answer, in duration: Duration, at now: Timestamp) {
        answerSeconds.record(duration)
        switch answer {
        case .stored: acknowledged.increment()
        case .unusable(let reason): unusable[reason]?.increment()
        case .later(let reason): postponed[reason]?.increment()
        case .forged(let reason): forged[reason]?.increment()
        }
        ratio.withLock { $0.record(accepted: answer == .stored, at: now) }
    }

    /// One counter for each member of a closed set, labelled `reason`.
    private static func counters<Reason: CaseIterable & Hashable & RawRepresentable<String>>(
        _ name: String,
        _ help: String,
        _ registry: MetricsRegistry
    ) -> [Reason: Counter] {
        let pairs = Reason.allCases.map { reason in
            (reason, registry.counter(name, help: help, labels: [("reason", reason.rawValue)]))
        }
        return Dictionary(uniqueKeysWithValues: pairs)
    }
}
