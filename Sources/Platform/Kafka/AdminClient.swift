// Asking and changing the cluster itself: topics, watermarks, other groups' offsets. For tools, not for hot paths.

package import Basics
import CKafka

/// A topic to be made.
package struct NewTopic: Sendable {
    package let name: String
    package let partitions: Int
    package let replication: Int
    /// Topic settings, like `retention.ms`.
    package let config: [String: String]

    package init(name: String, partitions: Int, replication: Int, config: [String: String] = [:]) {
        self.name = name
        self.partitions = partitions
        self.replication = replication
        self.config = config
    }
}

/// A topic as the cluster has it.
package struct TopicDescription: Sendable {
    package struct Partition: Sendable {
        package let id: Int32
        /// Nil when there is none.
        package let leader: Int32?
        package let replicas: [Int32]
        package let inSyncReplicas: [Int32]
    }
    package let name: String
    package let partitions: [Partition]
}

/// The lowest offset kept and the next to be written.
package struct Watermarks: Sendable, Equatable {
    package let low: Int64
    package let high: Int64
}

/// One thread asks one thing at a time; callers wait as tasks.
///
/// Cancellation of a call ends the wait with `CancellationError`; the cluster may do it all the same.
package final class AdminClient: Sendable {
    private struct Shared {
        var jobs: [Job] = []
        var isClosed = false
    }
    private struct Job: Sendable {
        let run: @Sendable (AdminSession) -> Void
        let refuse: @Sendable (KafkaError) -> Void
    }

    /// Calls that may wait; beyond, they are refused.
    static let maxWaiting = 256

    /// What an operator may change by `KAFKA_CONFIG_FILE`.
    static let defaults = [
        ("socket.timeout.ms", "10000"), ("socket.connection.setup.timeout.ms", "3000"),
        ("reconnect.backoff.max.ms", "1000"), ("allow.auto.create.topics", "false"), ("socket.nagle.disable", "true"),
    ]

    private let settings: KafkaSettings
    private let client: ClientHandle
    private nonisolated(unsafe) let queue: OpaquePointer
    private let log: @Sendable (KafkaLogLine) -> Void
    private let shared = Locked(Shared())
    private let ended = Latch()

    /// - Throws: ``KafkaError/Code/invalidConfiguration``.
    package init(
        settings: KafkaSettings,
        log: @escaping @Sendable (KafkaLogLine) -> Void = { _ in }
    ) throws(KafkaError) {
        var configuration = ClientConfiguration()
        try configuration.apply(settings, defaults: Self.defaults, pinned: [])
        configuration.setEvents(RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG)
        let pointer = try configuration.makeHandle(RD_KAFKA_PRODUCER)
        client = ClientHandle(pointer)
        queue = rd_kafka_queue_get_main(pointer)
        rd_kafka_set_log_queue(pointer, nil)
        self.settings = settings
        self.log = log
        // The thread holds this object until `close`.
        _ = WorkerThread(name: "kafka-admin") { [self] in run() }
    }

    /// Makes topics, one result for each.
    package func createTopics(
        _ topics: [NewTopic],
        timeout: Duration = .seconds(15)
    ) async throws -> [String: Result<Void, KafkaError>] {
        guard !topics.isEmpty else { return [:] }
        return try await perform { try $0.createTopics(topics, timeout: timeout) }
    }

    /// Describes these topics, or all. Those that do not exist are left out.
    package func describe(
        topics: [String]? = nil,
        timeout: Duration = .seconds(10)
    ) async throws -> [TopicDescription] {
        try await perform { try $0.describe(topics, timeout: timeout) }
    }

    /// Watermarks of these partitions. Those that do not exist are left out.
    package func watermarks(
        _ partitions: [TopicPartition],
        timeout: Duration = .seconds(10)
    ) async throws -> [TopicPartition: Watermarks] {
        guard !partitions.isEmpty else { return [:] }
        return try await perform { try $0.watermarks(partitions, timeout: timeout) }
    }

    /// What a group has committed: the next offset to read, nil where it has not.
    package func committedOffsets(
        group: String,
        _ partitions: [TopicPartition],
        timeout: Duration = .seconds(10)
    ) async throws -> [TopicPartition: Int64?] {
        guard !partitions.isEmpty else { return [:] }
        return try await perform { try $0.committedOffsets(group, partitions, timeout: timeout) }
    }

    /// Refuses new calls, ends the one in progress by its own time-out, and frees the handle. Does not wait.
    package func close() {
        let waiting = shared.withLock { shared in
            shared.isClosed = true
            defer { shared.jobs = [] }
            return shared.jobs
        }
        for job in waiting { job.refuse(closedError) }
        wake()
    }

    /// Blocks until the handle is freed, after ``close()``.
    package func waitUntilClosed(until deadline: MonotonicInstant) -> Bool { ended.wait(until: deadline) }

    private var closedError: KafkaError { KafkaError(.closed, "the admin client is closed") }

    private func wake() { _ = client.use { _ in rd_kafka_queue_yield(queue) } }

    private func perform<Value: Sendable>(
        _ work: @escaping @Sendable (AdminSession) throws -> Value
    ) async throws -> Value {
        let promise = Promise<Value>()
        let job = Job(
            run: { session in
                do { promise.resolve(.success(try work(session))) } catch { promise.resolve(.failure(error)) }
            },
            refuse: { promise.resolve(.failure($0)) }
        )
        let refusal = shared.withLock { shared -> KafkaError? in
            if shared.isClosed { return closedError }
            guard shared.jobs.count < Self.maxWaiting else {
                return KafkaError(.queueFull, "too many calls wait", isRetriable: true)
            }
            shared.jobs.append(job)
            return nil
        }
        if let refusal { throw refusal }
        wake()
        return try await promise.value()
    }

    private func run() {
        let session = AdminSession(client: client.unguarded, queue: queue, settings: settings, log: log)
        while true {
            let (job, isClosed) = shared.withLock { shared in
                (shared.jobs.isEmpty ? nil : shared.jobs.removeFirst(), shared.isClosed)
            }
            if let job {
                job.run(session)
            } else if isClosed {
                session.serveRest()
                break
            } else {
                // Woken by `rd_kafka_queue_yield`; looks by itself once a second in case that was lost.
                session.serve(.seconds(1))
            }
        }
        client.destroy { rd_kafka_queue_destroy(queue) }
        ended.open()
    }
}
