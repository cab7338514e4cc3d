// The one table from librdkafka's codes to kinds; tests walk it.

import CKafka

enum KafkaErrorTable {
    struct Kind {
        let code: KafkaError.Code
        let isRetriable: Bool
    }

    /// Codes that are not listed are `other` and retriable: an unknown trouble of a broker pauses, it does not
    /// condemn the message at hand.
    static func kind(of raw: rd_kafka_resp_err_t) -> Kind {
        byRawCode[raw.rawValue] ?? Kind(code: .other, isRetriable: true)
    }

    private static let byRawCode: [Int32: Kind] = {
        var table: [Int32: Kind] = [:]
        for (code, isRetriable, rawCodes) in rows {
            for rawCode in rawCodes { table[rawCode] = Kind(code: code, isRetriable: isRetriable) }
        }
        return table
    }()

    /// The table with plain numbers, as tests walk it.
    static var rows: [(code: KafkaError.Code, isRetriable: Bool, rawCodes: [Int32])] {
        table.map { ($0.code, $0.isRetriable, $0.raws.map(\.rawValue)) }
    }

    private static let table: [(code: KafkaError.Code, isRetriable: Bool, raws: [rd_kafka_resp_err_t])] = [
        (.queueFull, true, [RD_KAFKA_RESP_ERR__QUEUE_FULL]),
        (
            .timedOut, true,
            [
                RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
                RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            ]
        ),
        (
            .transport, true,
            [
                RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
                RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
            ]
        ),
        (.nameResolution, true, [RD_KAFKA_RESP_ERR__RESOLVE]),
        // OpenSSL 3 reports a connection cut without close_notify as an error of TLS: it may well pass.
        (.tls, true, [RD_KAFKA_RESP_ERR__SSL]),
        // A broker that restarts, or credentials that arrive late, mend these; the caller pauses meanwhile.
        (
            .authentication, true,
            [RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED]
        ),
        (
            .authorization, true,
            [
                RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
                RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
                RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            ]
        ),
        (.unknownTopic, true, [RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART]),
        (.unknownPartition, true, [RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION]),
        (
            .messageTooLarge, false,
            [
                RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE,
                RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
            ]
        ),
        (
            .notEnoughReplicas, true,
            [
                RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
                RD_KAFKA_RESP_ERR__ISR_INSUFF,
            ]
        ),
        (
            .leaderUnavailable, true,
            [
                RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
                RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, RD_KAFKA_RESP_ERR_NOT_CONTROLLER,
            ]
        ),
        (
            .coordinatorUnavailable, true,
            [
                RD_KAFKA_RESP_ERR__WAIT_COORD, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            ]
        ),
        (.rebalancing, true, [RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS]),
        (.staleMember, true, [RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID]),
        (.assignmentLost, true, [RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST]),
        (
            .fenced, false,
            [
                RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
                RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
            ]
        ),
        (.offsetOutOfRange, true, [RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET]),
        (.pollTooLate, true, [RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED]),
        (
            .brokerFault, true,
            [
                RD_KAFKA_RESP_ERR_UNKNOWN, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
                RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
            ]
        ),
        (.fatal, false, [RD_KAFKA_RESP_ERR__FATAL]),
        (.invalidConfiguration, false, [RD_KAFKA_RESP_ERR_INVALID_CONFIG, RD_KAFKA_RESP_ERR__NOT_CONFIGURED]),
        (
            .invalidRequest, false,
            [
                RD_KAFKA_RESP_ERR__INVALID_ARG, RD_KAFKA_RESP_ERR_INVALID_REQUEST,
                RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, RD_KAFKA_RESP_ERR_INVALID_PARTITIONS,
                RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, RD_KAFKA_RESP_ERR_INVALID_GROUP_ID,
                RD_KAFKA_RESP_ERR_POLICY_VIOLATION, RD_KAFKA_RESP_ERR_INVALID_RECORD,
                RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT,
            ]
        ),
        (.alreadyExists, false, [RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS]),
        (
            .unsupported, false,
            [
                RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
                RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED,
            ]
        ),
        (.cancelled, true, [RD_KAFKA_RESP_ERR__PURGE_QUEUE, RD_KAFKA_RESP_ERR__PURGE_INFLIGHT]),
        (.closed, false, [RD_KAFKA_RESP_ERR__DESTROY]),
    ]
}
