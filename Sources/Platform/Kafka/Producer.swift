// The producer that callers see: one result for each message, and a new handle when librdkafka gives one up.

package import Basics
import CKafka

/// Publishes records, idempotently and acknowledged by all in-sync replicas.
///
/// librdkafka calls some failures fatal for a handle (a lost sequence after an uncertain write). Then what waits
/// fails as retriable, a new handle takes over in the same process, and the old one ends on its own thread. Three of
/// those within a minute are more than bad luck: `onFatal` is told.
package final class Producer: Sendable {
    /// Counters and states as last reported by the library.
    package struct Statistics: Sendable {
        package var brokersUp = 0
        package var brokersKnown = 0
        package var messagesTransmitted = 0
        package var produceRequests = 0
        package var requestTimeouts = 0
        /// The slowest broker's, microseconds.
        package var roundTripP99Microseconds = 0
        /// Acknowledged after their deadline had already been told as failed.
        package var lateDeliveries = 0
        /// Handles given up because of a fatal error.
        package var replacedHandles = 0
        /// Nil before the first report.
        package var measuredAt: MonotonicInstant?

        package var messagesPerRequest: Double {
            produceRequests == 0 ? 0 : Double(messagesTransmitted) / Double(produceRequests)
        }
    }

    private struct State {
        var handle: ProducerHandle
        var statistics = Statistics()
        var lastTrouble: KafkaError?
        /// Late deliveries of handles that are gone.
        var lateBefore = 0
        /// When handles were given up, the last few.
        var failures: [MonotonicInstant] = []
        var isClosed = false
    }

    static let fatalWindow = Duration.seconds(60)
    static let fatalLimit = 3

    private let settings: KafkaSettings
    private let tuning: Tuning
    private let clock: MonotonicClock
    private let log: @Sendable (KafkaLogLine) -> Void
    private let onFatal: @Sendable (KafkaError) -> Void
    /// Nil only while `init` runs.
    private let state: Locked<State?>
    private let topicWatch: Locked<TopicWatch?>

    /// Makes the handle and its thread. Connecting happens in the background: a broker that is away is waited for.
    ///
    /// - Parameters:
    ///   - log: librdkafka's own lines, on the Kafka thread.
    ///   - onFatal: Three handles died within a minute; on the Kafka thread. End the process.
    /// - Throws: ``KafkaError/Code/invalidConfiguration``.
    package init(
        settings: KafkaSettings,
        tuning: Tuning,
        clock: MonotonicClock = .system,
        log: @escaping @Sendable (KafkaLogLine) -> Void = { _ in },
        onFatal: @escaping @Sendable (KafkaError) -> Void = { _ in }
    ) throws(KafkaError) {
        self.settings = settings
        self.tuning = tuning
        self.clock = clock
        self.log = log
        self.onFatal = onFatal
        state = Locked(nil)
        topicWatch = Locked(nil)
        let watch = TopicWatch(clock: clock) { [weak self] topic, timeout in
            self?.currentHandle?.metadata(of: topic, timeout: timeout)
        }
        topicWatch.withLock { $0 = watch }
        let handle = try makeHandle()
        state.withLock { $0 = State(handle: handle) }
    }

    deinit {
        topicWatch.withLock { $0 }?.close()
        state.withLock { $0?.handle }?.condemn()
    }

    // MARK: Publishing

    /// Hands one record to the cluster and returns at once. Callable from any thread; never blocks.
    ///
    /// - Parameters:
    ///   - deadline: When the result is due at the latest; ``Tuning/deliveryTimeout`` plus ``Tuning/reportSlack``
    ///     from now when nil. An earlier one does not recall the message: it may still be delivered, and is counted
    ///     in ``Statistics/lateDeliveries`` then.
    ///   - completion: Exactly once, on the Kafka thread, also for a refusal; on the caller's thread after `close`.
    ///     It must not block: every other result waits behind it.
    package func send(
        _ record: ProducerRecord,
        deadline: MonotonicInstant? = nil,
        completion: @escaping @Sendable (Result<Delivery, KafkaError>) -> Void
    ) {
        guard let handle = currentHandle else { return completion(.failure(closedError)) }
        let deadline = deadline ?? clock.now() + tuning.deliveryTimeout + tuning.reportSlack
        handle.send(record, DeliveryTicket(deadline: deadline, completion: completion))
    }

    /// Publishes one record and returns when the cluster has stored it.
    ///
    /// - Returns: Partition and offset.
    /// - Throws: ``KafkaError``; see ``KafkaError/mayBeStored``.
    /// - Cancellation: Throws `CancellationError`; the record may still be delivered.
    package func publish(_ record: ProducerRecord, deadline: MonotonicInstant? = nil) async throws -> Delivery {
        let promise = Promise<Delivery>()
        send(record, deadline: deadline) { result in promise.resolve(result.mapError { $0 as any Error }) }
        return try await promise.value()
    }

    // MARK: Topics

    /// Fetches the topics' metadata, without which the first message of a topic takes up to a second longer, and
    /// keeps watching them. Blocks the calling thread up to `timeout` for all together.
    ///
    /// - Throws: The first failure, naming no more than one topic. The watch goes on: ``topicsReady(_:)`` tells when
    ///   the topics have come.
    package func warm(topics: [String], timeout: Duration) throws(KafkaError) {
        guard let watch else { throw closedError }
        let deadline = clock.now() + timeout
        defer { watch.watch(topics) }
        for topic in topics {
            let left = deadline - clock.now()
            guard left > .zero else {
                throw KafkaError(.timedOut, "no metadata of \(topic) in time", isRetriable: true)
            }
            if let error = watch.measure(topic, timeout: left) { throw error }
        }
    }

    /// What was last measured of each topic. Never blocks; at most ``TopicWatch/freshness`` old to count as ready.
    package func topicsReady(_ topics: [String]) -> [String: TopicReadiness] {
        watch?.snapshot(topics) ?? [:]
    }

    // MARK: State and end

    /// Messages accepted whose result was not yet told.
    package var queuedMessages: Int { currentHandle?.waitingCount ?? 0 }

    package var statistics: Statistics {
        state.withLock { state in
            guard let state else { return Statistics() }
            var statistics = state.statistics
            statistics.lateDeliveries = state.lateBefore + state.handle.lateCount
            return statistics
        }
    }

    /// The last lost connection, failed log-in or the like.
    package var lastTrouble: KafkaError? { state.withLock { $0?.lastTrouble } }

    /// Blocks until every message sent so far has its result; false when the deadline came first.
    package func flush(until deadline: MonotonicInstant) -> Bool {
        currentHandle?.flush(until: deadline) ?? true
    }

    /// Refuses new messages, waits for the results of those inside until a second before the deadline (half the time
    /// when there is less than two), gives up the rest as ``KafkaError/Code/cancelled``, and frees the library's
    /// handle. Blocks the caller.
    ///
    /// - Returns: False when librdkafka was not done by the deadline; it goes on in the background.
    @discardableResult
    package func close(until deadline: MonotonicInstant) -> Bool {
        let handle = state.withLock { state in
            state?.isClosed = true
            return state?.handle
        }
        watch?.close()
        guard let handle else { return true }
        let left = deadline - clock.now()
        let share = left > .seconds(2) ? Duration.seconds(1) : left / 2
        handle.close(until: clock.now() + (left - share))
        return handle.ended.wait(until: deadline)
    }

    /// For tests: the current handle dies as by a lost sequence.
    func raiseFatalError() { currentHandle?.raiseFatalError() }

    // MARK: Handles

    private var currentHandle: ProducerHandle? { state.withLock { $0?.handle } }
    private var watch: TopicWatch? { topicWatch.withLock { $0 } }
    private var closedError: KafkaError { KafkaError(.closed, "the producer is closed") }

    private func makeHandle() throws(KafkaError) -> ProducerHandle {
        let hooks = ProducerHooks(
            log: log,
            failed: { [weak self] error in self?.replaceHandle(error) },
            statistics: { [weak self] statistics in self?.note(statistics) },
            troubled: { [weak self] error in self?.note(error) }
        )
        return try ProducerHandle(settings: settings, tuning: tuning, clock: clock, hooks: hooks)
    }

    /// On the dying handle's thread, once for each handle.
    private func replaceHandle(_ error: KafkaError) {
        let now = clock.now()
        let (isClosed, failures) = state.withLock { state -> (Bool, Int) in
            guard let current = state, !current.isClosed else { return (true, 0) }
            let recent = (current.failures + [now]).filter { now - $0 < Self.fatalWindow }
            state?.failures = recent
            return (false, recent.count)
        }
        guard !isClosed else { return }
        do {
            let fresh = try makeHandle()
            let unwanted = state.withLock { state -> ProducerHandle? in
                guard let current = state, !current.isClosed else { return fresh }
                state?.lateBefore += current.handle.lateCount
                state?.handle = fresh
                state?.statistics.replacedHandles += 1
                return nil
            }
            unwanted?.condemn()
            watch?.wake()
        } catch {
            // The same settings made a handle before: the process is out of something.
            onFatal(error)
            return
        }
        if failures >= Self.fatalLimit { onFatal(error) }
    }

    private func note(_ report: ClientStatistics) {
        let now = clock.now()
        state.withLock { state in
            state?.statistics.brokersUp = report.brokers.count { $0.state == "UP" }
            state?.statistics.brokersKnown = report.brokers.count
            state?.statistics.messagesTransmitted = Int(clamping: report.transmittedMessages)
            state?.statistics.produceRequests = Int(clamping: report.brokers.reduce(0) { $0 + $1.produceRequests })
            state?.statistics.requestTimeouts = Int(clamping: report.brokers.reduce(0) { $0 + $1.requestTimeouts })
            state?.statistics.roundTripP99Microseconds = Int(
                clamping: report.brokers.map(\.roundTripP99Microseconds).max() ?? 0
            )
            state?.statistics.measuredAt = now
        }
        watch?.brokersChanged(report.brokers)
    }

    private func note(_ trouble: KafkaError) {
        state.withLock { $0?.lastTrouble = trouble }
        watch?.wake()
    }
}
