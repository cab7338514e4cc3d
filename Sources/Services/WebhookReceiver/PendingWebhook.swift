// One webhook between its receipt and its answer, and the values at the receiver's seams.

import Basics
import Cryptography
import HTTPServer
import Kafka
import PipelineEvents
import PlaidAPI

/// A whole request with the hash of its body and the right to answer it.
final class PendingWebhook: Sendable {
    let request: Request
    let exchange: Exchange
    /// SHA-256 of the body exactly as received.
    let digest: SHA256Digest

    init(request: Request, exchange: Exchange, digest: SHA256Digest) {
        self.request = request
        self.exchange = exchange
        self.digest = digest
    }
}

/// Which requests wait for a key rather than for the broker. A key may come, on its own thread, before the loop has
/// noted that somebody waits for it.
struct KeyWaits {
    private var waiting: Set<Exchange> = []
    private var early: Set<Exchange> = []

    mutating func began(_ exchange: Exchange) {
        if early.remove(exchange) == nil { waiting.insert(exchange) }
    }

    mutating func ended(_ exchange: Exchange) {
        if waiting.remove(exchange) == nil { early.insert(exchange) }
    }

    /// The answer deadline won. True when a key was waited for; its arrival is still to come and finds this noted.
    func abandoned(_ exchange: Exchange) -> Bool { waiting.contains(exchange) }

    var count: Int { waiting.count + early.count }
}

/// Where verified webhooks go: the Kafka producer, or a test's stand-in.
protocol WebhookSink: Sendable {
    /// Hands over one record and returns at once; `completion` comes exactly once, on the sink's thread.
    func send(_ record: ProducerRecord, completion: @escaping @Sendable (Result<Delivery, KafkaError>) -> Void)
}

extension Producer: WebhookSink {
    func send(
        _ record: ProducerRecord,
        completion: @escaping @Sendable (Result<Delivery, KafkaError>) -> Void
    ) {
        send(record, deadline: nil, completion: completion)
    }
}

/// What the balancer is told: a 503 there would put Plaid on its slow ladder, so after the first success only
/// draining is "not ready"; what was measured now stands on the admin port.
final class PublicHealth: Sendable {
    private let hasSucceeded = Latch()
    private let isDraining: @Sendable () -> Bool

    init(isDraining: @escaping @Sendable () -> Bool) { self.isDraining = isDraining }

    /// The dependencies were there once.
    func succeeded() { hasSucceeded.open() }
    var isReady: Bool { hasSucceeded.isOpen && !isDraining() }
}

/// Reads the few fields of a body that decide where it goes.
enum WebhookFields {
    struct Refusal: Error, Equatable { let reason: Answer.Unusable }

    /// The body must be one UTF-8 JSON object; none of the fields may stand twice, be too long to be a key, or be
    /// anything but a string (null ids count as absent); `environment`, where there is one, must be ours. The same
    /// reader as the consumers', so that what is published can be handled.
    static func read(_ body: Bytes, environment: PlaidEnvironment) -> Result<WebhookRouting, Refusal> {
        let webhook: Webhook
        do throws(WebhookRefusal) {
            webhook = try Webhook.decode(body)
        } catch {
            return .failure(Refusal(reason: Answer.Unusable(error)))
        }
        guard webhook.belongs(to: environment) else { return .failure(Refusal(reason: .otherEnvironment)) }
        return .success(
            WebhookRouting(
                type: webhook.type,
                code: webhook.code,
                userID: webhook.userID,
                itemID: webhook.itemID,
                linkToken: webhook.linkToken
            )
        )
    }
}
