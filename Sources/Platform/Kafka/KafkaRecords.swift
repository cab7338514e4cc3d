// What goes in and comes out: records, headers, coordinates. Plain values, no pointers.

package import Basics

/// One header. Names may repeat; a nil value is Kafka's null, which is not the empty value.
package struct KafkaHeader: Hashable, Sendable {
    package let name: String
    package let value: [UInt8]?

    package init(name: String, value: [UInt8]?) {
        self.name = name
        self.value = value
    }
}

/// What is to be published.
package struct ProducerRecord: Sendable {
    package let topic: String
    /// Same key, same partition; nil spreads over all. Any bytes.
    package let key: [UInt8]?
    /// Nil is Kafka's null (a tombstone on a compacted topic).
    package let value: Bytes?
    package let headers: [KafkaHeader]

    package init(topic: String, key: [UInt8]?, value: Bytes?, headers: [KafkaHeader] = []) {
        self.topic = topic
        self.key = key
        self.value = value
        self.headers = headers
    }
}

/// Where the cluster stored a record: said only after all in-sync replicas have it.
package struct Delivery: Hashable, Sendable {
    package let partition: Int32
    package let offset: Int64

    /// What a success reported by the library is worth.
    ///
    /// Without an offset no broker has acknowledged this message: the library concluded its success from that of a later
    /// one, and a broker that had no state of this producer may have taken that one alone.
    static func confirmed(_ partition: Int32, offset: Int64) -> Result<Delivery, KafkaError> {
        offset >= 0 ? .success(Delivery(partition: partition, offset: offset)) : .failure(.unacknowledged)
    }
}

package struct TopicPartition: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let topic: String
    package let partition: Int32

    package init(topic: String, partition: Int32) {
        self.topic = topic
        self.partition = partition
    }

    package var description: String { "\(topic)[\(partition)]" }

    package static func < (left: TopicPartition, right: TopicPartition) -> Bool {
        (left.topic, left.partition) < (right.topic, right.partition)
    }
}

/// A record as fetched, owning every byte of it: the library's message is gone when the handler sees this.
package struct ConsumerRecord: Sendable {
    package let topic: String
    package let partition: Int32
    package let offset: Int64
    /// The producer's or the broker's time, milliseconds; the epoch when the record has none.
    package let timestamp: Timestamp
    package let key: [UInt8]?
    /// Empty when the record's value is null.
    package let value: Bytes
    package let headers: [KafkaHeader]

    package init(
        topic: String,
        partition: Int32,
        offset: Int64,
        timestamp: Timestamp,
        key: [UInt8]?,
        value: Bytes,
        headers: [KafkaHeader]
    ) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
    }

    package var topicPartition: TopicPartition { TopicPartition(topic: topic, partition: partition) }

    /// Payload bytes held: key, value, header names and values.
    package var byteCount: Int {
        headers.reduce((key?.count ?? 0) + value.count) { $0 + $1.name.utf8.count + ($1.value?.count ?? 0) }
    }
}

/// One line of librdkafka's own log.
package struct KafkaLogLine: Sendable {
    /// Syslog severity: 0 (emergency) to 7 (debug).
    package let level: Int
    /// librdkafka's short tag, like `FAIL` or `GETPID`.
    package let facility: String
    package let message: String
}
