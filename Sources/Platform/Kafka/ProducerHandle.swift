// One librdkafka producer with its owner thread: messages in from any thread, results out on that thread.

import Basics
import CKafka
import Glibc
import Synchronization

/// What a handle tells the producer that made it.
struct ProducerHooks: Sendable {
    let log: @Sendable (KafkaLogLine) -> Void
    /// Once, on the handle's thread, when librdkafka declares the handle dead.
    let failed: @Sendable (KafkaError) -> Void
    let statistics: @Sendable (ClientStatistics) -> Void
    /// A connection was lost or refused.
    let troubled: @Sendable (KafkaError) -> Void
}

/// Owns the library's handle, its queue, its topic handles and the thread that polls. Destroyed by that thread.
///
/// The thread blocks in `rd_kafka_queue_poll`, is woken by `rd_kafka_queue_yield`, drains until empty, and looks by
/// itself once a second in case a wake-up was lost.
final class ProducerHandle: @unchecked Sendable {
    // Sendable: `queue` is used by the owner thread and by rd_kafka_queue_yield, which "may be used from another
    // thread"; both end before the thread destroys it. Everything else is locked or atomic.

    private enum Stage {
        case open
        /// No new messages; wait for those inside until the instant, then give them up.
        case closing(until: MonotonicInstant)
        /// Give up what is inside at once.
        case condemned
        case ended
    }
    private struct Shared {
        var stage = Stage.open
        /// The library gave the handle up: whoever comes now may try again with the next one.
        var hasFailed = false
        /// Tickets of accepted messages, on their way to the deadline heap.
        var arrivals: [DeliveryTicket] = []
        /// Refused messages, to be told on the owner thread.
        var refusals: [(ticket: DeliveryTicket, error: KafkaError)] = []
        var topics: [String: OpaquePointer] = [:]
        var flushes: [Latch] = []
        /// When the thread will wake by itself.
        var nextWake = MonotonicInstant(nanoseconds: 0)
    }

    /// Refusals that may wait for the thread; beyond, the caller's own thread tells them.
    static let maxWaitingRefusals = 10_000
    /// Topic handles kept: the callers' topics are a closed set far below it.
    static let maxTopics = 1_000
    /// Events handled before other duties get their turn.
    private static let eventsPerTurn = 1_000
    private static let safetyPoll = Duration.seconds(1)
    /// How long the end waits for the library to hand back purged messages.
    private static let purgeLimit = Duration.seconds(5)

    private let client: ClientHandle
    private let queue: OpaquePointer
    private let clock: MonotonicClock
    private let hooks: ProducerHooks
    private let shared = Locked(Shared())
    /// Opens when the thread has destroyed the library's handle.
    let ended = Latch()

    /// Messages accepted and not yet told.
    private let waiting = Atomic<Int>(0)
    /// Messages that the library still holds, told or not.
    private let held = Atomic<Int>(0)
    /// Delivered after their deadline had been told.
    private let late = Atomic<Int>(0)

    init(
        settings: KafkaSettings,
        tuning: Producer.Tuning,
        clock: MonotonicClock,
        hooks: ProducerHooks
    ) throws(KafkaError) {
        var configuration = ClientConfiguration()
        try configuration.apply(settings, defaults: tuning.defaults, pinned: tuning.pinned)
        configuration.setEvents(
            RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS | RD_KAFKA_EVENT_LOG
        )
        let pointer = try configuration.makeHandle(RD_KAFKA_PRODUCER)
        client = ClientHandle(pointer)
        queue = rd_kafka_queue_get_main(pointer)
        self.clock = clock
        self.hooks = hooks
        rd_kafka_set_log_queue(pointer, nil)
        // The thread holds this object until it has ended; nobody joins it, `ended` tells.
        _ = WorkerThread(name: "kafka-producer") { [self] in run() }
    }

    var waitingCount: Int { waiting.load(ordering: .relaxed) }
    var lateCount: Int { late.load(ordering: .relaxed) }

