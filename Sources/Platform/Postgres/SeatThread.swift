// The thread of one connection: connect, wait, work, close, as the ledger says.

import Basics

/// Runs one seat of a pool on its thread. Everything here belongs to that thread.
final class SeatThread {
    /// Less time than this is not worth sending anything: the job fails as not sent.
    static let minTimeLeft: Duration = .milliseconds(50)
    /// Between repetitions of a transaction that collided with another.
    private static let maxLockPause: Duration = .milliseconds(100)

    let core: PoolCore
    let seat: PoolCore.Seat
    private var connection: Connection?

    init(core: PoolCore, seat: PoolCore.Seat) {
        self.core = core
        self.seat = seat
    }

    /// Returns when the pool stops.
    func run() {
        while true {
            switch core.next(seat) {
            case .connect: connect()
            case .disconnect: close(nil)
            case .work(let jobs): work(jobs)
            case .wait(let until): wait(until)
            case .stop:
                close(nil)
                return
            }
        }
    }

    private func connect() {
        do {
            connection = try Connection.open(core.target, settings: core.settings, event: seat.event) { [core] in
                core.isStopping ? .giveUp(.closed()) : .wait(until: .distantFuture)
            }
            core.connected(seat)
        } catch {
            if !core.isStopping { core.connectFailed(seat, error) }
        }
    }

    /// - Parameter error: Nil when the connection is replaced on purpose.
    private func close(_ error: PostgresError?) {
        guard connection != nil else { return }
        connection = nil
        core.disconnected(seat, error)
    }

    private func wait(_ until: MonotonicInstant) {
        guard let connection else {
            _ = Connection.wait(-1, read: false, write: false, seat.event, until)
            return
        }
        if connection.waitIdle(until: until) { _ = closeIfDead(connection) }
        emitNotices(connection)
    }

    /// True when the server has ended this connection while it was idle.
    private func closeIfDead(_ connection: Connection) -> Bool {
        connection.checkIdle()
        guard let failure = connection.failure else { return false }
        close(failure)
        return true
    }

    private func work(_ taken: [PoolJob]) {
        guard let connection, !closeIfDead(connection) else {
            return core.requeue(taken, .lost("the connection had ended while idle", outcome: .notSent))
        }
        let now = core.clock.now()
        var jobs: [PoolJob] = []
        for job in taken where !job.isAnswered {
            if job.deadline - now < SeatThread.minTimeLeft {
                job.fail(PostgresError.deadline(job.outcomeIfDropped))
            } else {
                jobs.append(job)
            }
        }
        guard let first = jobs.first else { return }
        switch first.operation {
        case .statements: BatchRun(core: core, seat: seat, connection: connection, jobs: jobs).run()
        case .transaction(let body): runTransaction(first, body, connection)
        }
        emitNotices(connection)
        if connection.isUsable, !connection.isOutsideTransaction {
            connection.condemn(
                PostgresError(.misuse, outcome: .unknown, message: "a statement left a transaction open")
            )
        }
        if let failure = connection.failure {
            close(failure)
        } else if connection.largestBytes > core.settings.maxRetainedBytes {
            close(nil)
        }
    }

    private func emitNotices(_ connection: Connection) {
        for state in connection.notices.take() { core.emit(.notice(sqlState: state)) }
    }

    /// Waits on this thread; ends early only when the pool stops.
    private func pause(_ delay: Duration) {
        let until = core.clock.now() + delay
        while core.clock.now() < until, !core.isStopping {
            _ = Connection.wait(-1, read: false, write: false, seat.event, until)
        }
    }

    private func runTransaction(
        _ job: PoolJob,
        _ body: (borrowing PostgresTransaction) throws -> @Sendable () -> Void,
        _ connection: Connection
    ) {
        while true {
            let scope = TransactionScope(
                connection: connection,
                deadline: job.deadline,
                clock: core.clock,
                maxBytes: core.settings.maxBatchBytes
            ) { [core] in core.isStopping ? .closed() : job.isAnswered ? .callerGone : nil }
            let attempt = job.noteAttempt()
            do {
                let deliver = try body(PostgresTransaction(scope: scope))
                try scope.commit()
                return job.succeed(deliver)
            } catch {
                scope.rollBack()
                guard let failure = error as? PostgresError else { return job.fail(error) }
                if failure.kind == .readOnly { core.condemnAll() }
                if failure.kind == .preparedStatement { connection.statements.forgetAll() }
                // Nothing of it can be committed any more, so stopping it makes nothing less clear.
                if connection.isGivenUp, failure.outcome == .notApplied { core.canceller.cancel(connection.canceller) }
                let isOver = job.isAnswered || attempt >= job.maxAttempts || failure.outcome == .unknown
                if isOver { return job.fail(failure) }
                switch failure.kind {
                case .preparedStatement where connection.isUsable: continue
                case .lockOrSerialization where connection.isUsable:
                    // At once the first time, then apart from whoever collided with us.
                    if attempt > 1 { pause(SeatThread.maxLockPause * core.jitter()) }
                case .connection, .readOnly: return core.requeue([job], failure)
                default: return job.fail(failure)
                }
            }
        }
    }
}

extension PostgresError {
    /// Nobody reads this: the caller was answered by its own cancellation.
    static let callerGone = PostgresError(.cancelled, outcome: .unknown, message: "the caller has gone")
}
