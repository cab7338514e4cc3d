// The consumer that callers see: a member of a group, served by one thread of its own.

package import Basics
import CKafka

/// How a consumer stands, as last seen by its poll thread.
package struct ConsumerState: Sendable {
    /// In the group with an answered assignment (which may be empty), and the coordinator in reach.
    package var isJoined = false
    package var partitions = 0
    package var paused = 0
    /// Number of the last assignment; 0 before the first.
    package var epoch: UInt64 = 0
    package var rebalances = 0
    package var brokersUp = 0
    /// The last trouble, and when.
    package var lastError: KafkaError?
    package var lastErrorAt: MonotonicInstant?
    /// When the poll thread last went round: an old one means that the handler blocks.
    package var lastPoll: MonotonicInstant?
    package var isClosed = false
}

/// Reads topics as a member of a group and commits what it is told to, never by itself.
///
/// One thread owns the library's handle: it polls, answers each rebalance exactly once, copies records out and
/// destroys the library's messages, and carries out commits, pauses and resumes that come from other threads.
package final class Consumer: Sendable {
    /// The handler's ``ConsumerHandler/tick(_:)`` comes at least this often.
    package static let tickInterval = Duration.milliseconds(250)
    /// Commits that may wait for the thread; beyond, the last one takes up the next.
    static let maxWaitingCommits = 64

    /// What other threads want done.
    struct Orders {
        var commits: [[TopicPartition: Int64]] = []
        var pause: Set<TopicPartition> = []
        var resume: Set<TopicPartition> = []
        /// Set by `close`: leave the group by then.
        var closeBy: MonotonicInstant?
        var isEmpty: Bool { commits.isEmpty && pause.isEmpty && resume.isEmpty }
    }
    private struct Shared {
        var orders = Orders()
        var state = ConsumerState()
        var isStarted = false
        /// The thread waits inside a revocation, on ``wakeUp`` and not on the library's queue.
        var isWaiting = false
    }

    let group: String
    let topics: [String]
    let tuning: Tuning
    let clock: MonotonicClock
    let handler: any ConsumerHandler
    let log: @Sendable (KafkaLogLine) -> Void
    let client: ClientHandle
    /// The queue that everything of this consumer comes through. Used under the client's gate, destroyed by the thread.
    nonisolated(unsafe) let queue: OpaquePointer
    let wakeUp = EventDescriptor()
    private let shared = Locked(Shared())
    let ended = Latch()

    /// Makes the handle; nothing is read and no group joined before ``start()``.
    ///
    /// - Throws: ``KafkaError/Code/invalidConfiguration``.
    package init(
        settings: KafkaSettings,
        group: String,
        topics: [String],
        tuning: Tuning,
        handler: any ConsumerHandler,
        clock: MonotonicClock = .system,
        log: @escaping @Sendable (KafkaLogLine) -> Void = { _ in }
    ) throws(KafkaError) {
        var configuration = ClientConfiguration()
        try configuration.apply(settings, defaults: tuning.defaults, pinned: tuning.pinned(group: group))
        // Asking for rebalance events is what registering the callback is: without, close would not leave the group.
        configuration.setEvents(
            RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR
                | RD_KAFKA_EVENT_STATS | RD_KAFKA_EVENT_LOG
        )
        let pointer = try configuration.makeHandle(RD_KAFKA_CONSUMER)
        rd_kafka_poll_set_consumer(pointer)
        queue = rd_kafka_queue_get_consumer(pointer)
        rd_kafka_set_log_queue(pointer, queue)
        client = ClientHandle(pointer)
        self.group = group
        self.topics = topics
        self.tuning = tuning
        self.clock = clock
        self.handler = handler
        self.log = log
    }

    deinit {
        // The thread holds this object while it runs: here it never ran, or has destroyed the handle.
        if !ended.isOpen {
            client.destroy(flags: RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) { rd_kafka_queue_destroy(queue) }
        }
    }

    /// Joins the group, on a new thread that runs until ``close(until:)``. The second call does nothing.
    package func start() {
        let isFirst = shared.withLock { shared in
            guard !shared.isStarted, shared.orders.closeBy == nil else { return false }
            shared.isStarted = true
            return true
        }
        if isFirst { _ = WorkerThread(name: "kafka-consumer") { [self] in ConsumerLoop(self).run() } }
    }

    /// Commits the next offsets to read. Any thread; returns at once; the result goes to
    /// ``ConsumerHandler/commitCompleted(_:error:)``. At most one in flight is the handler's own rule.
    package func commit(_ offsets: [TopicPartition: Int64]) {
        guard !offsets.isEmpty else { return }
        shared.withLock { shared in
            if shared.orders.commits.count < Self.maxWaitingCommits {
                shared.orders.commits.append(offsets)
            } else {
                shared.orders.commits[Self.maxWaitingCommits - 1].merge(offsets) { max($0, $1) }
            }
        }
        wake()
    }

    /// Stops the delivery of these partitions; what was fetched ahead of them is fetched again later. Those that are
    /// not ours, or paused already, are passed over.
    package func pause(_ partitions: some Sequence<TopicPartition>) {
        shared.withLock { shared in
            shared.orders.pause.formUnion(partitions)
            shared.orders.resume.subtract(partitions)
        }
        wake()
    }

    /// Goes on after ``pause(_:)``.
    package func resume(_ partitions: some Sequence<TopicPartition>) {
        shared.withLock { shared in
            shared.orders.resume.formUnion(partitions)
            shared.orders.pause.subtract(partitions)
        }
        wake()
    }

    /// Makes the poll thread look round now: a tick comes, and a wait inside a revocation looks at its condition.
    package func wake() {
        let isWaiting = shared.withLock { $0.isWaiting }
        if isWaiting { wakeUp.signal() } else { _ = client.use { _ in rd_kafka_queue_yield(queue) } }
    }

    /// Gives up the partitions (the handler's `revoked` is asked and its offsets committed), leaves the group and
    /// frees the library's handle. Blocks the caller; never call it on the poll thread.
    ///
    /// - Returns: False when this was not done by the deadline: the thread then gives up waiting and ends by itself.
    @discardableResult
    package func close(until deadline: MonotonicInstant) -> Bool {
        let isRunning = shared.withLock { shared in
            shared.orders.closeBy = min(deadline, shared.orders.closeBy ?? .distantFuture)
            shared.state.isClosed = true
            return shared.isStarted
        }
        guard isRunning else { return true }
        wake()
        return ended.wait(until: deadline)
    }

    package var state: ConsumerState { shared.withLock { $0.state } }

    // MARK: For the loop

    func takeOrders() -> Orders {
        shared.withLock { shared in
            defer {
                shared.orders.commits = []
                shared.orders.pause = []
                shared.orders.resume = []
            }
            return shared.orders
        }
    }

    var closeBy: MonotonicInstant? { shared.withLock { $0.orders.closeBy } }

    func update(_ change: (inout ConsumerState) -> Void) { shared.withLock { change(&$0.state) } }

    func setWaiting(_ isWaiting: Bool) { shared.withLock { $0.isWaiting = isWaiting } }
}
