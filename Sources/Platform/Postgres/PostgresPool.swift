// The pool's public face.

package import Basics

/// Connections to PostgreSQL, a thread each, behind three queues: general work, write lanes, large batches.
package final class PostgresPool: Sendable {
    package init(
        settings: PoolSettings,
        clock: MonotonicClock = .system,
        timers: TimerQueue = .shared,
        onEvent: @escaping @Sendable (PoolEvent) -> Void = { _ in }
    ) throws(PostgresError) {
    }
    package func start() {}
    package func close(until deadline: MonotonicInstant) {}
    package func query(_ statement: SQLStatement, deadline: MonotonicInstant) async throws -> SQLResult {
        throw PostgresError.closed()
    }
    package func transaction<Result: Sendable>(
        deadline: MonotonicInstant,
        attempts: Int = 1,
        _ body: @escaping @Sendable (borrowing PostgresTransaction) throws -> Result
    ) async throws -> Result { throw PostgresError.closed() }
    package func write(
        _ batch: [SQLStatement],
        sortKey: String,
        byteCount: Int = 0,
        deadline: MonotonicInstant
    ) async throws -> [SQLResult] { throw PostgresError.closed() }
    package var state: PoolState {
        PoolState(isAvailable: false, since: MonotonicClock.system.now(), connections: 0, waiting: 0, lastError: nil)
    }
}

package struct PostgresTransaction: ~Copyable {
    package func execute(_ statement: SQLStatement) throws(PostgresError) -> SQLResult { throw .closed() }
    package func execute(_ statements: [SQLStatement]) throws(PostgresError) -> [SQLResult] { throw .closed() }
}

/// A connection of its own for one thread.
package final class PostgresSession {
    package init(connectionString: String, applicationName: String, deadline: MonotonicInstant) throws(PostgresError) {}
    package func execute(_ script: String, deadline: MonotonicInstant) throws(PostgresError) { throw .closed() }
    package func query(_ statement: SQLStatement, deadline: MonotonicInstant) throws(PostgresError) -> SQLResult {
        throw .closed()
    }
    package func close() {}
}
