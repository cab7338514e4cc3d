// The consumer's thread: one loop over the library's queue, from subscribing to leaving the group.

import Basics
import CKafka
import Glibc

/// Lives on the poll thread alone; made there, gone with it.
final class ConsumerLoop {
    /// Events handled before orders and ticks get their turn.
    private static let eventsPerTurn = 500
    /// Looking at a revocation's condition without having been woken.
    private static let waitPoll = Duration.milliseconds(250)

    private let consumer: Consumer
    private let handler: any ConsumerHandler
    private let clock: MonotonicClock
    private let client: OpaquePointer
    private let queue: OpaquePointer
    private var assignment = Assignment()
    /// Topic names by the library's topic handles, which stay valid for one assignment.
    private var topicNames: [OpaquePointer: String] = [:]
    private var isAnswered = false
    private var coordinatorIsUp = true
    private var nextTick: MonotonicInstant
    /// `max.poll.interval.ms` as it is in force.
    private let maxPollInterval: Duration
    private var lastPoll: MonotonicInstant
    /// The interval was exceeded since the last assignment: the group has put us out, whatever the library says. A
    /// revocation that waits in the queue by then is not marked as lost before 2.15 (confluentinc/librdkafka#5604).
    private var isOverdue = false

    init(_ consumer: Consumer) {
        self.consumer = consumer
        handler = consumer.handler
        clock = consumer.clock
        client = consumer.client.unguarded
        queue = consumer.queue
        nextTick = clock.now()
        lastPoll = nextTick
        let setting = clientSetting(consumer.client.unguarded, "max.poll.interval.ms")
        maxPollInterval = setting.flatMap { Int($0) }.map { .milliseconds($0) } ?? consumer.tuning.maxPollInterval
    }

    func run() {
        subscribe()
        while consumer.closeBy == nil { turn(limit: .distantFuture) }
        close()
    }

    private func subscribe() {
        let list = PartitionList(consumer.topics.map { TopicPartition(topic: $0, partition: -1) })
        let raw = rd_kafka_subscribe(client, list.pointer)
        if raw != RD_KAFKA_RESP_ERR_NO_ERROR { report(KafkaError(raw: raw)) }
    }

    /// Waits for an event, handles what has come, carries out orders, ticks.
    private func turn(limit: MonotonicInstant) {
        let wait = min(nextTick, limit) - clock.now()
        // Rounded up: waking a moment early would spin until the tick.
        let milliseconds = max(0, (wait + .microseconds(999)).inMilliseconds)
        var records = 0
        if let event = poll(Int32(clamping: milliseconds)) {
            records += handle(event)
            var events = 1
            while events < Self.eventsPerTurn, let event = poll(0) {
                records += handle(event)
                events += 1
            }
        }
        serveOrders()
        let now = clock.now()
        handler.tick(now)
        nextTick = now + Consumer.tickInterval
        publishState(now)
    }

    private func poll(_ milliseconds: Int32) -> OpaquePointer? {
        if clock.now() - lastPoll >= maxPollInterval { isOverdue = true }
        let event = rd_kafka_queue_poll(queue, milliseconds)
        lastPoll = clock.now()
        return event
    }

    private func publishState(_ now: MonotonicInstant) {
        let (partitions, paused, epoch) = (assignment.partitions.count, assignment.paused.count, assignment.epoch)
        let isJoined = isAnswered && coordinatorIsUp
        consumer.update { state in
            state.isJoined = isJoined
            state.partitions = partitions
            state.paused = paused
            state.epoch = epoch
            state.lastPoll = now
        }
    }

    private func report(_ error: KafkaError) {
        let now = clock.now()
        consumer.update { state in
            state.lastError = error
            state.lastErrorAt = now
        }
        handler.consumerError(error)
    }

    // MARK: Events

    /// - Returns: The number of records delivered.
    private func handle(_ event: OpaquePointer) -> Int {
        defer { rd_kafka_event_destroy(event) }
        switch rd_kafka_event_type(event) {
        case RD_KAFKA_EVENT_FETCH:
            var count = 0
            while let message = rd_kafka_event_message_next(event) { count += deliver(message) }
            return count
        case RD_KAFKA_EVENT_REBALANCE: rebalance(event)
        case RD_KAFKA_EVENT_OFFSET_COMMIT: committed(event)
        case RD_KAFKA_EVENT_LOG:
            if let line = KafkaLogLine(event: event) { consumer.log(line) }
        case RD_KAFKA_EVENT_STATS: read(statistics: event)
        case RD_KAFKA_EVENT_ERROR:
            if let error = KafkaError(event: event) { failed(error) }
        // What a later version may add is not our business.
        default: break
        }
        return 0
    }

