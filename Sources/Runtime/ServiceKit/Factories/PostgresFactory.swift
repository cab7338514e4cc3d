// Postgres' settings from ours, its events as log lines, its state as a readiness check and as metrics.

import Basics
package import Postgres

extension Settings {
    /// What `DATABASE_URL` and `DATABASE_PREPARE` say. Libpq reads the connection string itself, at the first attempt.
    package func poolSettings(applicationName: String) -> PoolSettings {
        PoolSettings(
            connectionString: self[Setting.databaseURL].reveal(),
            applicationName: applicationName,
            usePreparedStatements: self[Setting.databasePrepare]
        )
    }
}

extension Logger {
    /// Takes a pool's events; none of them carries data.
    package var poolEvents: @Sendable (PoolEvent) -> Void {
        { event in
            switch event {
            case .available: notice("Postgres is there")
            case .unavailable(let error): warning("Postgres is away", metadata: Self.metadata(error))
            case .connectFailed(let error, let attempt, let retryIn):
                debug(
                    "a connection to Postgres failed",
                    metadata: Self.metadata(error).merging([
                        "attempt": .stringConvertible(attempt), "retry.in": .string(retryIn.settingText),
                    ]) { _, new in new }
                )
            case .condemned(let error): info("a connection to Postgres was dropped", metadata: Self.metadata(error))
            case .repeated(let count, let error):
                notice("operations go to another connection", metadata: Self.metadata(error, count))
            case .isolated(let count, let error):
                info("a batch failed and is repeated one by one", metadata: Self.metadata(error, count))
            case .notice(let state):
                debug("Postgres sent a notice", metadata: ["db.response.status_code": .string(state)])
            }
        }
    }

    private static func metadata(_ error: PostgresError, _ operations: Int? = nil) -> Metadata {
        var metadata: Metadata = ["error.message": .string("\(error)")]
        if let state = error.sqlState { metadata["db.response.status_code"] = .string(state) }
        if let operations { metadata["operations"] = .stringConvertible(operations) }
        return metadata
    }
}

extension ProgramContext {
    /// Makes the pool of `DATABASE_URL`, starts and stops it with the program, and measures it.
    ///
    /// A database that is away leaves the program alive and not ready until it comes.
    ///
    /// - Throws: ``ConfigurationError`` for a `DATABASE_URL` that libpq does not read. Its own words are dropped: they
    ///   quote the string, which may hold a password.
    package func addPostgresPool(_ settings: PoolSettings? = nil) throws(ConfigurationError) -> PostgresPool {
        let pool: PostgresPool
        do {
            pool = try PostgresPool(
                settings: settings ?? self.settings.poolSettings(applicationName: name),
                onEvent: logger.labelled("postgres").poolEvents
            )
        } catch {
            throw ConfigurationError(Setting.databaseURL.name, "is malformed; expected a libpq connection string")
        }
        health.measure("postgres") {
            let state = pool.state
            if state.isAvailable { return .passing }
            return .failing(state.lastError.map { "\($0)" } ?? "not yet connected")
        }
        metrics.gauge("check_pipeline_postgres_connections", help: "Connections to Postgres that stand.") {
            Double(pool.state.connections)
        }
        metrics.gauge("check_pipeline_postgres_waiting_operations", help: "Operations that wait for a connection.") {
            Double(pool.state.waiting)
        }
        add(component: "postgres", start: { pool.start() }, stop: { deadline in pool.close(until: deadline) })
        return pool
    }
}
