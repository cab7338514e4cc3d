// A connection of its own for one thread: migrations, and tools that run and end.

package import Basics
import CPostgres

/// A dedicated session whose calls block the calling thread. Use it on one thread, never on a task.
///
/// Transactions, session settings and advisory locks last from call to call, until ``close()``. Session limits are
/// the server's (`statement_timeout` 0 as a rule); each call has a deadline, after which the session is of no use.
package final class PostgresSession {
    private var connection: Connection?
    private let clock = MonotonicClock.system
    private static let maxBytes = 65 * 1024 * 1024

    /// Connects to the first writable host of the connection string.
    ///
    /// - Parameters:
    ///   - statementTimeout: `statement_timeout` of the session; zero: none.
    ///   - lockTimeout: `lock_timeout` of the session; zero: none. Holds for advisory locks too.
    /// - Throws: kind `misuse` for a string libpq cannot read, else as connecting ends: `connection`, `readOnly`,
    ///   `schema` for a server too old or not in UTF-8, `deadline`.
    package init(
        connectionString: String,
        applicationName: String,
        statementTimeout: Duration = .zero,
        lockTimeout: Duration = .zero,
        deadline: MonotonicInstant
    ) throws(PostgresError) {
        var settings = PoolSettings(connectionString: connectionString, applicationName: applicationName)
        settings.statementTimeout = statementTimeout
        settings.lockTimeout = lockTimeout
        let target = try ConnectionString(connectionString)
        connection = try Connection.open(
            target,
            settings: settings,
            event: nil,
            watch: PostgresSession.watch(clock, deadline, .notSent)
        )
    }

    /// Runs one or more statements without parameters, as one message. Rows are dropped.
    ///
    /// Without `begin` of its own the script is one transaction. All results are read and the first error is kept.
    package func execute(_ script: String, deadline: MonotonicInstant) throws(PostgresError) {
        let connection = try usable()
        guard !script.utf8.contains(0) else {
            throw PostgresError(.misuse, outcome: .notSent, message: "a NUL in a script")
        }
        try connection.runScript(script, watch: PostgresSession.watch(clock, deadline, .unknown))
    }

    /// Runs one statement with parameters.
    package func query(_ statement: SQLStatement, deadline: MonotonicInstant) throws(PostgresError) -> SQLResult {
        let connection = try usable()
        try [statement].checkBounds(maxBytes: PostgresSession.maxBytes)
        let watch = PostgresSession.watch(clock, deadline, .unknown)
        // Unprepared: migrations change what a prepared plan rests on.
        var group = StatementGroup([statement])
        group.isPrepared = false
        switch connection.exchange([group], watch: watch)[0] {
        case .applied(let results):
            guard let result = results.first else { throw .missingResult }
            return result
        case .refused(let error, _), .lost(let error): throw error
        }
    }

    /// Ends the session; an open transaction is rolled back by the server.
    package func close() { connection = nil }

    private func usable() throws(PostgresError) -> Connection {
        guard let connection else {
            throw PostgresError(.closed, outcome: .notSent, message: "the session is closed")
        }
        if let failure = connection.failure { throw failure.with(outcome: .notSent) }
        return connection
    }

    private static func watch(
        _ clock: MonotonicClock,
        _ deadline: MonotonicInstant,
        _ outcome: SQLOutcome
    ) -> Connection.Watch {
        { clock.now() < deadline ? .wait(until: deadline) : .giveUp(.deadline(outcome)) }
    }
}

extension Connection {
    /// Sends a script by the simple protocol and reads every result of it.
    func runScript(_ script: String, watch: Watch) throws(PostgresError) {
        guard PQexitPipelineMode(pointer) == 1 else { throw libraryError(.notSent) }
        guard PQsendQuery(pointer, script) == 1 else {
            let error = libraryError(.notSent)
            condemn(error)
            throw error
        }
        var first: PostgresError?
        while isUsable {
            let flushed = PQflush(pointer)
            var isAlive = flushed >= 0
            if isAlive {
                switch watch() {
                case .giveUp(let error): condemn(error)
                case .wait(let until):
                    let seen = waitForInput(orWrite: flushed > 0, until)
                    if seen & CPG_READABLE != 0 { isAlive = PQconsumeInput(pointer) == 1 }
                }
            }
            guard isUsable else { break }
            if !isAlive { condemn(first ?? libraryError(.unknown)) }
            if readScriptResults(&first) { break }
        }
        if let failure {
            // The server's own reason, when it gave one, came before the loss.
            throw first ?? failure
        }
        guard PQenterPipelineMode(pointer) == 1 else {
            let error = libraryError(.unknown)
            condemn(error)
            throw error
        }
        if let first { throw first }
    }

    /// Reads what has arrived. True when the last result was read.
    private func readScriptResults(_ first: inout PostgresError?) -> Bool {
        while PQisBusy(pointer) == 0 {
            guard let raw = PQgetResult(pointer) else {
                if PQstatus(pointer) == CONNECTION_BAD { condemn(first ?? libraryError(.unknown)) }
                return true
            }
            let owner = ResultOwner(raw)
            switch owner.status {
            case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE: if first == nil { first = owner.error() }
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: break
            default:
                condemn(PostgresError(.misuse, outcome: .unknown, message: "a script must not contain COPY"))
                return true
            }
        }
        return false
    }
}