    private func deliver(_ message: UnsafePointer<rd_kafka_message_t>) -> Int {
        let raw = message.pointee.err
        guard raw == RD_KAFKA_RESP_ERR_NO_ERROR else {
            if raw != RD_KAFKA_RESP_ERR__PARTITION_EOF { failed(KafkaError(raw: raw)) }
            return 0
        }
        guard let topic = message.pointee.rkt else { return 0 }
        let name: String
        if let known = topicNames[topic] {
            name = known
        } else {
            name = String(cString: rd_kafka_topic_name(topic))
            topicNames[topic] = name
        }
        let record = ConsumerRecord(copying: message, topic: name)
        // The library discards what it fetched for an assignment that is over; a stray one must not reach the handler.
        guard assignment.partitions.contains(record.topicPartition) else { return 0 }
        assignment.delivers(record.topicPartition, record.offset)
        handler.received(record)
        return 1
    }

    private func failed(_ error: KafkaError) {
        // Statistics say when the coordinator is back.
        if error.rawCode == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN.rawValue { coordinatorIsUp = false }
        report(error)
        // After a fatal error the library unassigns without an event: the handler must still be told.
        if error.isFatal { lose() }
    }

    private func read(statistics event: OpaquePointer) {
        guard let text = rd_kafka_event_stats(event),
            let statistics = ClientStatistics(json: UnsafeRawBufferPointer(start: text, count: strlen(text)))
        else { return }
        let brokersUp = statistics.brokers.count { $0.state == "UP" }
        if let group = statistics.group { coordinatorIsUp = group.state == "up" }
        consumer.update { $0.brokersUp = brokersUp }
    }

    // MARK: Rebalances: each event is answered exactly once

