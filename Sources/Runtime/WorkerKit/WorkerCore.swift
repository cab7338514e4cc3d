// The whole of a consumer's decisions as one struct: what came, what starts, what is repeated, what is committed.
// No lock, no clock, no thread, no input or output: the driver or a simulation calls it and does what it answers.

package import Basics
package import Kafka

/// Ledger, lanes, gaps, gate, admission and commits, joined.
///
/// Non-obvious invariants:
/// - A record is begun in the ledger or its partition is closed for good: nothing is ever dropped in between.
/// - An event leaves the lanes only into running work, and running work ends in ``finished(_:_:at:)`` exactly
///   once, whatever happened to its partition meanwhile: places in flight cannot leak.
/// - Commits, pauses and resumes are answered only to calls of the poll thread (``tick(_:)``, assignments), so that
///   two threads cannot carry them out in the wrong order.
/// - A lane stays running until its work ends, also when the key comes again with a new assignment.
package struct WorkerCore: Sendable {
    package struct Settings: Sendable {
        package let group: String
        package let limits: AdmissionLimits
        package let gaps: RetryGaps
        package let deadLetters: DeadLetterAllowance

        package init(
            group: String,
            limits: AdmissionLimits,
            gaps: RetryGaps,
            deadLetters: DeadLetterAllowance = DeadLetterAllowance()
        ) {
            self.group = group
            self.limits = limits
            self.gaps = gaps
            self.deadLetters = deadLetters
        }
    }

    /// What is to be done, outside every lock.
    package struct Effects: Sendable {
        package var starts: [StartedWork] = []
        package var commit: [TopicPartition: Int64] = [:]
        package var pause: [TopicPartition] = []
        package var resume: [TopicPartition] = []
        package var observations: [WorkerObservation] = []

        package init() {}
    }

    /// While everything is paused, how often the queue is searched for events whose time has passed.
    static let expirySearchInterval: Duration = .seconds(1)

    let settings: Settings
    var ledger = AssignmentLedger()
    var lanes = KeyLanes<EventInHand>()
    var planner = CommitPlanner()
    var admission: Admission
    var pauses = PauseBook()
    var gate = FaultGate()
    var due = DueTimes()
    var allowance: DeadLetterAllowance
    var random: SeededGenerator
    var running: [UInt64: RunningWork] = [:]
    var nextWork: UInt64 = 0
    var nextUnkeyed: UInt64 = 0
    var heldBytes = 0
    var isStopping = false
    var rebalances = 0
    var rewinds = 0
    var lastTick: MonotonicInstant?
    var lastExpirySearch: MonotonicInstant?

    struct RunningWork: Sendable {
        let key: LaneKey
        let task: WorkTask
        let items: [EventInHand]
        let startedAt: MonotonicInstant
    }

    package init(settings: Settings, seed: UInt64) {
        self.settings = settings
        admission = Admission(limits: settings.limits)
        allowance = settings.deadLetters
        random = SeededGenerator(seed: seed)
    }

    // MARK: Partitions

    /// Partitions are ours from now on; each gets a new ledger under the epoch.
    package mutating func assigned(_ partitions: [TopicPartition], epoch: UInt64, at now: Moment) -> Effects {
        var effects = Effects()
        discard(partitions, into: &effects)
        ledger.assign(partitions, epoch: epoch)
        partitions.forEach { planner.forget($0) }
        pauses.forget(partitions)
        rebalances += 1
        effects.observations.append(.assigned(partitions, epoch: epoch))
        reviewPauses(now, into: &effects)
        return effects
    }

    /// Partitions are about to go: nothing of theirs starts any more, what has not started is forgotten.
    package mutating func revocationBegan(_ partitions: [TopicPartition], at now: Moment) -> Effects {
        var effects = Effects()
        discard(partitions, into: &effects)
        fill(now, into: &effects)
        return effects
    }

    /// Pieces of work in flight that finish something of these partitions.
    package func inFlight(of partitions: [TopicPartition]) -> Int {
        let wanted = Set(partitions)
        return running.values.count { work in
            work.items.contains { wanted.contains($0.ticket.partition) && ledger.isUnfinished($0.ticket) }
        }
    }

    /// Partitions are gone.
    ///
    /// - Parameter lost: Another member has them already; a commit of ours would be a stale one.
    /// - Returns: What is to be committed before they are given up.
    package mutating func revocationEnded(
        _ partitions: [TopicPartition],
        lost: Bool
    ) -> (offsets: [TopicPartition: Int64], effects: Effects) {
        var effects = Effects()
        effects.observations.append(.revoked(partitions, lost: lost, abandoned: inFlight(of: partitions)))
        let offsets = lost ? [:] : planner.advanced(ledger.marks(of: partitions))
        ledger.clear(partitions)
        partitions.forEach { planner.forget($0) }
        pauses.forget(partitions)
        return (offsets, effects)
    }

    // MARK: Records

    /// Takes a record in hand and starts what may start.
    package mutating func received(_ event: EventRecord, at now: Moment) -> Effects {
        var effects = Effects()
        let partition = event.coordinates.topicPartition
        guard let begun = ledger.begin(partition, offset: event.coordinates.offset) else { return effects }
        if begun.isFirst || begun.isRewind { planner.begin(partition, at: event.coordinates.offset) }
        if begun.isRewind {
            rewinds += 1
            effects.observations.append(.rewound(partition, to: event.coordinates.offset))
        }
        heldBytes += event.byteCount
        lanes.enqueue(EventInHand(event: event, ticket: begun.ticket), in: laneKey(event))
        fill(now, into: &effects)
        return effects
    }

    // MARK: Time

    /// When ``advance(to:)`` has something to do next. A probe that is due and waits for an event to come needs no
    /// waking: the event starts it.
    package func nextWake(after now: MonotonicInstant) -> MonotonicInstant? {
        if isStopping { return nil }
        let probe = gate.probeDue.flatMap { $0 > now ? $0 : nil }
        return switch (due.earliest, probe) {
        case (let due?, let probe?): min(due, probe)
        case (let due, let probe): due ?? probe
        }
    }

    /// Ends the waits that are over and starts what may start. From any thread.
    package mutating func advance(to now: Moment) -> Effects {
        var effects = Effects()
        while let entry = due.popDue(now.monotonic) { lanes.wake(entry.key, hold: entry.hold) }
        fill(now, into: &effects)
        return effects
    }

    /// The poll thread's beat: waits, pauses, and the commit if one is due.
    package mutating func tick(_ now: Moment) -> Effects {
        var effects = advance(to: now)
        lastTick = now.monotonic
        startExpired(now, into: &effects)
        reviewPauses(now, into: &effects)
        if let offsets = planner.plan(marks: ledger.marks(of: ledger.partitions), now: now.monotonic) {
            effects.commit = offsets
        }
        return effects
    }

    package mutating func commitCompleted(_ offsets: [TopicPartition: Int64], error: KafkaError?) -> Effects {
        planner.completed(offsets, succeeded: error == nil)
        var effects = Effects()
        effects.observations.append(error.map { .commitFailed($0) } ?? .committed(offsets))
        return effects
    }

    /// Starts nothing any more. What runs may end; what is queued is left to the next owner.
    package mutating func stopTaking() { isStopping = true }

    /// Pieces of work that run.
    package var inFlight: Int { running.count }

    /// Whether some event of a running piece of work is still ours to finish.
    package func isCurrent(_ id: UInt64) -> Bool {
        running[id]?.items.contains { ledger.isUnfinished($0.ticket) } ?? false
    }

    // MARK: Parts

    private mutating func laneKey(_ event: EventRecord) -> LaneKey {
        if let key = event.key { return .key(key) }
        nextUnkeyed += 1
        return .unkeyed(nextUnkeyed)
    }

    /// Closes partitions and forgets what of theirs has not started.
    private mutating func discard(_ partitions: [TopicPartition], into effects: inout Effects) {
        ledger.close(partitions)
        let gone = Set(partitions)
        let purged = lanes.purge { gone.contains($0.ticket.partition) }
        heldBytes -= purged.reduce(0) { $0 + $1.event.byteCount }
        // Hour-long waits of events that are gone would pile up with every rebalance.
        if due.count > 64 + 2 * lanes.waitingCount {
            due.removeAll { [lanes] in !lanes.isWaiting($0.key, hold: $0.hold) }
        }
    }

    /// Says which partitions to pause and resume. Poll thread only.
    mutating func reviewPauses(_ now: Moment, into effects: inout Effects) {
        var wanted = admission.paused(
            queued: lanes.queuedCount,
            heldBytes: heldBytes,
            unfinished: ledger.unfinishedCounts
        )
        // A closed gate pauses everything; one that may probe but has nothing to probe with lets records in.
        let permit = gate.permit(now.monotonic)
        let hasProbe = permit == .one && !lanes.hasReady
        if isStopping || (permit != .all && !hasProbe) { wanted = Set(ledger.partitions) }
        let change = pauses.change(to: wanted)
        effects.pause += change.pause
        effects.resume += change.resume
    }
}
