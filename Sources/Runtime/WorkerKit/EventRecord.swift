// One record of a topic as the runtime sees it: where it stood, what it says, and how long it is worth anything.

package import Basics
package import Kafka

/// Where a record stands in its log.
package struct RecordCoordinates: Hashable, Sendable {
    package let topicPartition: TopicPartition
    package let offset: Int64

    package var topic: String { topicPartition.topic }
    package var partition: Int32 { topicPartition.partition }

    package init(topicPartition: TopicPartition, offset: Int64) {
        self.topicPartition = topicPartition
        self.offset = offset
    }
}

/// A record with what its envelope says. Made on the poll thread by the service's `describe` closure, which
/// never fails: what an envelope lacks is taken from the record itself.
package struct EventRecord: Sendable {
    package let coordinates: RecordCoordinates
    /// The broker's or producer's time of the record.
    package let recordedAt: Timestamp
    /// The lane: records with equal keys are handled in order. None: in any order.
    package let key: [UInt8]?
    package let value: Bytes
    package let headers: [KafkaHeader]
    /// When the receiver had the webhook whole, by the receivers' clocks.
    package let receivedAt: Timestamp
    /// The end of the event's worth: ``receivedAt`` and the lifetime of a report.
    package let deadline: Timestamp
    /// How it may share one piece of work with others of its key.
    package let mergeRule: MergeRule
    /// Attempts already spent on it before this record was written (a record of a retry topic), else 0.
    package let earlierAttempts: Int
    /// What it holds in memory, bytes.
    package let byteCount: Int

    package init(
        record: ConsumerRecord,
        receivedAt: Timestamp,
        lifetime: Duration,
        mergeRule: MergeRule = .alone,
        earlierAttempts: Int = 0
    ) {
        coordinates = RecordCoordinates(
            topicPartition: TopicPartition(topic: record.topic, partition: record.partition),
            offset: record.offset
        )
        recordedAt = record.timestamp
        key = record.key
        value = record.value
        headers = record.headers
        self.receivedAt = receivedAt
        deadline = receivedAt + lifetime
        self.mergeRule = mergeRule
        self.earlierAttempts = max(0, earlierAttempts)
        byteCount = record.byteCount
    }
}

/// One instant on both clocks: deadlines are times of day, waits are not moved by setting a clock.
package struct Moment: Sendable {
    package let monotonic: MonotonicInstant
    package let wall: Timestamp

    package init(monotonic: MonotonicInstant, wall: Timestamp) {
        self.monotonic = monotonic
        self.wall = wall
    }

    /// The instant at which a time of day will come, by the clocks as they stand; now for one that has passed.
    package func instant(of time: Timestamp) -> MonotonicInstant {
        let left = time - wall
        return left > .zero ? monotonic + left : monotonic
    }
}
