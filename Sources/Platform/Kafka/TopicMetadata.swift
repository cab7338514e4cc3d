// A topic as a broker describes it, asked with a time limit.

import Basics
import CKafka

/// Partitions and their leaders. -1 is no leader.
struct TopicMetadata: Sendable {
    struct Partition: Sendable {
        let id: Int32
        let leader: Int32
        let replicas: [Int32]
        let inSyncReplicas: [Int32]
    }
    let name: String
    let partitions: [Partition]
    let error: KafkaError?

    /// Asks for one topic by its handle, or for all. Blocks up to `timeout`.
    ///
    /// Never for "all local topics", which lets 2.0.2 auto-create those that it knows, whatever
    /// `allow.auto.create.topics` says.
    static func query(_ client: OpaquePointer, topic: OpaquePointer, timeout: Duration) -> Result<
        TopicMetadata, KafkaError
    > {
        switch queryAll(client, only: topic, timeout: timeout) {
        case .failure(let error): return .failure(error)
        case .success(let topics):
            guard let first = topics.first else { return .failure(KafkaError(raw: RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)) }
            if let error = first.error { return .failure(error) }
            return .success(first)
        }
    }

    static func queryAll(
        _ client: OpaquePointer,
        only topic: OpaquePointer?,
        timeout: Duration
    ) -> Result<[TopicMetadata], KafkaError> {
        var metadata: UnsafePointer<rd_kafka_metadata>?
        let milliseconds = Int32(clamping: max(1, timeout.inMilliseconds))
        let raw = rd_kafka_metadata(client, topic == nil ? 1 : 0, topic, &metadata, milliseconds)
        guard raw == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata else { return .failure(KafkaError(raw: raw)) }
        defer { rd_kafka_metadata_destroy(metadata) }
        return .success((0..<Int(metadata.pointee.topic_cnt)).map { TopicMetadata(metadata.pointee.topics[$0]) })
    }

    private init(_ topic: rd_kafka_metadata_topic) {
        name = topic.topic.map { String(cString: $0) } ?? ""
        error = topic.err == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(raw: topic.err)
        partitions = (0..<Int(topic.partition_cnt)).map { index in
            let partition = topic.partitions[index]
            return Partition(
                id: partition.id,
                leader: partition.leader,
                replicas: (0..<Int(partition.replica_cnt)).map { partition.replicas[$0] },
                inSyncReplicas: (0..<Int(partition.isr_cnt)).map { partition.isrs[$0] }
            )
        }
    }
}
