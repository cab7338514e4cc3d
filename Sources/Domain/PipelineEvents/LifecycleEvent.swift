// What became of a report that was announced or asked for and did not simply arrive.

package import Basics
import JSON
package import PlaidAPI

/// The data of an event on `check-reports.lifecycle`.
package struct LifecycleEvent: Hashable, Sendable {
    package enum Kind: String, CaseIterable, Hashable, Sendable {
        /// Plaid could not generate it.
        case failed
        /// Its lifetime ended before it could be fetched.
        case expired
        /// A new one was asked for in its place.
        case regenerated
        /// An Item must be mended by its user before another try can help.
        case needsRepair = "needs-repair"
    }

    package var kind: Kind
    /// The user's canonical id, or the webhook's where no row names the user. Also the record's key.
    package var userID: String
    /// Plaid's name of the product; nil when the event is about all that the user's request asked for.
    package var product: String?
    package var occurredAt: Timestamp
    /// When the report can or could no longer be read, where that is known.
    package var deadline: Timestamp?
    package var errorType: String?
    package var errorCode: String?
    /// The Items to repair, of a `needs-repair` event.
    package var itemIDs: [String]

    package init(
        kind: Kind,
        userID: String,
        product: String?,
        occurredAt: Timestamp,
        deadline: Timestamp? = nil,
        errorType: String? = nil,
        errorCode: String? = nil,
        itemIDs: [String] = []
    ) {
        self.kind = kind
        self.userID = userID
        self.product = product
        self.occurredAt = occurredAt
        self.deadline = deadline
        self.errorType = errorType
        self.errorCode = errorCode
        self.itemIDs = itemIDs
    }

    /// `ce_type` of this event.
    package var eventType: String { "check-pipeline.report.\(kind.rawValue)" }
    /// The record's key.
    package var key: [UInt8] { Array(userID.utf8) }

    /// - Parameter cause: What set it off: the webhook's `ce_id`, or the request's own key. Equal causes give equal ids.
    package func headers(
        environment: PlaidEnvironment,
        group: ConsumerGroup,
        cause: String,
        traceParent: TraceParent? = nil
    ) -> [HeaderPair] {
        CloudEventHeaders(
            id: EventIdentity.lifecycle(
                environment: environment,
                kind: kind,
                userID: userID,
                product: product,
                cause: cause
            ),
            type: eventType,
            source: PipelineSource.text(environment, group),
            subject: userID,
            time: occurredAt,
            traceParent: traceParent
        ).kafkaPairs
    }

    /// The record's value: one JSON object with all eight members, absent ones null.
    package var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { data in
            data.field("kind", kind.rawValue)
            data.field("user_id", userID)
            data.field("product", orNull: product)
            data.field("occurred_at", occurredAt.rfc3339)
            data.field("deadline", orNull: deadline?.rfc3339)
            data.field("error_type", orNull: errorType)
            data.field("error_code", orNull: errorCode)
            data.array("item_ids") { items in
                for id in itemIDs { items.value(id) }
            }
        }
        return writer.bytes
    }

    /// Reads the data back; members that we do not know are passed over.
    ///
    /// - Returns: nil when it is no such event.
    package init?(json: [UInt8]) {
        guard let value = try? JSON.parse(json),
            let kind = value["kind"]?.stringValue.flatMap({ Kind(rawValue: $0) }),
            let userID = value["user_id"]?.stringValue,
            let occurredAt = value["occurred_at"]?.stringValue.flatMap({ Timestamp(rfc3339: $0) })
        else { return nil }
        self.init(
            kind: kind,
            userID: userID,
            product: value["product"]?.stringValue,
            occurredAt: occurredAt,
            deadline: value["deadline"]?.stringValue.flatMap { Timestamp(rfc3339: $0) },
            errorType: value["error_type"]?.stringValue,
            errorCode: value["error_code"]?.stringValue,
            itemIDs: value["item_ids"]?.arrayValue?.compactMap { $0.stringValue } ?? []
        )
    }
}
