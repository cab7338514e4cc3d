// The pool's public face: checks what comes in, turns it into jobs, awaits their answers.

package import Basics
import Synchronization

/// Connections to PostgreSQL, a thread each, behind three queues: general work, write lanes, large batches.
///
/// Operations wait in FIFO order with a deadline each, in a bounded list. A server that is away is waited for, within
/// that deadline: one connection probes, with full jitter, for ever. All calls are safe from any task and thread.
///
/// Cancelling the calling task ends its wait with `CancellationError` at once. What was sent may still be applied; a
/// query or transaction in progress costs its connection.
package final class PostgresPool: Sendable {
    /// Statements of one batch.
    package static let maxBatchStatements = 64

    private let core: PoolCore
    private let timers: TimerQueue
    private let threads = Locked<[WorkerThread]>([])
    private let nextID = Atomic<UInt64>(1)

    /// Makes a pool that does nothing yet.
    ///
    /// - Parameters:
    ///   - clock: Must run at the pace of the system's monotonic clock; waits end by that one.
    ///   - onEvent: Called on the pool's threads; must not block.
    /// - Throws: kind `misuse` when libpq cannot read the connection string. The string is not quoted.
    package init(
        settings: PoolSettings,
        clock: MonotonicClock = .system,
        timers: TimerQueue = .shared,
        onEvent: @escaping @Sendable (PoolEvent) -> Void = { _ in }
    ) throws(PostgresError) {
        let target = try ConnectionString(settings.connectionString)
        core = PoolCore(settings: settings, target: target, clock: clock, onEvent: onEvent)
        self.timers = timers
    }

    deinit {
        // Without close(until:) the threads end by themselves, soon.
        core.stop()
    }

    /// Starts the threads, which connect. Returns at once; a server that is away is not an error.
    package func start() {
        threads.withLock { threads in
            guard threads.isEmpty else { return }
            threads = core.seats.map { [core] seat in
                WorkerThread(name: "pg-\(seat.role)-\(seat.index)") {
                    SeatThread(core: core, seat: seat).run()
                    seat.ended.open()
                }
            }
        }
    }

    /// Takes nothing new, finishes what was taken, and ends the threads. Blocks, at most a second past `deadline`.
    ///
    /// What is not finished by then fails as `closed`. A thread that is caught in a look-up of a name is left behind.
    package func close(until deadline: MonotonicInstant) {
        let threads = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        core.drain()
        if !threads.isEmpty { for seat in core.seats { _ = seat.ended.wait(until: deadline) } }
        core.stop()
        let grace = MonotonicClock.system.now() + .seconds(1)
        for (seat, thread) in zip(core.seats, threads) where seat.ended.wait(until: grace) { thread.join() }
        core.canceller.close(until: grace)
    }

    /// Runs one statement in a transaction of its own; again after a lock wait, deadlock or serialization failure,
    /// five times.
    ///
    /// - Returns: Its rows and count.
    /// - Parameter deadline: Less than 50 ms from the time a connection is free: nothing is sent any more.
    /// - Throws: ``PostgresError``. After a lost connection or a passed deadline its outcome is `unknown`, unless the
    ///   statement is ``SQLStatement/isReading``: those are repeated on up to three connections.
    package func query(_ statement: SQLStatement, deadline: MonotonicInstant) async throws -> SQLResult {
        try check([statement])
        let promise = Promise<SQLResult>()
        let operation = PoolJob.Operation.statements([statement]) { results in
            promise.resolve(results.first.map { .success($0) } ?? .failure(PostgresError.missingResult))
        }
        let job = makeJob(
            .general,
            operation,
            byteCount: statement.byteCount,
            deadline: deadline,
            isRepeatable: statement.isReading,
            isReading: statement.isReading
        ) { promise.resolve(.failure($0)) }
        return try await submit(job, promise)
    }

    /// Runs `body` between `begin` and `commit` at read committed, on the connection's thread.
    ///
    /// - Parameters:
    ///   - attempts: How often `body` may run: again after a lock wait, deadlock or serialization failure, and on
    ///     another connection when one is lost before the commit was sent.
    ///   - body: Synchronous; may block for a bounded time. What it throws rolls back and is thrown on.
    /// - Returns: What `body` returned, after the commit.
    /// - Throws: ``PostgresError``, or what `body` threw. The outcome is `unknown` only when the commit was sent.
    package func transaction<Result: Sendable>(
        deadline: MonotonicInstant,
        attempts: Int = 1,
        _ body: @escaping @Sendable (borrowing PostgresTransaction) throws -> Result
    ) async throws -> Result {
        let promise = Promise<Result>()
        let operation = PoolJob.Operation.transaction { transaction in
            let result = try body(transaction)
            return { promise.resolve(.success(result)) }
        }
        let job = makeJob(.general, operation, byteCount: 0, deadline: deadline, maxAttempts: attempts) {
            promise.resolve(.failure($0))
        }
        return try await submit(job, promise)
    }

    /// Writes a batch of statements, whole or not at all, through a write lane.
    ///
    /// Batches that wait at the same time share one transaction, in the order of their keys: at most
    /// ``PoolSettings/maxLaneJobs`` and ``PoolSettings/maxLaneBytes``; a larger one goes alone through the large lane.
    /// One whose values the server refuses is told so alone. When a connection is lost or says nothing, the batch is
    /// repeated on another one, since its outcome is not known: every statement must be idempotent.
    ///
    /// - Parameters:
    ///   - batch: 1…``maxBatchStatements`` statements, at most ``PoolSettings/maxBatchBytes``.
    ///   - sortKey: Primary key of what is written, so that two processes lock the same rows in the same order.
    ///   - byteCount: The caller's own measure of the batch; ours is taken when it is larger.
    /// - Returns: One result per statement, after the commit.
    /// - Throws: ``PostgresError``; `unknown` when the deadline came while an answer was awaited.
    /// - Cancellation: The wait ends; the batch may still be applied.
    package func write(
        _ batch: [SQLStatement],
        sortKey: String,
        byteCount: Int = 0,
        deadline: MonotonicInstant
    ) async throws -> [SQLResult] {
        try check(batch)
        let bytes = max(byteCount, batch.reduce(0) { $0 + $1.byteCount })
        let promise = Promise<[SQLResult]>()
        let job = makeJob(
            bytes > core.settings.maxLaneBytes ? .large : .write,
            .statements(batch) { promise.resolve(.success($0)) },
            byteCount: bytes,
            sortKey: sortKey,
            deadline: deadline,
            isRepeatable: true
        ) { promise.resolve(.failure($0)) }
        return try await submit(job, promise)
    }

    package var state: PoolState { core.state }

    // MARK: Jobs

    private func makeJob(
        _ role: SeatRole,
        _ operation: PoolJob.Operation,
        byteCount: Int,
        sortKey: String = "",
        deadline: MonotonicInstant,
        isRepeatable: Bool = false,
        isReading: Bool = false,
        maxAttempts: Int = 1,
        refuse: @escaping @Sendable (any Error) -> Void
    ) -> PoolJob {
        PoolJob(
            id: nextID.wrappingAdd(1, ordering: .relaxed).oldValue,
            role: role,
            byteCount: byteCount,
            sortKey: sortKey,
            deadline: deadline,
            operation: operation,
            isRepeatable: isRepeatable,
            isReading: isReading,
            maxAttempts: maxAttempts,
            timers: timers,
            refuse: refuse
        )
    }

    private func submit<Value: Sendable>(_ job: PoolJob, _ promise: Promise<Value>) async throws -> Value {
        core.submit(job, timers: timers)
        return try await promise.value { [core] in core.abandon(job) }
    }

    private func check(_ statements: [SQLStatement]) throws(PostgresError) {
        guard (1...PostgresPool.maxBatchStatements).contains(statements.count) else {
            throw PostgresError(.misuse, outcome: .notSent, message: "a batch with no or too many statements")
        }
        try statements.checkBounds(maxBytes: core.settings.maxBatchBytes)
    }
}

extension PostgresError {
    static let missingResult = PostgresError(.connection, outcome: .unknown, message: "the result is missing")
}
