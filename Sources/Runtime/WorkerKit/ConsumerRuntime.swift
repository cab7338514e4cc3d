// The driver: carries out what the core decides. Poll thread → core → mailbox → one task with a child per piece of
// work → core → commit. See `WorkerCore` for the rules; nothing here decides.

package import Basics
package import Kafka

/// The part of a consumer that the runtime commands. ``Consumer`` is one; a test's is another.
package protocol ConsumerControl: AnyObject, Sendable {
    func start()
    /// Sends a commit; the answer comes to `ConsumerHandler.commitCompleted`, maybe in parts.
    func commit(_ offsets: [TopicPartition: Int64])
    func pause(_ partitions: [TopicPartition])
    func resume(_ partitions: [TopicPartition])
    /// Makes a wait inside a revocation look at its condition now.
    func wake()
    /// Leaves the group, after revoking what is assigned. Blocks, at most until the deadline; false when it had to
    /// give up then.
    @discardableResult
    func close(until deadline: MonotonicInstant) -> Bool
}

extension Consumer: ConsumerControl {}

/// What the runtime takes from outside, as values, so that a test or a simulation can hold time and chance.
package struct WorkerEnvironment: Sendable {
    package let wall: WallClock
    package let monotonic: MonotonicClock
    package let timers: TimerQueue
    /// Decides the jitter.
    package let seed: UInt64

    package init(wall: WallClock, monotonic: MonotonicClock, timers: TimerQueue, seed: UInt64) {
        self.wall = wall
        self.monotonic = monotonic
        self.timers = timers
        self.seed = seed
    }

    package static func system() -> WorkerEnvironment {
        WorkerEnvironment(
            wall: .system,
            monotonic: .system,
            timers: .shared,
            seed: UInt64.random(in: 0 ... .max)
        )
    }

    func now() -> Moment { Moment(monotonic: monotonic.now(), wall: wall.now()) }
}

