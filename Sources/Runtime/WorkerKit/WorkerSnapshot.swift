// What a worker has in hand at one moment: for its row in `workers`, metrics, health and people.

package import Basics
package import Kafka

package struct WorkerSnapshot: Sendable {
    package struct PartitionState: Sendable {
        package let partition: TopicPartition
        package let epoch: UInt64
        /// The offset known to be committed, or where reading began; nil before the first record.
        package let committed: Int64?
        /// The lowest unfinished offset: what will be committed next.
        package let lowWaterMark: Int64?
        package let unfinished: Int
    }

    package let group: String
    package let takenAt: Timestamp
    package let partitions: [PartitionState]
    package let pausedPartitions: Int
    /// Pieces of work that run, and how many may.
    package let inFlight: Int
    package let inFlightLimit: Int
    /// Events ready or behind running ones of their key.
    package let queued: Int
    /// Events that wait for a repeat, and those behind them; ``waitingByReason`` counts the former.
    package let waiting: Int
    package let waitingByReason: [String: Int]
    package let heldBytes: Int
    /// How long the oldest running piece of work runs.
    package let oldestAttempt: Duration?
    /// Among unfinished events: the nearest end of worth, and the earliest receipt.
    package let earliestDeadline: Timestamp?
    package let oldestReceivedAt: Timestamp?
    /// Why nothing starts, when a fault hits everything.
    package let pauseReason: String?
    package let pausedFor: Duration?
    package let rebalances: Int
    package let rewinds: Int
    package let isStopping: Bool
    /// Time since the poll thread was last heard of; nil before the first time.
    package let sinceLastTick: Duration?
    /// Set by ``ConsumerRuntime``.
    package internal(set) var lastConsumerError: KafkaError?

    /// Why a restart is the cure, nil while it is not: an attempt that never ends, or a poll thread that has
    /// stopped. Kafka notices neither (any queue poll counts as progress there).
    package func stuck(attemptLimit: Duration = .seconds(900), tickLimit: Duration = .seconds(60)) -> String? {
        if let error = lastConsumerError, error.isFatal { return "the consumer has ended: \(error)" }
        if let oldestAttempt, oldestAttempt > attemptLimit { return "an attempt runs for \(oldestAttempt.inSeconds) s" }
        if let sinceLastTick, sinceLastTick > tickLimit, !isStopping {
            return "the poll thread is silent for \(sinceLastTick.inSeconds) s"
        }
        return nil
    }
}
