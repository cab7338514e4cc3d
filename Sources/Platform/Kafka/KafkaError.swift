// What went wrong at the broker or in the client library, as a value that callers can branch on.

import CKafka

/// A failure reported by librdkafka or by a broker.
///
/// `message` is the library's text: host names and topics, never a payload, and never the value of a setting, which
/// may be a password.
package struct KafkaError: Error, Sendable, CustomStringConvertible {
    /// The kinds that callers tell apart. Several of librdkafka's codes share one; ``rawCode`` keeps the difference.
    package enum Code: String, Sendable, CaseIterable {
        /// The bounded local queue has no room: try again when some of it is delivered.
        case queueFull
        /// No answer in time. For a message, see ``KafkaError/mayBeStored``.
        case timedOut
        /// No connection: refused, cut, or no broker up.
        case transport
        case nameResolution
        case tls
        case authentication
        case authorization
        case unknownTopic
        case unknownPartition
        case messageTooLarge
        /// Fewer replicas in sync than `min.insync.replicas`.
        case notEnoughReplicas
        case leaderUnavailable
        case coordinatorUnavailable
        /// The group is being re-balanced; what was asked does not hold any more.
        case rebalancing
        /// This member's generation is over: another owns its partitions.
        case staleMember
        case assignmentLost
        /// A commit, pause or resume named a partition that is not ours now. Told by this module, not by a broker.
        case notAssigned
        /// Another client took this one's identity (`group.instance.id`, producer epoch).
        case fenced
        case offsetOutOfRange
        /// The poll thread did not poll within `max.poll.interval.ms`.
        case pollTooLate
        /// The broker's disk or its state failed for now.
        case brokerFault
        /// The handle cannot go on. A producer replaces it by itself.
        case fatal
        case invalidConfiguration
        case invalidRequest
        case alreadyExists
        case unsupported
        /// Given up before an outcome was known: the producer was closed or replaced.
        case cancelled
        /// The object was closed before the call.
        case closed
        case other
    }

    package let code: Code
    /// `rd_kafka_resp_err_t`: negative for the library's own, positive for a broker's, 0 when this module decided.
    package let rawCode: Int32
    /// librdkafka's name of ``rawCode``, like `_MSG_TIMED_OUT`.
    package let name: String
    package let message: String
    /// The same call may succeed later without anybody's doing.
    package let isRetriable: Bool
    /// The handle that reported it is of no more use.
    package let isFatal: Bool
    /// Of a failed message: the broker may have stored it all the same. False means that it surely has not.
    package let mayBeStored: Bool

    package var description: String {
        message.isEmpty ? "\(code.rawValue) (\(name))" : "\(code.rawValue) (\(name)): \(message)"
    }

    /// A decision of this module, without a code of librdkafka.
    init(_ code: Code, _ message: String, isRetriable: Bool = false, mayBeStored: Bool = false) {
        self.code = code
        rawCode = 0
        name = code.rawValue
        self.message = message
        self.isRetriable = isRetriable
        isFatal = false
        self.mayBeStored = mayBeStored
    }

    /// - Parameter message: What the library said; its general text for the code when nil.
    init(raw: rd_kafka_resp_err_t, message: String? = nil, isFatal: Bool = false, mayBeStored: Bool = false) {
        let kind = KafkaErrorTable.kind(of: raw)
        code = isFatal && kind.code != .fenced ? .fatal : kind.code
        rawCode = raw.rawValue
        name = rd_kafka_err2name(raw).map { String(cString: $0) } ?? "\(raw.rawValue)"
        self.message = message ?? rd_kafka_err2str(raw).map { String(cString: $0) } ?? ""
        isRetriable = kind.isRetriable && !isFatal
        self.isFatal = isFatal || kind.code == .fatal
        self.mayBeStored = mayBeStored
    }

    /// By the number that ``rawCode`` keeps.
    init(rawCode: Int32, isFatal: Bool = false, mayBeStored: Bool = false) {
        self.init(raw: rd_kafka_resp_err_t(rawValue: rawCode), isFatal: isFatal, mayBeStored: mayBeStored)
    }

    /// A success that names no offset.
    static let unacknowledged = KafkaError(
        .cancelled,
        "the client calls the message delivered, and no broker has acknowledged it",
        isRetriable: true,
        mayBeStored: true
    )

    private init(_ other: KafkaError, code: Code, isRetriable: Bool, isFatal: Bool, mayBeStored: Bool) {
        self.code = code
        rawCode = other.rawCode
        name = other.name
        message = other.message
        self.isRetriable = isRetriable
        self.isFatal = isFatal
        self.mayBeStored = mayBeStored
    }

    /// The same failure of a message whose producer handle has been replaced: the next attempt meets a new one.
    func ofReplacedHandle() -> KafkaError {
        guard isFatal || code == .cancelled || code == .fenced else { return self }
        return KafkaError(self, code: .cancelled, isRetriable: true, isFatal: false, mayBeStored: mayBeStored)
    }
}
