// A dead letter as a value: whole, in a list, and what to list.

package import Basics

/// A record header as stored: names repeat, a value may be null or hold any bytes.
package typealias StoredHeader = (name: String, value: [UInt8]?)

/// One event that died.
package struct DeadLetter: Sendable {
    /// Prefix included: a replay goes to this group's retry topic only.
    package var consumerGroup: String
    /// Coordinates of the record that died; after a replay the retry topic's.
    package var topic: String
    package var partition: Int32
    package var offset: Int64
    /// That record's Kafka timestamp.
    package var recordTime: Timestamp
    package var key: [UInt8]?
    package var headers: [StoredHeader]
    package var value: Bytes
    package var errorType: String
    package var errorCode: String?
    /// Without secrets, bodies or personal data.
    package var errorMessage: String?
    /// 1 or more.
    package var attempts: Int
    package var firstFailedAt: Timestamp
    package var failedAt: Timestamp

    package init(
        consumerGroup: String,
        topic: String,
        partition: Int32,
        offset: Int64,
        recordTime: Timestamp,
        key: [UInt8]?,
        headers: [StoredHeader],
        value: Bytes,
        errorType: String,
        errorCode: String? = nil,
        errorMessage: String? = nil,
        attempts: Int,
        firstFailedAt: Timestamp,
        failedAt: Timestamp
    ) {
        self.consumerGroup = consumerGroup
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.recordTime = recordTime
        self.key = key
        self.headers = headers
        self.value = value
        self.errorType = errorType
        self.errorCode = errorCode
        self.errorMessage = errorMessage
        self.attempts = attempts
        self.firstFailedAt = firstFailedAt
        self.failedAt = failedAt
    }
}

/// A row of the list: everything but headers and value.
package struct DeadLetterSummary: Hashable, Sendable {
    package let id: Int64
    package let consumerGroup: String
    package let topic: String
    package let partition: Int32
    package let offset: Int64
    package let key: [UInt8]?
    package let errorType: String
    package let errorCode: String?
    package let errorMessage: String?
    package let attempts: Int
    package let firstFailedAt: Timestamp
    package let failedAt: Timestamp
    package let replayedAt: Timestamp?
    package let discardedAt: Timestamp?
    package let byteCount: Int
}

package struct DeadLetterFilter: Hashable, Sendable {
    package enum Standing: Hashable, Sendable {
        /// Neither replayed nor discarded.
        case open
        case replayed, discarded, any
    }

    package var consumerGroup: String?
    package var errorType: String?
    package var errorCode: String?
    /// The record's key: a user's id for report webhooks.
    package var key: [UInt8]?
    /// Only rows that failed at this time or later.
    package var since: Timestamp?
    package var standing: Standing
    /// Only rows older than this one: the next page.
    package var beforeID: Int64?
    /// 1…1,000.
    package var limit: Int

    package init(
        consumerGroup: String? = nil,
        errorType: String? = nil,
        errorCode: String? = nil,
        key: [UInt8]? = nil,
        since: Timestamp? = nil,
        standing: Standing = .open,
        beforeID: Int64? = nil,
        limit: Int = 100
    ) {
        self.consumerGroup = consumerGroup
        self.errorType = errorType
        self.errorCode = errorCode
        self.key = key
        self.since = since
        self.standing = standing
        self.beforeID = beforeID
        self.limit = limit
    }
}