    // MARK: From any thread

    /// Hands one message to the library. `ticket` is told exactly once, on the owner thread; on the caller's own when
    /// that has ended, or has too many refusals waiting.
    func send(_ record: ProducerRecord, _ ticket: DeliveryTicket) {
        waiting.add(1, ordering: .relaxed)
        if let error = produce(record, ticket) {
            refuse(ticket, error)
            return
        }
        let mustWake = shared.withLock { shared in
            shared.arrivals.append(ticket)
            return ticket.deadline < shared.nextWake
        }
        if mustWake { wake() }
    }

    private func produce(_ record: ProducerRecord, _ ticket: DeliveryTicket) -> KafkaError? {
        let (isOpen, known) = shared.withLock { shared -> (Bool, OpaquePointer?) in
            if case .open = shared.stage { return (true, shared.topics[record.topic]) }
            return (false, nil)
        }
        guard isOpen else { return goneError }
        let result = client.use { pointer -> KafkaError? in
            guard let topic = known ?? topic(record.topic, pointer) else {
                return KafkaError(.invalidRequest, "no topic can have this name, or there are too many topics")
            }
            held.add(1, ordering: .relaxed)
            // Taken back by the delivery report, or here when there will be none.
            let opaque = Unmanaged.passRetained(ticket)
            let raw = record.withParts { key, value, headers in
                ckafka_produce(
                    pointer,
                    topic,
                    key?.baseAddress,
                    key?.count ?? 0,
                    value?.baseAddress,
                    value?.count ?? 0,
                    headers,
                    opaque.toOpaque()
                )
            }
            guard raw != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
            opaque.release()
            held.subtract(1, ordering: .relaxed)
            return KafkaError(raw: raw)
        }
        guard let result else { return goneError }
        return result?.ofReplacedHandle()
    }

    private var goneError: KafkaError {
        shared.withLock { $0.hasFailed }
            ? KafkaError(.cancelled, "the producer's handle is being replaced", isRetriable: true)
            : KafkaError(.closed, "the producer is closed")
    }

    private func refuse(_ ticket: DeliveryTicket, _ error: KafkaError) {
        let isQueued = shared.withLock { shared in
            if case .ended = shared.stage { return false }
            guard shared.refusals.count < Self.maxWaitingRefusals else { return false }
            shared.refusals.append((ticket, error))
            return true
        }
        if isQueued { wake() } else { tell(ticket, .failure(error)) }
    }

    /// The handle of a topic, made on first use and kept: it is what keeps the topic's metadata warm. Inside the gate.
    private func topic(_ name: String, _ pointer: OpaquePointer) -> OpaquePointer? {
        let (known, isFull) = shared.withLock { ($0.topics[name], $0.topics.count >= Self.maxTopics) }
        if let known { return known }
        guard !isFull, let fresh = rd_kafka_topic_new(pointer, name, nil) else { return nil }
        let (kept, isFirst) = shared.withLock { shared in
            if let known = shared.topics[name] { return (known, false) }
            shared.topics[name] = fresh
            return (fresh, true)
        }
        // Both may be the same pointer: each call took a reference, and one is to be given back at the end.
        if !isFirst { rd_kafka_topic_destroy(fresh) }
        return kept
    }

    /// Asks a broker about one topic. Blocks up to `timeout`; nil once the handle is going.
    func metadata(of name: String, timeout: Duration) -> Result<TopicMetadata, KafkaError>? {
        client.use { pointer in
            guard let topic = topic(name, pointer) else {
                return .failure(KafkaError(.invalidRequest, "no topic can have this name"))
            }
            return TopicMetadata.query(pointer, topic: topic, timeout: timeout)
        }
    }

