// One webhook between its receipt and its answer, and the values at the receiver's seams.

import Basics
import Cryptography
import HTTPServer
import JSON
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

    private static let names = NameList([
        "webhook_type", "webhook_code", "user_id", "item_id", "link_token", "environment",
    ])

    /// The body must be one UTF-8 JSON object; none of the fields may stand twice or be anything but a string (null
    /// ids count as absent); `environment`, where there is one, must be ours.
    static func read(_ body: Bytes, environment: PlaidEnvironment) -> Result<WebhookRouting, Refusal> {
        let fields: [RoutingField]
        do {
            fields = try JSON.routingFields(body, names)
        } catch {
            return .failure(Refusal(reason: .notJSON))
        }
        guard !fields.contains(.repeated) else { return .failure(Refusal(reason: .repeatedField)) }
        for (index, field) in fields.enumerated() {
            // Type and code are never null; ids may be.
            if case .other(let kind) = field, index < 2 || kind != .null {
                return .failure(Refusal(reason: .fieldType))
            }
        }
        guard let type = fields[0].stringValue, let code = fields[1].stringValue, !type.isEmpty, !code.isEmpty else {
            return .failure(Refusal(reason: .missingField))
        }
        if let named = fields[5].stringValue, named != environment.rawValue {
            return .failure(Refusal(reason: .otherEnvironment))
        }
        let routing = WebhookRouting(
            type: type,
            code: code,
            userID: fields[2].stringValue,
            itemID: fields[3].stringValue,
            linkToken: fields[4].stringValue
        )
        return .success(routing)
    }
}
