// The core's other half: what starts, and what becomes of work that has ended.

package import Basics

/// A record in hand and what has happened to it so far.
struct EventInHand: LaneItem {
    let event: EventRecord
    let ticket: EventTicket
    /// Failures in a row: how far the gaps have grown.
    var failures = 0
    /// Attempts spent, those before this record included.
    var attempts: Int
    var firstFailedAt: Timestamp?
    /// Why it waits.
    var reason: RetryReason?
    /// Its end is to be recorded, whatever its deadline says: the upstream has told so.
    var mustExpire = false
    /// Decided to be a dead letter, and how far that has come.
    var deadLetter: PendingDeadLetter?

    struct PendingDeadLetter: Sendable {
        let letter: DeadLetter
        var isPublished: Bool
    }

    init(event: EventRecord, ticket: EventTicket) {
        self.event = event
        self.ticket = ticket
        attempts = event.earlierAttempts
    }

    var mergeRule: MergeRule {
        if deadLetter != nil { return .alone }
        if mustExpire, case .together(let name) = event.mergeRule { return .together("expired " + name) }
        return event.mergeRule
    }

    func isExpired(_ now: Timestamp) -> Bool { mustExpire || event.deadline <= now }
}

/// What a piece of work is about.
package enum WorkTask: Sendable {
    case handle
    case expire
    /// One event, its letter, and whether the topic has it already: then only the row is missing.
    case deadLetter(DeadLetter, isPublished: Bool)
}

/// A piece of work to be carried out now.
package struct StartedWork: Sendable {
    package let id: UInt64
    package let task: WorkTask
    package let work: LaneWork
    package let attempt: Int
    package let deadline: MonotonicInstant
}

/// How a piece of work ended.
package enum WorkResult: Sendable {
    case handled(Outcome)
    /// ``EventHandler/expire(_:context:)`` was asked.
    case expiry(Outcome)
    /// How far the dead letter came: with neither or only the first, the rest is repeated.
    case deadLetter(isPublished: Bool, isRecorded: Bool)
}

extension WorkerCore {
    // MARK: Starting

    /// Starts work while there is room and the gate permits it.
    mutating func fill(_ now: Moment, into effects: inout Effects) {
        while !isStopping, running.count < settings.limits.maxInFlight {
            let permit = gate.permit(now.monotonic)
            guard permit != .none, let started = lanes.startNext() else { return }
            guard let id = begin(started, now, into: &effects) else { continue }
            // An expiry calls nobody but the database: its end proves nothing about what closed the gate.
            if permit == .one, !(running[id]?.task.isExpiry ?? false) { gate.probeStarted(id) }
        }
    }

    /// While the gate is closed: starts what has to be recorded as expired, since time does not pause.
    mutating func startExpired(_ now: Moment, into effects: inout Effects) {
        guard !isStopping, gate.closure != nil else { return }
        if let last = lastExpirySearch, now.monotonic - last < Self.expirySearchInterval { return }
        lastExpirySearch = now.monotonic
        while running.count < settings.limits.maxInFlight {
            let expired = lanes.startNext { items in
                items.allSatisfy { $0.deadLetter == nil && $0.isExpired(now.wall) }
            }
            guard let expired else { return }
            _ = begin(expired, now, into: &effects)
        }
    }

    /// Makes a piece of work of a started lane; nil when nothing of it is ours any more.
    private mutating func begin(
        _ started: KeyLanes<EventInHand>.Started,
        _ now: Moment,
        into effects: inout Effects
    ) -> UInt64? {
        let items = started.items.filter { ledger.isStartable($0.ticket) }
        release(started.items.filter { !ledger.isStartable($0.ticket) })
        guard let first = items.first else {
            lanes.finish(started.key)
            return nil
        }
        let work = LaneWork(first: first.event, others: items.dropFirst().map(\.event))
        let task: WorkTask =
            if let pending = first.deadLetter {
                .deadLetter(pending.letter, isPublished: pending.isPublished)
            } else {
                items.allSatisfy { $0.isExpired(now.wall) } ? .expire : .handle
            }
        nextWork += 1
        running[nextWork] = RunningWork(key: started.key, task: task, items: items, startedAt: now.monotonic)
        effects.starts.append(
            StartedWork(
                id: nextWork,
                task: task,
                work: work,
                attempt: items.reduce(0) { max($0, $1.attempts) } + 1,
                deadline: now.instant(of: work.deadline)
            )
        )
        return nextWork
    }

    // MARK: Ending

    /// What becomes of the events of an ended piece of work.
    private enum Fate {
        case finished
        /// To be started again: at once (in turn) or not before.
        case again(notBefore: MonotonicInstant?)
    }

    /// Takes the result of a piece of work; from any thread, once for each.
    ///
    /// Completions of partitions given up meanwhile change no ledger, but always free their place and lane.
    package mutating func finished(_ id: UInt64, _ result: WorkResult, at now: Moment) -> Effects {
        var effects = Effects()
        guard let ended = running.removeValue(forKey: id) else { return effects }
        var items = ended.items.filter { ledger.isUnfinished($0.ticket) }
        let late = ended.items.count - items.count
        if late > 0 { effects.observations.append(.late(events: late)) }

        let (fate, ending, reason) = decide(id, &items, result, now, into: &effects)
        if ending != .paused, ending != .deadLetterFailed, let closure = gate.passed(id) {
            effects.observations.append(.resumed(reason: closure.reason, after: now.monotonic - closure.since))
        }
        switch fate {
        case .finished:
            for item in items { ledger.finish(item.ticket) }
            release(ended.items)
            lanes.finish(ended.key)
        case .again(let notBefore):
            let again = items.filter { ledger.isStartable($0.ticket) }
            release(ended.items.filter { !ledger.isStartable($0.ticket) })
            if let hold = lanes.putBack(again, in: ended.key, waits: notBefore != nil), let notBefore {
                due.insert(DueTimes.Entry(at: notBefore, key: ended.key, hold: hold))
            }
        }
        effects.observations.append(
            .attempt(
                ending: ending,
                reason: reason,
                events: ended.items.count,
                duration: now.monotonic - ended.startedAt
            )
        )
        fill(now, into: &effects)
        return effects
    }

