// How much is taken from the brokers: which partitions are to be paused, and which of those are not yet. Pure.

package import Kafka

/// The bounds on what one process has in hand.
package struct AdmissionLimits: Sendable {
    /// Pieces of work that run at once.
    package let maxInFlight: Int
    /// Events ready and not started: all partitions pause at the high mark until the low one is reached. Far above
    /// ``maxInFlight``, since a pause throws away what the client library has fetched ahead. Waiting repeats are
    /// not counted, so that they do not take the place of healthy work.
    package let queued: Marks
    /// Bytes of all events in hand, waiting ones too: memory is bounded whatever they wait for.
    package let heldBytes: Marks
    /// Unfinished events of one partition, waiting ones too; only that partition pauses.
    package let perPartition: Marks

    package struct Marks: Sendable {
        package let high: Int
        package let low: Int

        package init(high: Int, low: Int) {
            precondition(0 <= low && low < high, "a low mark lies below its high mark")
            self.high = high
            self.low = low
        }
    }

    package init(
        maxInFlight: Int,
        queued: Marks? = nil,
        heldBytes: Marks = Marks(high: 64 << 20, low: 48 << 20),
        perPartition: Marks = Marks(high: 20_000, low: 15_000)
    ) {
        precondition(maxInFlight > 0, "at least one piece of work runs")
        self.maxInFlight = maxInFlight
        self.queued = queued ?? Marks(high: max(10_000, maxInFlight * 4), low: max(5_000, maxInFlight * 2))
        self.heldBytes = heldBytes
        self.perPartition = perPartition
    }
}

/// Keeps the hysteresis of the bounds.
package struct Admission: Sendable {
    package let limits: AdmissionLimits
    private var isFull = false
    private var isHeavy = false
    private var crowded: Set<TopicPartition> = []

    package init(limits: AdmissionLimits) { self.limits = limits }

    /// The partitions that should be paused now, of all assigned ones.
    package mutating func paused(
        queued: Int,
        heldBytes: Int,
        unfinished: [TopicPartition: Int]
    ) -> Set<TopicPartition> {
        isFull = Self.isOver(limits.queued, queued, was: isFull)
        isHeavy = Self.isOver(limits.heldBytes, heldBytes, was: isHeavy)
        crowded = Set(
            unfinished.filter { Self.isOver(limits.perPartition, $0.value, was: crowded.contains($0.key)) }.keys
        )
        return isFull || isHeavy ? Set(unfinished.keys) : crowded
    }

    private static func isOver(_ marks: AdmissionLimits.Marks, _ value: Int, was: Bool) -> Bool {
        value >= marks.high || (was && value > marks.low)
    }
}

/// What the client library has been told. Its own state is no help: resuming a partition that is not paused makes
/// some versions deliver again what they had delivered.
package struct PauseBook: Sendable {
    package private(set) var paused: Set<TopicPartition> = []

    package init() {}

    /// A newly assigned partition is never paused, one given up is forgotten.
    package mutating func forget(_ partitions: [TopicPartition]) { paused.subtract(partitions) }

    /// The commands that lead from what is paused to what should be.
    package mutating func change(
        to wanted: Set<TopicPartition>
    ) -> (pause: [TopicPartition], resume: [TopicPartition]) {
        guard wanted != paused else { return ([], []) }
        defer { paused = wanted }
        return (Array(wanted.subtracting(paused)), Array(paused.subtracting(wanted)))
    }
}
