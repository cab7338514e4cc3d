// A transaction as its body sees it: statements, one after the other, on the connection's own thread.

package import Basics

/// Lent to the body of ``PostgresPool/transaction(deadline:attempts:_:)``.
package struct PostgresTransaction: ~Copyable {
    private let scope: TransactionScope

    init(scope: TransactionScope) { self.scope = scope }

    /// When the caller of the transaction stops waiting.
    package var deadline: MonotonicInstant { scope.deadline }

    /// Runs one statement and blocks until its result is there. `begin` travels with the first one.
    ///
    /// - Throws: After an error the transaction is lost: every further call throws it again, and so does the commit.
    @discardableResult
    package func execute(_ statement: SQLStatement) throws(PostgresError) -> SQLResult {
        try scope.execute([statement])[0]
    }

    /// Runs statements in one round trip; none of them sees the others' results.
    @discardableResult
    package func execute(_ statements: [SQLStatement]) throws(PostgresError) -> [SQLResult] {
        statements.isEmpty ? [] : try scope.execute(statements)
    }
}

/// One explicit transaction on one connection.
final class TransactionScope {
    let deadline: MonotonicInstant
    private let connection: Connection
    private let clock: MonotonicClock
    private let maxBytes: Int
    /// Why to give up before the deadline; asked before each wait.
    private let giveUpReason: () -> PostgresError?
    private var isOpen = false
    private var failure: PostgresError?

    init(
        connection: Connection,
        deadline: MonotonicInstant,
        clock: MonotonicClock,
        maxBytes: Int,
        giveUpReason: @escaping () -> PostgresError?
    ) {
        self.connection = connection
        self.deadline = deadline
        self.clock = clock
        self.maxBytes = maxBytes
        self.giveUpReason = giveUpReason
    }

    func execute(_ statements: [SQLStatement]) throws(PostgresError) -> [SQLResult] {
        if let failure { throw failure }
        do {
            try statements.checkBounds(maxBytes: maxBytes)
            var group = StatementGroup(statements)
            if !isOpen { group.prefix = [SQLStatement("begin")] + (connection.localSettings.map { [$0] } ?? []) }
            isOpen = true
            return try run(group, outcomeIfLost: .notApplied)
        } catch {
            failure = error
            throw error
        }
    }

    /// Nothing was executed: nothing to commit.
    func commit() throws(PostgresError) {
        if let failure { throw failure }
        guard isOpen else { return }
        var group = StatementGroup([SQLStatement("commit")])
        group.isPrepared = false
        isOpen = false
        let results = try run(group, outcomeIfLost: .unknown)
        guard results.first?.commandTag == "COMMIT" else {
            throw PostgresError(.misuse, outcome: .notApplied, message: "the server rolled back instead of committing")
        }
    }

    /// Leaves no transaction behind; a connection on which that fails is condemned.
    func rollBack() {
        if isOpen, connection.isUsable {
            var group = StatementGroup([SQLStatement("rollback")])
            group.isPrepared = false
            if (try? run(group, outcomeIfLost: .notApplied)) == nil {
                connection.condemn(failure ?? .lost("a transaction could not be rolled back", outcome: .notApplied))
            }
        }
        isOpen = false
        if connection.isUsable, !connection.isOutsideTransaction {
            connection.condemn(PostgresError(.misuse, outcome: .notApplied, message: "a transaction was left open"))
        }
    }

    private func run(_ group: StatementGroup, outcomeIfLost: SQLOutcome) throws(PostgresError) -> [SQLResult] {
        // A commit whose caller has gone is not sent any more.
        if let reason = giveUpReason() {
            connection.condemn(reason)
            throw reason.with(outcome: .notApplied)
        }
        guard deadline - clock.now() >= SeatThread.minTimeLeft else {
            let error = PostgresError.deadline(.notApplied)
            connection.condemn(error)
            throw error
        }
        let outcome = connection.exchange([group]) {
            if let reason = giveUpReason() { return .giveUp(reason) }
            return clock.now() < deadline ? .wait(until: deadline) : .giveUp(.deadline(outcomeIfLost))
        }[0]
        switch outcome {
        case .applied(let results): return results
        case .refused(let error, _): throw error
        case .lost(let error): throw error.with(outcome: outcomeIfLost)
        }
    }
}
