// Jobs of one write lane, or one query, from the first sending to their answers.

import Basics

/// Carries out what ``BatchRules`` decide for some jobs on one connection.
struct BatchRun {
    private let core: PoolCore
    private let seat: PoolCore.Seat
    private let connection: Connection
    /// Sorted by key: two processes that write the same rows do not deadlock.
    private let jobs: [PoolJob]
    /// Connections that one batch, and one query, may wear out.
    private static let maxBatchConnections = 10
    private static let maxQueryConnections = 3

    init(core: PoolCore, seat: PoolCore.Seat, connection: Connection, jobs: [PoolJob]) {
        self.core = core
        self.seat = seat
        self.connection = connection
        self.jobs = jobs.sorted { ($0.sortKey, $0.id) < ($1.sortKey, $1.id) }
    }

    func run() { run(jobs) }

    /// Runs `members` in one transaction, as often as the rules say.
    private func run(_ members: [PoolJob]) {
        var lockRepeats = 0
        var hasPreparedAgain = false
        while true {
            let members = members.filter { !$0.isAnswered }
            guard !members.isEmpty else { return }
            let outcome = exchange([members])[0]
            guard let error = outcome.error else { return deliver(outcome, members) }
            let decision = BatchRules.decide(
                error,
                members: members.count,
                lockRepeats: lockRepeats,
                hasPreparedAgain: hasPreparedAgain,
                jitter: core.jitter()
            )
            switch decision {
            case .again(let delay):
                lockRepeats += 1
                let maySend = error.outcome != .unknown || members.allSatisfy(\.isRepeatable)
                guard connection.isUsable, maySend, pause(delay) else { return settle(outcome, members) }
            case .prepareAgain:
                hasPreparedAgain = true
                connection.statements.forgetAll()
                guard connection.isUsable else { return settle(outcome, members) }
            case .apart where connection.isUsable:
                core.emit(.isolated(operations: members.count, error))
                return runApart(members)
            case .fail, .apart, .elsewhere, .elsewhereAfterCondemningAll: return settle(outcome, members)
            }
        }
    }

    /// Runs each member in a transaction of its own, all in one pipeline; what needs more than that runs alone.
    private func runApart(_ members: [PoolJob]) {
        let outcomes = exchange(members.map { [$0] })
        var again: [PoolJob] = []
        for (job, outcome) in zip(members, outcomes) {
            switch outcome.error?.kind {
            case nil: deliver(outcome, [job])
            case .lockOrSerialization, .preparedStatement: again.append(job)
            default: settle(outcome, [job])
            }
        }
        for job in again {
            if let failure = connection.failure {
                settle(.lost(failure.with(outcome: .notApplied)), [job])
            } else {
                run([job])
            }
        }
    }

    // MARK: One exchange

    private func exchange(_ groups: [[PoolJob]]) -> [GroupOutcome] {
        let all = groups.flatMap { $0 }
        let stall = core.clock.now() + core.settings.stallLimit
        let outcomes = connection.exchange(groups.map { statementGroup($0) }) { watch(all, stall) }
        if connection.isGivenUp, all.allSatisfy(\.isReading) { core.canceller.cancel(connection.canceller) }
        for (members, outcome) in zip(groups, outcomes) {
            if case .lost(let error) = outcome, error.outcome == .unknown {
                for job in members where !job.isReading { job.noteMayBeApplied() }
            }
        }
        return outcomes
    }

    private func statementGroup(_ members: [PoolJob]) -> StatementGroup {
        var group = StatementGroup(members.flatMap { $0.statements })
        if let local = connection.localSettings { group.prefix = [local] }
        return group
    }

    /// Answers those whose time is over. The rest go on waiting, and elsewhere when this server says nothing at all.
    private func watch(_ members: [PoolJob], _ stall: MonotonicInstant) -> Connection.Verdict {
        if core.isStopping { return .giveUp(.closed(.unknown)) }
        let now = core.clock.now()
        for job in members where job.deadline <= now {
            job.fail(PostgresError.deadline(job.isReading ? .notApplied : .unknown))
        }
        // A query whose caller has gone is given up; a batch is let finish, since others share it.
        let live = members.filter { !$0.isAnswered || ($0.role != .general && $0.deadline > now) }
        guard let earliest = live.map(\.deadline).min() else { return .giveUp(.deadline(.unknown)) }
        if members.contains(where: \.isRepeatable) {
            guard now < stall else {
                return .giveUp(
                    .lost("the server said nothing for \(core.settings.stallLimit)", outcome: .unknown)
                )
            }
            return .wait(until: min(earliest, stall))
        }
        return .wait(until: earliest)
    }

    /// Waits before a repetition; false when the pool stops.
    private func pause(_ delay: Duration) -> Bool {
        let until = core.clock.now() + delay
        while core.clock.now() < until {
            if core.isStopping { return false }
            _ = Connection.wait(-1, read: false, write: false, seat.event, until)
        }
        return !core.isStopping
    }

    // MARK: Answers

    /// Hands out the results of a group that was applied, each member its own.
    private func deliver(_ outcome: GroupOutcome, _ members: [PoolJob]) {
        guard case .applied(let results) = outcome else { return }
        var start = 0
        for job in members {
            let end = start + job.statements.count
            guard end <= results.count, case .statements(_, let answer) = job.operation else {
                job.fail(PostgresError.lost("results are missing", outcome: .unknown))
                continue
            }
            let own = Array(results[start..<end])
            job.succeed { answer(own) }
            start = end
        }
    }

    /// Answers with the error, or gives the members to another connection.
    private func settle(_ outcome: GroupOutcome, _ members: [PoolJob]) {
        guard let error = outcome.error else { return deliver(outcome, members) }
        if error.kind == .readOnly { core.condemnAll() }
        let isCutOff = !connection.isUsable || error.kind == .readOnly || error.kind == .connection
        var elsewhere: [PoolJob] = []
        for job in members {
            // Nothing of an unsent or undone statement can come twice.
            let mayRepeat = job.isRepeatable || (error.outcome != .unknown && job.role == .general)
            if isCutOff, mayRepeat, !error.blamesValues, !core.isStopping, job.noteAttempt() < maxConnections(job) {
                elsewhere.append(job)
            } else {
                job.fail(job.isReading ? error.with(outcome: .notApplied) : error)
            }
        }
        core.requeue(elsewhere, error)
    }

    /// Bounds what a statement can do that kills its server.
    private func maxConnections(_ job: PoolJob) -> Int {
        job.role == .general ? BatchRun.maxQueryConnections : BatchRun.maxBatchConnections
    }
}

extension PoolJob {
    var statements: [SQLStatement] {
        if case .statements(let statements, _) = operation { return statements }
        return []
    }
}
