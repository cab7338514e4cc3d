// What a pool is made with, what it tells, and what it looks like from outside.

package import Basics

/// Sizes and bounds of a ``PostgresPool``. The defaults are one consumer process's: five connections.
package struct PoolSettings: Sendable {
    /// libpq connection string or URL; may name several hosts, may hold a password. What it sets overrides our
    /// defaults, except `client_encoding`, which is always UTF8.
    package var connectionString: String
    package var applicationName: String
    /// Off: no named prepared statements and no settings that outlive a transaction, for PgBouncer in transaction mode.
    package var usePreparedStatements: Bool
    /// Connections for ``PostgresPool/query(_:deadline:)`` and transactions.
    package var generalConnections = 2
    /// Connections that take batches of up to ``maxLaneBytes``. 0: batches travel on the general connections.
    package var writeLanes = 2
    /// A connection of its own for batches over ``maxLaneBytes``, so that they delay nobody.
    package var largeLane = true
    /// Operations that may wait for a connection, in each of the three queues; one more is refused as `overloaded`.
    package var maxWaiting = 2_048
    /// Batches that share one sync, that is one transaction.
    package var maxLaneJobs = 16
    /// Bytes that share one sync; a larger batch goes to the large lane.
    package var maxLaneBytes = 1024 * 1024
    /// One batch at most; a larger one is refused as `row`.
    package var maxBatchBytes = 65 * 1024 * 1024
    /// For one host to answer a connection attempt, when the connection string has no `connect_timeout`.
    package var connectTimeout: Duration = .seconds(3)
    /// `statement_timeout` of every session: 57014, kind `cancelled`.
    package var statementTimeout: Duration = .seconds(15)
    /// `lock_timeout` of every session: 55P03, kind `lockOrSerialization`.
    package var lockTimeout: Duration = .seconds(5)
    /// A lane that hears nothing for this long gives its connection up and repeats elsewhere what still has time.
    package var stallLimit: Duration = .seconds(20)
    /// Full jitter between attempts grows from the first to the second.
    package var reconnectDelay: ClosedRange<Duration> = .milliseconds(50) ... .seconds(5)
    /// A connection is replaced at this age ± 20 %, so that fail-over and DNS changes are seen.
    package var connectionLifetime: Duration = .seconds(45 * 60)
    /// A connection that carried a value beyond this is replaced: libpq never gives its buffers back.
    package var maxRetainedBytes = 8 * 1024 * 1024

    package init(connectionString: String, applicationName: String, usePreparedStatements: Bool = true) {
        self.connectionString = connectionString
        self.applicationName = applicationName
        self.usePreparedStatements = usePreparedStatements
    }
}

extension PoolSettings: CustomStringConvertible, CustomReflectable {
    /// Without the connection string, which may hold a password.
    package var description: String { "PoolSettings(\(applicationName))" }
    package var customMirror: Mirror { Mirror(self, children: ["applicationName": applicationName]) }
}

/// What happened in a pool; handed to the caller's closure on one of the pool's threads. Free of secrets and data.
package enum PoolEvent: Sendable {
    /// The first connection stands, or stands again after an outage.
    case available
    /// The last connection is gone, or the first attempt failed.
    case unavailable(PostgresError)
    /// An attempt failed; the next comes after `retryIn`.
    case connectFailed(PostgresError, attempt: Int, retryIn: Duration)
    /// A connection was thrown away.
    case condemned(PostgresError)
    /// Operations go to another connection, since theirs was lost or stopped.
    case repeated(operations: Int, PostgresError)
    /// A batch failed together; its members are repeated one by one.
    case isolated(operations: Int, PostgresError)
    /// The server sent a notice; its text is dropped, since it may quote data.
    case notice(sqlState: String)
}

/// A snapshot of a pool.
package struct PoolState: Sendable {
    /// Whether at least one connection stands.
    package var isAvailable: Bool
    /// Since when that is so.
    package var since: MonotonicInstant
    /// Connections that stand.
    package var connections: Int
    /// Operations that wait for one.
    package var waiting: Int
    /// Why the last connection or attempt failed; nil before the first failure and after a success.
    package var lastError: PostgresError?
}

/// The linked libpq.
package enum PostgresLibrary {
    /// Like `15.20`.
    package static var version: String { libpqVersion() }
}