    private func rebalance(_ event: OpaquePointer) {
        let list = rd_kafka_event_topic_partition_list(event)
        let partitions = PartitionEntry.read(list).map(\.partition)
        let isCooperative = rd_kafka_rebalance_protocol(client).map { strcmp($0, "COOPERATIVE") == 0 } ?? false
        topicNames = [:]
        consumer.update { $0.rebalances += 1 }
        if rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // The handler knows its partitions before their first record can come.
            let epoch = assignment.assign(partitions)
            handler.assigned(partitions, epoch: epoch)
            isAnswered = true
            isOverdue = false
            coordinatorIsUp = true
            answer(isCooperative ? rd_kafka_incremental_assign(client, list) : nil) {
                isCooperative ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_assign(client, list)
            }
        } else {
            giveUp(partitions, isLost: rd_kafka_assignment_lost(client) != 0 || isOverdue)
            isAnswered = isCooperative && !assignment.partitions.isEmpty
            answer(isCooperative ? rd_kafka_incremental_unassign(client, list) : nil) {
                isCooperative ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_assign(client, nil)
            }
        }
        publishState(clock.now())
    }

    private func answer(_ incremental: OpaquePointer?, _ eager: () -> rd_kafka_resp_err_t) {
        let raw = eager()
        if let error = KafkaError(taking: incremental)
            ?? (raw == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(raw: raw))
        {
            report(error)
        }
    }

    private func giveUp(_ partitions: [TopicPartition], isLost: Bool) {
        let mine = partitions.filter(assignment.partitions.contains)
        guard !mine.isEmpty else { return }
        let offsets = handler.revoked(mine, lost: isLost) { until, isDone in wait(until: until, isDone) }
        if !isLost { commitNow(offsets.filter { mine.contains($0.key) }) }
        assignment.revoke(mine)
    }

    /// The partitions are gone without the library's asking.
    private func lose() {
        giveUp(assignment.partitions.sorted(), isLost: true)
        isAnswered = false
    }

    /// The handler's wait inside a revocation: the library's queue rests, since its next events are not for now.
    private func wait(until deadline: MonotonicInstant, _ isDone: () -> Bool) {
        consumer.setWaiting(true)
        defer { consumer.setWaiting(false) }
        var limit = min(deadline, clock.now() + maxPollInterval / 4)
        while true {
            consumer.wakeUp.drain()
            serveOrders()
            if isDone() { return }
            if let closeBy = consumer.closeBy { limit = min(limit, closeBy) }
            let now = clock.now()
            if now >= limit { return }
            _ = consumer.wakeUp.wait(until: min(limit, now + Self.waitPoll))
        }
    }

    // MARK: Orders and commits

    private func serveOrders() {
        let orders = consumer.takeOrders()
        if orders.isEmpty { return }
        for offsets in orders.commits { commit(offsets) }
        // Both name disjoint sets: a later order took the partition out of the other one.
        change(assignment.pause(orders.pause), rd_kafka_pause_partitions)
        change(assignment.resume(orders.resume), rd_kafka_resume_partitions)
    }

    private func change(
        _ partitions: [TopicPartition],
        _ call: (OpaquePointer?, UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?) -> rd_kafka_resp_err_t
    ) {
        guard !partitions.isEmpty else { return }
        let list = PartitionList(partitions)
        let raw = call(client, list.pointer)
        if raw != RD_KAFKA_RESP_ERR_NO_ERROR { report(KafkaError(raw: raw)) }
    }

    /// Sends a commit; the result comes as an event.
    private func commit(_ offsets: [TopicPartition: Int64]) {
        let send = admit(offsets)
        guard !send.isEmpty else { return }
        let list = PartitionList(send)
        let raw = rd_kafka_commit_queue(client, list.pointer, queue, nil, nil)
        if raw != RD_KAFKA_RESP_ERR_NO_ERROR { settle(send, KafkaError(raw: raw)) }
    }

    /// Commits and waits for the result, before partitions are given up.
    private func commitNow(_ offsets: [TopicPartition: Int64]) {
        let send = admit(offsets)
        guard !send.isEmpty, let replies = rd_kafka_queue_new(client) else { return }
        defer { rd_kafka_queue_destroy(replies) }
        let list = PartitionList(send)
        let raw = rd_kafka_commit_queue(client, list.pointer, replies, nil, nil)
        guard raw == RD_KAFKA_RESP_ERR_NO_ERROR else { return settle(send, KafkaError(raw: raw)) }
        let now = clock.now()
        // `rd_kafka_commit` itself waits without a limit: a coordinator that is away would hold the group up.
        var limit = now + consumer.tuning.revokeCommitLimit
        if let closeBy = consumer.closeBy { limit = min(limit, max(now + .milliseconds(100), closeBy)) }
        let milliseconds = Int32(clamping: max(0, (limit - now).inMilliseconds))
        guard let event = rd_kafka_queue_poll(replies, milliseconds) else {
            return settle(send, KafkaError(.timedOut, "no answer to the last commit", isRetriable: true))
        }
        committed(event)
        rd_kafka_event_destroy(event)
    }

    private func admit(_ offsets: [TopicPartition: Int64]) -> [TopicPartition: Int64] {
        let admission = assignment.admit(offsets)
        if !admission.foreign.isEmpty {
            handler.commitCompleted(
                admission.foreign,
                error: KafkaError(.notAssigned, "partitions that are not ours")
            )
        }
        if !admission.overtaken.isEmpty {
            handler.commitCompleted(
                admission.overtaken,
                error: KafkaError(.cancelled, "a later offset is on its way", isRetriable: true)
            )
        }
        if !admission.known.isEmpty { handler.commitCompleted(admission.known, error: nil) }
        return admission.send
    }

    private func committed(_ event: OpaquePointer) {
        let entries = PartitionEntry.read(rd_kafka_event_topic_partition_list(event))
        let whole = KafkaError(event: event)
        var offsets: [TopicPartition: Int64] = [:]
        for entry in entries {
            if whole == nil, let error = entry.error {
                settle([entry.partition: entry.offset], error)
            } else {
                offsets[entry.partition] = entry.offset
            }
        }
        settle(offsets, whole)
    }

    private func settle(_ offsets: [TopicPartition: Int64], _ error: KafkaError?) {
        guard !offsets.isEmpty else { return }
        if error == nil { assignment.acknowledge(offsets) } else { assignment.forget(offsets.keys) }
        handler.commitCompleted(offsets, error: error)
    }

    // MARK: The end

    private func close() {
        let closeBy = consumer.closeBy ?? clock.now()
        // Fails at once after a fatal error: there is no group to leave then.
        let isLeaving = KafkaError(taking: rd_kafka_consumer_close_queue(client, queue)) == nil
        while isLeaving, rd_kafka_consumer_closed(client) == 0, clock.now() < closeBy { turn(limit: closeBy) }
        if rd_kafka_consumer_closed(client) == 0 {
            // Somebody does not answer. What is unanswered on our side would hold the end up.
            lose()
            rd_kafka_assign(client, nil)
        }
        isAnswered = false
        publishState(clock.now())
        consumer.client.destroy(flags: RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) { rd_kafka_queue_destroy(queue) }
        consumer.ended.open()
    }
}
