// librdkafka's mock brokers on loopback ports: for tests and a first run, never for data that matters.

import Basics
import CKafka

/// A cluster that lives in this process and speaks enough of Kafka's protocol for producers and consumer groups.
///
/// It keeps 5 MB a partition and drops the oldest silently, takes 3 s for a group's first join and longer for a
/// rebalance, has no Admin API, no TLS and no fencing. Other processes can connect to it.
///
/// Sendable because the library serialises every call on the mock's own thread ("all rd_kafka_mock functions are
/// thread-safe" by that), and `close` runs once under the lock.
package final class MockCluster: @unchecked Sendable {
    /// Keys of Kafka's requests, for ``pushRequestErrors(_:_:)``.
    package enum Request: Int16, Sendable {
        case produce = 0
        case fetch = 1
        case listOffsets = 2
        case metadata = 3
        case offsetCommit = 8
        case offsetFetch = 9
        case findCoordinator = 10
        case joinGroup = 11
        case heartbeat = 12
        case leaveGroup = 13
        case syncGroup = 14
        case initProducerID = 22
    }

    private let client: OpaquePointer
    private let cluster: OpaquePointer
    private let isClosed = Locked(false)
    /// Like `127.0.0.1:40001,127.0.0.1:40002`.
    package let bootstrapServers: String

    /// - Parameter brokers: 1 and up; their ids are 1…`brokers`.
    package init(brokers: Int = 1) throws(KafkaError) {
        var configuration = ClientConfiguration()
        configuration.silence()
        let client = try configuration.makeHandle(RD_KAFKA_PRODUCER)
        guard let cluster = rd_kafka_mock_cluster_new(client, Int32(brokers)) else {
            rd_kafka_destroy(client)
            throw KafkaError(.other, "the mock cluster could not open its ports")
        }
        self.client = client
        self.cluster = cluster
        bootstrapServers = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
    }

    deinit {
        guard !isClosed.withLock({ $0 }) else { return }
        // Not even the end of the mock's own threads is waited for here.
        nonisolated(unsafe) let (cluster, client) = (cluster, client)
        _ = WorkerThread(name: "mock-end") {
            rd_kafka_mock_cluster_destroy(cluster)
            rd_kafka_destroy(client)
        }
    }

    /// Ends all connections and frees the messages. The second call does nothing. The library's handle behind it takes up
    /// to a second to end its threads, and does so on one of ours: a test's task may be the last holder.
    package func close() {
        let isFirst = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return !isClosed
        }
        guard isFirst else { return }
        rd_kafka_mock_cluster_destroy(cluster)
        nonisolated(unsafe) let handedOver = client
        _ = WorkerThread(name: "mock-end") { rd_kafka_destroy(handedOver) }
    }

    package func createTopic(_ name: String, partitions: Int, replication: Int = 1) throws(KafkaError) {
        try check(rd_kafka_mock_topic_create(cluster, name, Int32(partitions), Int32(replication)))
    }

    /// Takes a broker down (its connections are cut, new ones refused) or up again.
    package func setBroker(_ id: Int32, isUp: Bool) {
        _ = isUp ? rd_kafka_mock_broker_set_up(cluster, id) : rd_kafka_mock_broker_set_down(cluster, id)
    }

    /// Delays every answer of a broker.
    package func setRoundTripTime(_ time: Duration, ofBroker id: Int32) {
        _ = rd_kafka_mock_broker_set_rtt(cluster, id, Int32(clamping: time.inMilliseconds))
    }

    package func setLeader(_ broker: Int32, of partition: TopicPartition) {
        _ = rd_kafka_mock_partition_set_leader(cluster, partition.topic, partition.partition, broker)
    }

    package func setCoordinator(_ broker: Int32, ofGroup group: String) {
        _ = rd_kafka_mock_coordinator_set(cluster, "group", group, broker)
    }

    /// Answers the next requests of this kind, one after another, with these of Kafka's error codes.
    package func pushRequestErrors(_ request: Request, _ codes: [Int32]) {
        var errors = codes.map { rd_kafka_resp_err_t(rawValue: $0) }
        rd_kafka_mock_push_request_errors_array(cluster, request.rawValue, errors.count, &errors)
    }

    package func clearRequestErrors(_ request: Request) {
        rd_kafka_mock_clear_request_errors(cluster, request.rawValue)
    }

    /// Makes a topic answer with this error code everywhere; 0 ends it.
    package func setTopicError(_ topic: String, _ code: Int32) {
        rd_kafka_mock_topic_set_error(cluster, topic, rd_kafka_resp_err_t(rawValue: code))
    }

    private func check(_ raw: rd_kafka_resp_err_t) throws(KafkaError) {
        if raw != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(raw: raw) }
    }
}
