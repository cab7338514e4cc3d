// What a retried or dead event carries besides its own headers: where it first stood, how often and why it failed.

package import Basics

/// The extra headers of records in `<group>.retry` and `<group>.dead-letters`.
package struct FailureProvenance: Hashable, Sendable {
    /// The group that failed, prefix included: a dead letter is replayed to this group only.
    package var group: String
    /// The record the event first stood in; a replay's further lives do not change it.
    package var original: RecordOrigin
    /// Tries so far, 1 or more.
    package var attempts: Int
    package var firstFailedAt: Timestamp
    package var lastFailedAt: Timestamp
    /// A word of a closed set, or Plaid's `error_type`.
    package var errorType: String
    /// Plaid's `error_code`, or a word of ours.
    package var errorCode: String?
    /// For people; without secrets, bodies or personal data. Cut at 256 characters when written.
    package var reason: String?

    package init(
        group: String,
        original: RecordOrigin,
        attempts: Int,
        firstFailedAt: Timestamp,
        lastFailedAt: Timestamp,
        errorType: String,
        errorCode: String? = nil,
        reason: String? = nil
    ) {
        self.group = group
        self.original = original
        self.attempts = attempts
        self.firstFailedAt = firstFailedAt
        self.lastFailedAt = lastFailedAt
        self.errorType = errorType
        self.errorCode = errorCode
        self.reason = reason
    }

    /// The event's own headers in their order, repeats kept, with these added in place of an earlier life's.
    package func added(to pairs: [HeaderPair]) -> [HeaderPair] {
        pairs.filter { !Self.names.contains($0.name) } + ownPairs
    }

    /// The headers of a dead letter that an operator replays: its tries start anew, but where the event first stood,
    /// and with it the age of one that carries no `received-at`, stays known.
    ///
    /// - Parameter died: The record that died: the first one where the headers name none.
    package static func replayed(_ pairs: [HeaderPair], died: RecordOrigin) -> [HeaderPair] {
        pairs.filter { !names.contains($0.name) } + originPairs(originalRecord(pairs) ?? died)
    }

    private static func originPairs(_ origin: RecordOrigin) -> [HeaderPair] {
        [
            HeaderPairs.pair(HeaderName.originalTopic, origin.topic),
            HeaderPairs.pair(HeaderName.originalPartition, String(origin.partition)),
            HeaderPairs.pair(HeaderName.originalOffset, String(origin.offset)),
            HeaderPairs.pair(HeaderName.originalTimestamp, origin.timestamp.rfc3339(fractionDigits: 3)),
        ]
    }

    private var ownPairs: [HeaderPair] {
        var own = Self.originPairs(original)
        own += [
            HeaderPairs.pair(HeaderName.consumerGroup, group),
            HeaderPairs.pair(HeaderName.attempts, String(attempts)),
            HeaderPairs.pair(HeaderName.firstFailedAt, firstFailedAt.rfc3339(fractionDigits: 6)),
            HeaderPairs.pair(HeaderName.lastFailedAt, lastFailedAt.rfc3339(fractionDigits: 6)),
            HeaderPairs.pair(HeaderName.errorType, HeaderPairs.attribute(errorType)),
        ]
        if let errorCode { own.append(HeaderPairs.pair(HeaderName.errorCode, HeaderPairs.attribute(errorCode))) }
        if let reason { own.append(HeaderPairs.pair(HeaderName.errorReason, HeaderPairs.attribute(reason))) }
        return own
    }

    /// Reads the headers back; nil when a required one is missing or malformed, as on every first delivery.
    package init?(_ pairs: [HeaderPair]) {
        guard let original = Self.originalRecord(pairs),
            let group = HeaderPairs.text(HeaderName.consumerGroup, in: pairs),
            let attempts = HeaderPairs.integer(HeaderName.attempts, in: pairs),
            (1...Int64(Int32.max)).contains(attempts),
            let firstFailedAt = Self.time(HeaderName.firstFailedAt, in: pairs),
            let lastFailedAt = Self.time(HeaderName.lastFailedAt, in: pairs),
            let errorType = HeaderPairs.text(HeaderName.errorType, in: pairs)
        else { return nil }
        self.init(
            group: group,
            original: original,
            attempts: Int(attempts),
            firstFailedAt: firstFailedAt,
            lastFailedAt: lastFailedAt,
            errorType: errorType,
            errorCode: HeaderPairs.text(HeaderName.errorCode, in: pairs),
            reason: HeaderPairs.text(HeaderName.errorReason, in: pairs)
        )
    }

    /// The first record's coordinates and time, where the headers name all four.
    package static func originalRecord(_ pairs: [HeaderPair]) -> RecordOrigin? {
        guard let topic = HeaderPairs.text(HeaderName.originalTopic, in: pairs), !topic.isEmpty,
            let partition = HeaderPairs.integer(HeaderName.originalPartition, in: pairs).flatMap({ Int32(exactly: $0) }
            ),
            let offset = HeaderPairs.integer(HeaderName.originalOffset, in: pairs),
            partition >= 0, offset >= 0,
            let timestamp = time(HeaderName.originalTimestamp, in: pairs)
        else { return nil }
        return RecordOrigin(topic: topic, partition: partition, offset: offset, timestamp: timestamp)
    }

    private static func time(_ name: String, in pairs: [HeaderPair]) -> Timestamp? {
        HeaderPairs.text(name, in: pairs).flatMap { Timestamp(rfc3339: $0) }
    }

    private static let names: Set<String> = [
        HeaderName.consumerGroup, HeaderName.originalTopic, HeaderName.originalPartition, HeaderName.originalOffset,
        HeaderName.originalTimestamp, HeaderName.attempts, HeaderName.firstFailedAt, HeaderName.lastFailedAt,
        HeaderName.errorType, HeaderName.errorCode, HeaderName.errorReason,
    ]
}
