// The admin client's blocking calls, on its own thread.

import Basics
import CKafka

/// Each call takes as long as its time-out at most. Used by one thread.
struct AdminSession: @unchecked Sendable {
    // Sendable only to be named in the jobs' closures: it lives on the admin thread.
    let client: OpaquePointer
    let queue: OpaquePointer
    let settings: KafkaSettings
    let log: @Sendable (KafkaLogLine) -> Void

    /// Handles the next event that comes in this time; returns early when woken.
    /// - Returns: Whether there was one.
    @discardableResult
    func serve(_ time: Duration) -> Bool {
        guard let event = rd_kafka_queue_poll(queue, Int32(clamping: time.inMilliseconds)) else { return false }
        handle(event)
        rd_kafka_event_destroy(event)
        return true
    }

    /// Handles what has come already, most of all the library's words on a connection that failed.
    func serveRest() {
        for _ in 0..<1_000 where !serve(.zero) { return }
    }

    private func handle(_ event: OpaquePointer) {
        if rd_kafka_event_type(event) == RD_KAFKA_EVENT_LOG, let line = KafkaLogLine(event: event) { log(line) }
    }

    /// Starts a request whose result comes to a queue of its own, so that a late one of another call cannot be taken
    /// for it, and reads that result.
    private func request<Value>(
        _ operation: rd_kafka_admin_op_t,
        timeout: Duration,
        start: (_ options: OpaquePointer?, _ replies: OpaquePointer) -> Void,
        read: (OpaquePointer) throws(KafkaError) -> Value
    ) throws(KafkaError) -> Value {
        guard let options = rd_kafka_AdminOptions_new(client, operation), let replies = rd_kafka_queue_new(client)
        else {
            throw KafkaError(.other, "librdkafka refused an admin request")
        }
        defer {
            rd_kafka_AdminOptions_destroy(options)
            rd_kafka_queue_destroy(replies)
        }
        var reason = [CChar](repeating: 0, count: 256)
        let milliseconds = Int32(clamping: max(1, timeout.inMilliseconds))
        _ = rd_kafka_AdminOptions_set_request_timeout(options, milliseconds, &reason, reason.count)
        start(options, replies)
        // The library keeps the time-out itself; a second more is for its answer.
        guard let event = rd_kafka_queue_poll(replies, milliseconds + 1_000) else {
            throw KafkaError(.timedOut, "no answer of the cluster", isRetriable: true)
        }
        defer { rd_kafka_event_destroy(event) }
        if let error = KafkaError(event: event) { throw error }
        return try read(event)
    }

    func createTopics(_ topics: [NewTopic], timeout: Duration) throws(KafkaError) -> [String: Result<Void, KafkaError>]
    {
        var results: [String: Result<Void, KafkaError>] = [:]
        var made: [OpaquePointer?] = []
        defer { rd_kafka_NewTopic_destroy_array(&made, made.count) }
        for topic in topics {
            var reason = [CChar](repeating: 0, count: 256)
            let (partitions, replication) = (Int32(clamping: topic.partitions), Int32(clamping: topic.replication))
            guard let new = rd_kafka_NewTopic_new(topic.name, partitions, replication, &reason, reason.count) else {
                results[topic.name] = .failure(KafkaError(.invalidRequest, text(of: reason)))
                continue
            }
            made.append(new)
            for (name, value) in topic.config { _ = rd_kafka_NewTopic_set_config(new, name, value) }
        }
        guard !made.isEmpty else { return results }
        let told = try request(RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout: timeout) { options, replies in
            rd_kafka_CreateTopics(client, &made, made.count, options, replies)
        } read: { event throws(KafkaError) in
            var count = 0
            var results: [String: Result<Void, KafkaError>] = [:]
            guard let list = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
            else { return results }
            for index in 0..<count {
                guard let result = list[index], let name = rd_kafka_topic_result_name(result) else { continue }
                let raw = rd_kafka_topic_result_error(result)
                let message = rd_kafka_topic_result_error_string(result).map { String(cString: $0) }
                results[String(cString: name)] =
                    raw == RD_KAFKA_RESP_ERR_NO_ERROR ? .success(()) : .failure(KafkaError(raw: raw, message: message))
            }
            return results
        }
        return results.merging(told) { $1 }
    }

