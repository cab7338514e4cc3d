// What the threads of a pool share: the ledger under its lock, the wake-ups, the events.

import Basics

/// The inside of a ``PostgresPool``; alive as long as one of its threads.
final class PoolCore: Sendable {
    /// The thread-safe part of a seat.
    final class Seat: Sendable {
        let index: Int
        let role: SeatRole
        let event = EventDescriptor()
        let ended = Latch()

        init(index: Int, role: SeatRole) {
            self.index = index
            self.role = role
        }
    }

    let settings: PoolSettings
    let target: ConnectionString
    let clock: MonotonicClock
    let seats: [Seat]
    let canceller = CancelThread()
    private let ledger: Locked<PoolLedger<PoolJob>>
    private let onEvent: @Sendable (PoolEvent) -> Void

    init(
        settings: PoolSettings,
        target: ConnectionString,
        clock: MonotonicClock,
        onEvent: @escaping @Sendable (PoolEvent) -> Void
    ) {
        self.settings = settings
        self.target = target
        self.clock = clock
        self.onEvent = onEvent
        let roles =
            Array(repeating: SeatRole.general, count: max(1, settings.generalConnections))
            + Array(repeating: SeatRole.write, count: max(0, settings.writeLanes))
            + (settings.largeLane ? [SeatRole.large] : [])
        seats = roles.enumerated().map { Seat(index: $0.offset, role: $0.element) }
        ledger = Locked(
            PoolLedger(
                roles: roles,
                limits: .init(
                    maxWaiting: settings.maxWaiting,
                    maxLaneJobs: settings.maxLaneJobs,
                    maxLaneBytes: settings.maxLaneBytes,
                    reconnectDelay: settings.reconnectDelay
                ),
                now: clock.now()
            )
        )
    }

    /// Full jitter, in 0..<1.
    func jitter() -> Double { .random(in: 0..<1) }

    func emit(_ event: PoolEvent) { onEvent(event) }

    private func wake(_ indices: [Int]) { for index in indices { seats[index].event.signal() } }
    func wakeAll() { wake(Array(seats.indices)) }

    var isStopping: Bool { ledger.withLock { $0.isStopping } }

    var state: PoolState {
        ledger.withLock { ledger in
            PoolState(
                isAvailable: ledger.connections > 0,
                since: ledger.availableSince,
                connections: ledger.connections,
                waiting: ledger.waiting,
                lastError: ledger.lastError
            )
        }
    }

    // MARK: Work

    func submit(_ job: PoolJob, timers: TimerQueue) {
        let (admission, awakened) = ledger.withLock { $0.submit(job) }
        switch admission {
        case .closed: job.fail(PostgresError.closed())
        case .full:
            job.fail(
                PostgresError(.overloaded, outcome: .notSent, message: "\(settings.maxWaiting) operations wait already")
            )
        case .queued:
            // Weak: a cancelled timer may keep its closure until its time, and a job holds bodies.
            job.setTimer(
                timers.schedule(at: job.deadline) { [weak self, weak job] in
                    if let job { self?.expire(job) }
                }
            )
            wake(awakened)
        }
    }

    /// The deadline of a job came. One in a seat's hands is answered by the seat, which knows what was sent.
    private func expire(_ job: PoolJob) {
        if ledger.withLock({ $0.remove(job.id, role: job.role) }) {
            job.fail(PostgresError.deadline(job.outcomeIfDropped))
        }
    }

    /// The caller of a job has gone.
    func abandon(_ job: PoolJob) {
        job.abandon()
        if !ledger.withLock({ $0.remove(job.id, role: job.role) }) { wakeAll() }
    }

    /// Jobs whose connection was lost go to the front of their queue, unless their time is over.
    func requeue(_ jobs: [PoolJob], _ error: PostgresError) {
        let now = clock.now()
        let isStopping = isStopping
        var live: [PoolJob] = []
        for job in jobs where !job.isAnswered {
            if isStopping {
                job.fail(PostgresError.closed(job.outcomeIfDropped))
            } else if job.deadline <= now {
                job.fail(PostgresError.deadline(job.outcomeIfDropped))
            } else {
                live.append(job)
            }
        }
        guard !live.isEmpty else { return }
        emit(.repeated(operations: live.count, error))
        wake(ledger.withLock { $0.requeue(live) })
        // A deadline or an end that came in between found nothing in the queue.
        let late = clock.now()
        for job in live where job.deadline <= late { expire(job) }
        if self.isStopping { failAllWaiting() }
    }

    // MARK: Seats

    func next(_ seat: Seat) -> PoolLedger<PoolJob>.Step {
        let now = clock.now()
        return ledger.withLock { $0.next(seat.index, now: now) }
    }

    func connected(_ seat: Seat) {
        let now = clock.now()
        let expiry = now + settings.connectionLifetime * (0.8 + 0.4 * jitter())
        let (isFirst, awakened) = ledger.withLock { $0.connected(seat.index, expiry: expiry, now: now) }
        if isFirst { emit(.available) }
        wake(awakened)
    }

    func connectFailed(_ seat: Seat, _ error: PostgresError) {
        let (now, jitter) = (clock.now(), jitter())
        let (isFirst, retryIn, attempt) = ledger.withLock { ledger in
            let (isFirst, retryIn) = ledger.connectFailed(seat.index, error, jitter: jitter, now: now)
            return (isFirst, retryIn, ledger.failures)
        }
        if isFirst { emit(.unavailable(error)) }
        emit(.connectFailed(error, attempt: attempt, retryIn: retryIn))
    }

    func disconnected(_ seat: Seat, _ error: PostgresError?) {
        let now = clock.now()
        let (isLast, awakened) = ledger.withLock { $0.disconnected(seat.index, error, now: now) }
        if let error {
            emit(.condemned(error))
            if isLast { emit(.unavailable(error)) }
        }
        wake(awakened)
    }

    func condemnAll() { wake(ledger.withLock { $0.condemnAll() }) }

    // MARK: End

    func drain() { wake(ledger.withLock { $0.drain() }) }

    func stop() {
        wake(ledger.withLock { $0.stop() })
        failAllWaiting()
    }

    private func failAllWaiting() {
        for job in ledger.withLock({ $0.takeAll() }) { job.fail(PostgresError.closed(job.outcomeIfDropped)) }
    }
}

/// Sends cancel requests, which may block for long, from a thread that nobody waits for.
final class CancelThread: Sendable {
    /// More requests at once are dropped: the server notices the closed connection by itself within a second.
    private static let maxWaiting = 2

    private let requests = Mailbox<CancelHandle>(capacity: maxWaiting)
    private let ended = Latch()
    private let thread = Locked<WorkerThread?>(nil)

    func cancel(_ handle: CancelHandle) {
        thread.withLock { [requests, ended] thread in
            if thread != nil { return }
            thread = WorkerThread(name: "pg-cancel") {
                var taken: [CancelHandle] = []
                while requests.wait(into: &taken, until: .distantFuture) != .closed {
                    for handle in taken { handle.cancel() }
                    taken.removeAll()
                }
                ended.open()
            }
        }
        _ = requests.push(handle)
    }

    /// Lets the thread end after what it has in hand; one that hangs in a request is left behind.
    func close(until deadline: MonotonicInstant) {
        requests.close()
        let thread = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        if let thread, ended.wait(until: deadline) { thread.join() }
    }

    deinit { requests.close() }
}