    /// Blocks until nothing waits; false when the deadline came first.
    func flush(until deadline: MonotonicInstant) -> Bool {
        let latch = Latch()
        let isEnded = shared.withLock { shared in
            if case .ended = shared.stage { return true }
            shared.flushes.append(latch)
            return false
        }
        if isEnded { return true }
        wake()
        if latch.wait(until: deadline) { return true }
        shared.withLock { $0.flushes.removeAll { $0 === latch } }
        return false
    }

    /// Takes no more messages, and ends when those inside are told or the instant has come.
    func close(until deadline: MonotonicInstant) {
        change(to: .closing(until: deadline))
    }

    /// Gives up what is inside and ends.
    func condemn() {
        change(to: .condemned)
    }

    private func change(to stage: Stage) {
        shared.withLock { shared in
            switch shared.stage {
            case .open, .closing: shared.stage = stage
            case .condemned, .ended: break
            }
        }
        wake()
    }

    /// For tests: makes librdkafka raise a fatal error, as a lost sequence would.
    func raiseFatalError() {
        _ = client.use { rd_kafka_test_fatal_error($0, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "a test's") }
    }

    private func wake() {
        // Inside the gate, since the queue goes with the handle.
        _ = client.use { _ in rd_kafka_queue_yield(queue) }
    }

    // MARK: The owner thread

    private func run() {
        var deadlines = DeadlineHeap()
        while true {
            turn(&deadlines)
            let now = clock.now()
            let wake = min(deadlines.earliest, now + Self.safetyPoll)
            let (stage, isBusy) = shared.withLock { shared in
                shared.nextWake = wake
                // An arrival of just now was weighed against the wake-up before this one.
                return (shared.stage, !shared.refusals.isEmpty || !shared.arrivals.isEmpty)
            }
            var limit = wake
            switch stage {
            case .open: break
            case .closing(let until):
                if waitingCount == 0 || until <= now { return end(&deadlines) }
                limit = min(limit, until)
            case .condemned, .ended: return end(&deadlines)
            }
            // Rounded up: waking a moment early would spin until the instant has come.
            let milliseconds = isBusy ? 0 : max(0, (limit - now + .microseconds(999)).inMilliseconds)
            if let event = rd_kafka_queue_poll(queue, Int32(clamping: milliseconds)) { handle(event) }
        }
    }

    /// Everything that can be done without waiting.
    private func turn(_ deadlines: inout DeadlineHeap) {
        var events = 0
        while events < Self.eventsPerTurn, let event = rd_kafka_queue_poll(queue, 0) {
            handle(event)
            events += 1
        }
        let (arrivals, refusals) = shared.withLock { shared in
            defer {
                shared.arrivals.removeAll(keepingCapacity: shared.arrivals.count <= 1_024)
                shared.refusals.removeAll()
            }
            return (shared.arrivals, shared.refusals)
        }
        for (ticket, error) in refusals { tell(ticket, .failure(error)) }
        for ticket in arrivals where !ticket.isTold { deadlines.insert(ticket) }
        let now = clock.now()
        while let ticket = deadlines.popExpired(now) {
            let error = KafkaError(
                .timedOut,
                "no delivery report by the message's deadline",
                isRetriable: true,
                mayBeStored: true
            )
            tell(ticket, .failure(error))
        }
        if waitingCount == 0 { openFlushes() }
    }

    private func openFlushes() {
        let flushes = shared.withLock { shared in
            defer { shared.flushes = [] }
            return shared.flushes
        }
        for latch in flushes { latch.open() }
    }

    @discardableResult
    private func tell(_ ticket: DeliveryTicket, _ result: Result<Delivery, KafkaError>) -> Bool {
        guard let completion = ticket.claim() else { return false }
        // First, so that nobody who was told still finds the message counted.
        waiting.subtract(1, ordering: .relaxed)
        completion(result)
        return true
    }

    private func handle(_ event: OpaquePointer) {
        var reports: [(ticket: DeliveryTicket, result: Result<Delivery, KafkaError>)] = []
        read(event, into: &reports)
        // Messages leave the library's bounded queue with their event: who is told finds room again.
        rd_kafka_event_destroy(event)
        for (ticket, result) in reports {
            if !tell(ticket, result), case .success = result { late.add(1, ordering: .relaxed) }
        }
    }