    func describe(_ names: [String]?, timeout: Duration) throws(KafkaError) -> [TopicDescription] {
        var found: [TopicMetadata] = []
        if let names {
            for name in names {
                guard let topic = rd_kafka_topic_new(client, name, nil) else { continue }
                defer { rd_kafka_topic_destroy(topic) }
                found += try TopicMetadata.queryAll(client, only: topic, timeout: timeout).get()
            }
        } else {
            found = try TopicMetadata.queryAll(client, only: nil, timeout: timeout).get()
        }
        for topic in found {
            if let error = topic.error, error.code != .unknownTopic { throw error }
        }
        return found.filter { $0.error == nil }.map(TopicDescription.init)
    }

    /// By two ListOffsets requests for all partitions of a leader together: `rd_kafka_query_watermark_offsets` asks
    /// one by one and in 2.0.2 forgets its time limit.
    func watermarks(_ partitions: [TopicPartition], timeout: Duration) throws(KafkaError) -> [TopicPartition:
        Watermarks]
    {
        let low = try offsets(partitions, at: Int64(RD_KAFKA_OFFSET_BEGINNING), timeout: timeout)
        let high = try offsets(partitions, at: Int64(RD_KAFKA_OFFSET_END), timeout: timeout)
        var watermarks: [TopicPartition: Watermarks] = [:]
        for (partition, offset) in high {
            if let first = low[partition] { watermarks[partition] = Watermarks(low: first, high: offset) }
        }
        return watermarks
    }

    private func offsets(
        _ partitions: [TopicPartition],
        at position: Int64,
        timeout: Duration
    ) throws(KafkaError) -> [TopicPartition: Int64] {
        let unique = Set(partitions)
        let list = PartitionList(Dictionary(uniqueKeysWithValues: unique.map { ($0, position) }))
        let raw = rd_kafka_offsets_for_times(client, list.pointer, Int32(clamping: max(1, timeout.inMilliseconds)))
        guard raw == RD_KAFKA_RESP_ERR_NO_ERROR else {
            let error = KafkaError(raw: raw)
            if error.code == .unknownPartition || error.code == .unknownTopic { return [:] }
            throw error
        }
        var offsets: [TopicPartition: Int64] = [:]
        for entry in PartitionEntry.read(list.pointer) where entry.error == nil && entry.offset >= 0 {
            offsets[entry.partition] = entry.offset
        }
        return offsets
    }

    /// By a consumer of that group which never joins it: `rd_kafka_ListConsumerGroupOffsets` of 2.0.2, its first
    /// version, fails or crashes the process when the coordinator is still loading.
    func committedOffsets(
        _ group: String,
        _ partitions: [TopicPartition],
        timeout: Duration
    ) throws(KafkaError) -> [TopicPartition: Int64?] {
        var configuration = ClientConfiguration()
        try configuration.apply(settings, defaults: AdminClient.defaults, pinned: [("group.id", group)])
        configuration.setEvents(RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG)
        let reader = try configuration.makeHandle(RD_KAFKA_CONSUMER)
        rd_kafka_set_log_queue(reader, queue)
        defer { rd_kafka_destroy_flags(reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) }
        let list = PartitionList(Set(partitions))
        let deadline = MonotonicClock.system.now() + timeout
        while true {
            let left = max(0, (deadline - MonotonicClock.system.now()).inMilliseconds)
            let raw = rd_kafka_committed(reader, list.pointer, Int32(clamping: max(1, left)))
            let entries = raw == RD_KAFKA_RESP_ERR_NO_ERROR ? PartitionEntry.read(list.pointer) : []
            guard let error = entries.lazy.compactMap(\.error).first ?? KafkaError(failure: raw) else {
                return Dictionary(uniqueKeysWithValues: entries.map { ($0.partition, $0.offset < 0 ? nil : $0.offset) })
            }
            // A coordinator that has just been made, or moved, loads for a moment.
            guard error.isRetriable, left > Self.retryPause.inMilliseconds else { throw error }
            serve(Self.retryPause)
        }
    }

    private static let retryPause = Duration.milliseconds(200)
}

extension TopicDescription {
    init(_ topic: TopicMetadata) {
        let partitions = topic.partitions.map { partition in
            Partition(
                id: partition.id,
                leader: partition.leader < 0 ? nil : partition.leader,
                replicas: partition.replicas,
                inSyncReplicas: partition.inSyncReplicas
            )
        }
        self.init(name: topic.name, partitions: partitions.sorted { $0.id < $1.id })
    }
}