/// One consumer of one group in this process.
///
/// Locks: one, around the core; everything the core answers is done after it is released.
package final class ConsumerRuntime: Sendable {
    package struct Configuration: Sendable {
        package let core: WorkerCore.Settings
        /// How long a revocation waits for calls already sent: a repeat costs quota, a late answer to the group
        /// costs the membership. At most a quarter of `max.poll.interval.ms`.
        package let revokeWait: Duration
        package let heartbeatEvery: Duration

        /// - Parameter maxPollInterval: The consumer's `max.poll.interval.ms`.
        package init(
            core: WorkerCore.Settings,
            maxPollInterval: Duration = .seconds(300),
            heartbeatEvery: Duration = .seconds(5)
        ) {
            self.core = core
            revokeWait = min(.seconds(5), maxPollInterval / 4)
            self.heartbeatEvery = heartbeatEvery
        }
    }

    /// What a service brings. None of it may block.
    package struct Service: Sendable {
        package let handler: any EventHandler
        package let deadLetters: any DeadLetterSink
        package let observer: any WorkerObserver
        /// Reads a record's envelope, on the poll thread. Never fails: what is missing comes from the record.
        package let describe: @Sendable (ConsumerRecord) -> EventRecord
        /// Writes the worker's own row. Asked every ``Configuration/heartbeatEvery``, one at a time.
        package let heartbeat: @Sendable (WorkerSnapshot) async -> Void

        package init(
            handler: any EventHandler,
            deadLetters: any DeadLetterSink,
            observer: any WorkerObserver,
            describe: @escaping @Sendable (ConsumerRecord) -> EventRecord,
            heartbeat: @escaping @Sendable (WorkerSnapshot) async -> Void = { _ in }
        ) {
            self.handler = handler
            self.deadLetters = deadLetters
            self.observer = observer
            self.describe = describe
            self.heartbeat = heartbeat
        }
    }

    struct State: Sendable {
        var core: WorkerCore
        var consumer: (any ConsumerControl)?
        /// When the core is to be woken next, and the one timer that does it.
        var armed: MonotonicInstant?
        var timer: TimerToken?
        /// Set by stopping, by the environment's clock: ends the waits of revocations.
        var stopDeadline: MonotonicInstant?
        /// Partitions whose revocation waits for what runs.
        var revoking: [TopicPartition] = []
        var lastConsumerError: KafkaError?
        var worker: Task<Void, Never>?
    }

    let configuration: Configuration
    let environment: WorkerEnvironment
    let service: Service
    let state: Locked<State>
    /// Started work on its way to the task. The core starts at most `maxInFlight`, so it is never full.
    let inbox: AsyncMailbox<StartedWork>
    /// Opens when the last piece of work has ended while stopping.
    let drained = Latch()
    /// Opens when the task has ended.
    let finished = Latch()

    package init(configuration: Configuration, environment: WorkerEnvironment = .system(), service: Service) {
        self.configuration = configuration
        self.environment = environment
        self.service = service
        inbox = AsyncMailbox(capacity: configuration.core.limits.maxInFlight)
        state = Locked(State(core: WorkerCore(settings: configuration.core, seed: environment.seed)))
    }

    /// Joins the group. Call once.
    ///
    /// - Parameter connect: Makes the consumer with this handler; its errors are thrown on.
    package func start(connect: (any ConsumerHandler) throws -> any ConsumerControl) throws {
        let consumer = try connect(self)
        // Unstructured, since nothing async exists above: `stop(until:)` ends it, by closing the inbox and, if that
        // does not suffice, by cancelling.
        let worker = Task.detached { [self] in await work() }
        state.withLock { state in
            state.consumer = consumer
            state.worker = worker
        }
        consumer.start()
    }

    /// Stops taking work, finishes what runs, commits, leaves the group. Blocks the calling thread, which must not
    /// be one of the shared pool or the poll thread. Call once, after ``start(connect:)``.
    ///
    /// - Returns: False when work was still in hand at the deadline; it is then cancelled and left to the next
    ///   owner, as is everything queued.
    package func stop(until deadline: MonotonicInstant) -> Bool {
        // A thread waits by the system's clock, whatever clock the work lives on.
        let now = MonotonicClock.system.now()
        let left = now < deadline ? deadline - now : .zero
        // What the last commit and leaving the group may take.
        let closing = min(.seconds(2), left / 4)
        let draining = left - closing
        let revokeUntil = environment.monotonic.now() + draining
        let (isIdle, consumer) = state.withLock { state in
            state.core.stopTaking()
            state.stopDeadline = revokeUntil
            return (state.core.inFlight == 0, state.consumer)
        }
        if isIdle { drained.open() }
        let isDrained = drained.wait(until: now + draining)
        // Nothing starts any more, so the task ends with its last child; a child that does not end is cancelled now,
        // and the revocations of closing have nothing to wait for.
        inbox.close()
        let worker = state.withLock { $0.worker }
        if !isDrained { worker?.cancel() }
        consumer?.close(until: deadline)
        // Ending takes a moment, also when closing has used up the time.
        let hasEnded =
            worker == nil || finished.wait(until: max(deadline, MonotonicClock.system.now() + .milliseconds(200)))
        if !hasEnded { worker?.cancel() }
        state.withLock { state in
            // The consumer holds its handler, the handler its consumer: this ends the cycle.
            state.consumer = nil
            state.worker = nil
        }
        return isDrained && hasEnded
    }

    /// What is in hand now. Any thread.
    package var snapshot: WorkerSnapshot {
        let now = environment.now()
        return state.withLock { state in
            var snapshot = state.core.snapshot(at: now)
            snapshot.lastConsumerError = state.lastConsumerError
            return snapshot
        }
    }

    // MARK: Carrying out

    /// Runs one decision of the core under the lock and carries out its answer after it.
    ///
    /// - Parameter takesOne: The caller carries out the first of the started pieces itself.
    @discardableResult
    func decide(
        takesOne: Bool = false,
        _ decision: (inout State, Moment) -> WorkerCore.Effects
    ) -> StartedWork? {
        let now = environment.now()
        let (effects, wake, consumer, isDrained, isRevoked) = state.withLock { state in
            let effects = decision(&state, now)
            var wake: MonotonicInstant?
            if let next = state.core.nextWake(after: now.monotonic), state.armed.map({ next < $0 }) ?? true {
                state.armed = next
                wake = next
            }
            let isDrained = state.stopDeadline != nil && state.core.inFlight == 0
            let isRevoked = !state.revoking.isEmpty && state.core.inFlight(of: state.revoking) == 0
            if isRevoked { state.revoking = [] }
            return (effects, wake, state.consumer, isDrained, isRevoked)
        }
        if let wake { arm(wake) }
        if isDrained { drained.open() }
        if isRevoked { consumer?.wake() }
        var starts = effects.starts[...]
        let own = takesOne ? starts.popFirst() : nil
        for work in starts where inbox.push(work) != .accepted {
            // Closed: the process ends, and the event stays unfinished for the next owner.
            assertionFailure("a piece of work was started after the end")
        }
        if !effects.pause.isEmpty { consumer?.pause(effects.pause) }
        if !effects.resume.isEmpty { consumer?.resume(effects.resume) }
        if !effects.commit.isEmpty { consumer?.commit(effects.commit) }
        for observation in effects.observations { service.observer.observe(observation) }
        return own
    }

    /// Sets the timer for a wake that is earlier than the one armed, whose timer goes: left alone, hour-long ones would
    /// pile up with each short wait that comes before them.
    private func arm(_ wake: MonotonicInstant) {
        // An hour-long timer must not keep the runtime alive.
        let token = environment.timers.schedule(at: wake) { [weak self] in
            self?.decide { state, now in
                if state.armed == wake { state.armed = nil }
                return state.core.advance(to: now)
            }
        }
        let stale = state.withLock { state -> TimerToken? in
            // It has fired already, or another thread has armed an earlier one.
            guard state.armed == wake else { return token }
            defer { state.timer = token }
            return state.timer
        }
        if let stale { environment.timers.cancel(stale) }
    }
}
