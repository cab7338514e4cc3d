// How a webhook lies in Kafka: its topic, its key and the headers around the untouched body, and how a consumer
// reads them back.

package import Basics
package import Cryptography
package import PlaidAPI

/// The fields of a webhook's body that decide where it goes. An empty id counts as none.
package struct WebhookRouting: Hashable, Sendable {
    package var type: String
    package var code: String
    package var userID: String?
    package var itemID: String?
    package var linkToken: String?

    package init(
        type: String,
        code: String,
        userID: String? = nil,
        itemID: String? = nil,
        linkToken: String? = nil
    ) {
        self.type = type
        self.code = code
        self.userID = userID.flatMap { $0.isEmpty ? nil : $0 }
        self.itemID = itemID.flatMap { $0.isEmpty ? nil : $0 }
        self.linkToken = linkToken.flatMap { $0.isEmpty ? nil : $0 }
    }

    package var topic: WebhookTopic { Topics.webhookTopic(type: type) }

    /// The text whose events must stay in order, or nil when the webhook names nothing to order by.
    ///
    /// Item webhooks go by the Item even where they name a user, since not all of them do and one Item's events must
    /// not part ways.
    package var orderingKey: String? {
        switch topic {
        case .checkReport: userID
        case .item: itemID
        case .link: userID ?? linkToken
        case .other: userID ?? itemID
        }
    }
}

package enum WebhookEnvelope {
    package static func topic(for routing: WebhookRouting, in topics: Topics) -> String {
        topics.name(of: routing.topic)
    }

    /// The record's key, UTF-8, or nil for none.
    package static func key(for routing: WebhookRouting) -> [UInt8]? {
        routing.orderingKey.map { Array($0.utf8) }
    }

    /// The headers of one accepted webhook.
    ///
    /// - Parameters:
    ///   - bodyDigest: SHA-256 of the body exactly as received.
    ///   - issuedAt: The verified token's `iat`, seconds.
    ///   - receivedAt: When the body's last byte came; written with microseconds, rounded down.
    ///   - token: The `Plaid-Verification` value as received, so that anyone can verify the bytes again.
    package static func headers(
        environment: PlaidEnvironment,
        routing: WebhookRouting,
        bodyDigest: SHA256Digest,
        issuedAt: Int64,
        receivedAt: Timestamp,
        token: String,
        traceParent: TraceParent? = nil
    ) -> [HeaderPair] {
        let event = CloudEventHeaders(
            id: EventIdentity.webhook(environment: environment, bodyDigest: bodyDigest, issuedAt: issuedAt),
            type: "com.plaid.webhook.\(routing.type).\(routing.code)",
            source: source(environment),
            subject: routing.orderingKey,
            time: receivedAt,
            traceParent: traceParent
        )
        return event.kafkaPairs + [
            HeaderPairs.pair(HeaderName.verification, token),
            HeaderPairs.pair(HeaderName.receivedAt, receivedAt.rfc3339(fractionDigits: 6)),
        ]
    }

    /// `ce_source` of a webhook.
    package static func source(_ environment: PlaidEnvironment) -> String { "/plaid/\(environment.rawValue)/webhooks" }

    /// Reads a record of a webhook topic or of a retry topic; never fails, since a record that somebody put there
    /// without headers is still an event.
    ///
    /// The time is `received-at`, else the first record's Kafka timestamp where the headers name one (a retry of a
    /// bare record must not grow younger), else this record's. The id follows the same order.
    package static func read(_ pairs: [HeaderPair], origin: RecordOrigin) -> WebhookFacts {
        let first = FailureProvenance.originalRecord(pairs) ?? origin
        let receivedAt = HeaderPairs.text(HeaderName.receivedAt, in: pairs).flatMap { Timestamp(rfc3339: $0) }
        let id = HeaderPairs.text(HeaderName.id, in: pairs).flatMap { $0.isEmpty ? nil : $0 }
        return WebhookFacts(
            eventID: id ?? first.eventID,
            receivedAt: receivedAt ?? first.timestamp,
            receivedAtIsMeasured: receivedAt != nil,
            token: HeaderPairs.text(HeaderName.verification, in: pairs),
            traceParent: HeaderPairs.text(HeaderName.traceParent, in: pairs).flatMap { TraceParent(parsing: $0) },
            original: first
        )
    }
}

/// What a consumer knows of a webhook besides its body.
package struct WebhookFacts: Hashable, Sendable {
    /// `ce_id`, or the coordinates of the first record.
    package let eventID: String
    /// The time that deadlines and coverage are reckoned from.
    package let receivedAt: Timestamp
    /// False when `receivedAt` is a Kafka timestamp.
    package let receivedAtIsMeasured: Bool
    /// The JWT as received, where the record carries one.
    package let token: String?
    package let traceParent: TraceParent?
    /// The record this event first stood in: its own coordinates, or those that a retry carries along.
    package let original: RecordOrigin
}