    private mutating func decide(
        _ id: UInt64,
        _ items: inout [EventInHand],
        _ result: WorkResult,
        _ now: Moment,
        into effects: inout Effects
    ) -> (Fate, WorkEnding, reason: String) {
        switch result {
        case .deadLetter(let isPublished, let isRecorded):
            if isPublished && isRecorded {
                if let reason = items.first?.deadLetter?.letter.reason {
                    effects.observations.append(.deadLettered(reason))
                }
                return (.finished, .deadLettered, items.first?.deadLetter?.letter.reason.code ?? "")
            }
            for index in items.indices { items[index].deadLetter?.isPublished = isPublished }
            // As a probe it shows that the fault lasts: broker or database did not take it.
            if gate.isProbe(id) { fault("dead letter not written", .seconds(1), id, now, into: &effects) }
            return (.again(notBefore: now.monotonic + wait(&items, hint: nil)), .deadLetterFailed, "")
        case .handled(.done), .expiry(.done): return (.finished, result.isExpiry ? .expired : .done, "")
        case .expiry(.expired): return (.finished, .expired, "")
        case .handled(.expired):
            for index in items.indices { items[index].mustExpire = true }
            return (.again(notBefore: nil), .expired, "")
        case .handled(.retry(let hint, let reason)), .expiry(.retry(let hint, let reason)):
            if result.isExpiry { for index in items.indices { items[index].mustExpire = true } }
            note(reason, in: &items, now)
            let gap = wait(&items, hint: hint)
            return (.again(notBefore: notBefore(gap, items, now)), .retry, reason.code)
        case .handled(.park(let reason)), .expiry(.park(let reason)):
            return park(reason, &items, now)
        case .handled(.pauseAll(let pause, let reason)), .expiry(.pauseAll(let pause, let reason)):
            fault(reason, pause, id, now, into: &effects)
            // Expiries pass the closed gate, so they need a wait of their own.
            return (.again(notBefore: result.isExpiry ? now.monotonic + max(pause, .seconds(1)) : nil), .paused, reason)
        }
    }

    private mutating func park(_ reason: ParkReason, _ items: inout [EventInHand], _ now: Moment) -> (
        Fate, WorkEnding, reason: String
    ) {
        guard allowance.take(items.count, now: now.monotonic) else {
            note(RetryReason("dead-letter-rate"), in: &items, now)
            return (.again(notBefore: notBefore(DeadLetterAllowance.hold, items, now)), .held, reason.code)
        }
        for index in items.indices {
            let item = items[index]
            items[index].failures = 0
            items[index].deadLetter = EventInHand.PendingDeadLetter(
                letter: DeadLetter(
                    event: item.event,
                    group: settings.group,
                    reason: reason,
                    attempts: item.attempts + 1,
                    firstFailedAt: item.firstFailedAt ?? now.wall,
                    failedAt: now.wall
                ),
                isPublished: false
            )
        }
        return (.again(notBefore: nil), .parked, reason.code)
    }

    private func note(_ reason: RetryReason, in items: inout [EventInHand], _ now: Moment) {
        for index in items.indices {
            if reason.costsAttempt { items[index].attempts += 1 }
            items[index].reason = reason
            items[index].firstFailedAt = items[index].firstFailedAt ?? now.wall
        }
    }

    /// Counts a failure and gives the wait that follows it.
    private mutating func wait(_ items: inout [EventInHand], hint: Duration?) -> Duration {
        for index in items.indices { items[index].failures += 1 }
        let failures = items.reduce(1) { max($0, $1.failures) }
        return settings.gaps.gap(afterFailures: failures, hint: hint, using: &random)
    }

    /// The end of a wait, or the deadline if that is nearer: then the end is recorded instead of another try.
    private func notBefore(_ gap: Duration, _ items: [EventInHand], _ now: Moment) -> MonotonicInstant {
        let at = now.monotonic + gap
        guard let deadline = items.map(\.event.deadline).max(), deadline > now.wall,
            !items.contains(where: \.mustExpire)
        else { return at }
        return min(at, now.instant(of: deadline))
    }

    private mutating func fault(
        _ reason: String,
        _ pause: Duration,
        _ id: UInt64,
        _ now: Moment,
        into effects: inout Effects
    ) {
        if gate.fault(reason, pause: pause, work: id, now: now.monotonic, using: &random) {
            effects.observations.append(.paused(reason: reason))
        }
    }

    private mutating func release(_ items: [EventInHand]) {
        heldBytes -= items.reduce(0) { $0 + $1.event.byteCount }
    }
}

extension WorkTask {
    var isExpiry: Bool { if case .expire = self { true } else { false } }
}

extension WorkResult {
    var isExpiry: Bool { if case .expiry = self { true } else { false } }
}