    private func read(
        _ event: OpaquePointer,
        into reports: inout [(ticket: DeliveryTicket, result: Result<Delivery, KafkaError>)]
    ) {
        switch rd_kafka_event_type(event) {
        case RD_KAFKA_EVENT_DR:
            reports.reserveCapacity(rd_kafka_event_message_count(event))
            while let message = rd_kafka_event_message_next(event) {
                if let report = report(message) { reports.append(report) }
            }
        case RD_KAFKA_EVENT_LOG:
            if let line = KafkaLogLine(event: event) { hooks.log(line) }
        case RD_KAFKA_EVENT_STATS:
            guard let text = rd_kafka_event_stats(event) else { return }
            let bytes = UnsafeRawBufferPointer(start: text, count: strlen(text))
            if let statistics = ClientStatistics(json: bytes) { hooks.statistics(statistics) }
        case RD_KAFKA_EVENT_ERROR:
            guard let error = KafkaError(event: event) else { return }
            if error.isFatal { fail(error) } else { hooks.troubled(error) }
        // What a later version may add is not our business.
        default: break
        }
    }

    private func report(
        _ message: UnsafePointer<rd_kafka_message_t>
    ) -> (DeliveryTicket, Result<Delivery, KafkaError>)? {
        guard let opaque = message.pointee._private else { return nil }
        let ticket = Unmanaged<DeliveryTicket>.fromOpaque(opaque).takeRetainedValue()
        held.subtract(1, ordering: .relaxed)
        let raw = message.pointee.err
        if raw == RD_KAFKA_RESP_ERR_NO_ERROR {
            return (ticket, Delivery.confirmed(message.pointee.partition, offset: message.pointee.offset))
        }
        // Anything but NOT_PERSISTED may have reached the broker's log.
        let mayBeStored = rd_kafka_message_status(message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED
        return (ticket, .failure(KafkaError(raw: raw, mayBeStored: mayBeStored).ofReplacedHandle()))
    }

    private func fail(_ error: KafkaError) {
        let isFirst = shared.withLock { shared in
            switch shared.stage {
            case .open, .closing:
                shared.stage = .condemned
                shared.hasFailed = true
                return true
            case .condemned, .ended: return false
            }
        }
        if isFirst { hooks.failed(error) }
    }

    /// Gives up what is inside, destroys the handle, tells whoever waits.
    private func end(_ deadlines: inout DeadlineHeap) {
        rd_kafka_purge(client.unguarded, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
        let limit = clock.now() + Self.purgeLimit
        while held.load(ordering: .relaxed) > 0, clock.now() < limit {
            if let event = rd_kafka_queue_poll(queue, 100) { handle(event) }
        }
        client.destroy {
            // A sender that slipped in before the gate closed is inside the library now.
            rd_kafka_purge(client.unguarded, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
            while held.load(ordering: .relaxed) > 0, clock.now() < limit {
                if let event = rd_kafka_queue_poll(queue, 100) { handle(event) }
            }
            let topics = shared.withLock { shared in
                defer { shared.topics = [:] }
                return shared.topics
            }
            for topic in topics.values { rd_kafka_topic_destroy(topic) }
            rd_kafka_queue_destroy(queue)
        }
        let (arrivals, refusals) = shared.withLock { shared in
            shared.stage = .ended
            defer {
                shared.arrivals = []
                shared.refusals = []
            }
            return (shared.arrivals, shared.refusals)
        }
        for (ticket, error) in refusals { tell(ticket, .failure(error)) }
        let error = KafkaError(.cancelled, "the producer was closed", isRetriable: true, mayBeStored: true)
        for ticket in arrivals + deadlines.removeAll() { tell(ticket, .failure(error)) }
        openFlushes()
        ended.open()
    }
}
