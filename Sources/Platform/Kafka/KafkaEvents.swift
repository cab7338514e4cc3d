// Reading librdkafka's events and lists into values of ours.

import Basics
import CKafka

extension KafkaError {
    /// The failure that an event carries; nil when it carries none.
    init?(event: OpaquePointer) {
        let raw = rd_kafka_event_error(event)
        if raw == RD_KAFKA_RESP_ERR_NO_ERROR { return nil }
        let message = rd_kafka_event_error_string(event).map { String(cString: $0) }
        // Of other events the library would read this flag from memory that means something else.
        let isFatal = rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR && rd_kafka_event_error_is_fatal(event) != 0
        self.init(raw: raw, message: message, isFatal: isFatal)
    }

    /// Nil for no error.
    init?(failure raw: rd_kafka_resp_err_t) {
        if raw == RD_KAFKA_RESP_ERR_NO_ERROR { return nil }
        self.init(raw: raw)
    }

    /// Takes over an `rd_kafka_error_t`; nil when there is none.
    init?(taking error: OpaquePointer?) {
        guard let error else { return nil }
        defer { rd_kafka_error_destroy(error) }
        self.init(
            raw: rd_kafka_error_code(error),
            message: rd_kafka_error_string(error).map { String(cString: $0) },
            isFatal: rd_kafka_error_is_fatal(error) != 0
        )
    }
}

extension KafkaLogLine {
    init?(event: OpaquePointer) {
        var facility: UnsafePointer<CChar>?
        var message: UnsafePointer<CChar>?
        var level: Int32 = 0
        guard rd_kafka_event_log(event, &facility, &message, &level) == 0 else { return nil }
        self.init(
            level: Int(level),
            facility: facility.map { String(cString: $0) } ?? "",
            message: message.map { String(cString: $0) } ?? ""
        )
    }
}

/// One `rd_kafka_topic_partition_list_t` of ours.
struct PartitionList: ~Copyable {
    let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

    init(_ partitions: some Sequence<TopicPartition>) {
        pointer = rd_kafka_topic_partition_list_new(16)
        for partition in partitions { rd_kafka_topic_partition_list_add(pointer, partition.topic, partition.partition) }
    }

    init(_ offsets: [TopicPartition: Int64]) {
        pointer = rd_kafka_topic_partition_list_new(16)
        for (partition, offset) in offsets {
            rd_kafka_topic_partition_list_add(pointer, partition.topic, partition.partition).pointee.offset = offset
        }
    }

    deinit { rd_kafka_topic_partition_list_destroy(pointer) }
}

/// What a list that the library owns says.
struct PartitionEntry {
    let partition: TopicPartition
    let offset: Int64
    let error: KafkaError?

    static func read(_ list: UnsafePointer<rd_kafka_topic_partition_list_t>?) -> [PartitionEntry] {
        guard let list, let elements = list.pointee.elems else { return [] }
        return (0..<Int(list.pointee.cnt)).map { index in
            let element = elements[index]
            return PartitionEntry(
                partition: TopicPartition(
                    topic: element.topic.map { String(cString: $0) } ?? "",
                    partition: element.partition
                ),
                offset: element.offset,
                error: element.err == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(raw: element.err)
            )
        }
    }
}

extension ConsumerRecord {
    /// Copies a message out; the library's one can be destroyed right after.
    init(copying message: UnsafePointer<rd_kafka_message_t>, topic: String) {
        let source = message.pointee
        var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        let milliseconds = rd_kafka_message_timestamp(message, &kind)
        self.init(
            topic: topic,
            partition: source.partition,
            offset: source.offset,
            timestamp: Timestamp(millisecondsSinceEpoch: max(0, milliseconds)),
            key: source.key.map { [UInt8](UnsafeRawBufferPointer(start: $0, count: source.key_len)) },
            value: source.payload.map { Bytes(copying: UnsafeRawBufferPointer(start: $0, count: source.len)) }
                ?? .empty,
            headers: Self.headers(of: message)
        )
    }

    private static func headers(of message: UnsafePointer<rd_kafka_message_t>) -> [KafkaHeader] {
        var list: OpaquePointer?
        guard rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return [] }
        let count = rd_kafka_header_cnt(list)
        return (0..<count).compactMap { index in
            var name: UnsafePointer<CChar>?
            var value: UnsafeRawPointer?
            var size = 0
            guard rd_kafka_header_get_all(list, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let name
            else { return nil }
            return KafkaHeader(
                name: String(cString: name),
                value: value.map { [UInt8](UnsafeRawBufferPointer(start: $0, count: size)) }
            )
        }
    }
}
