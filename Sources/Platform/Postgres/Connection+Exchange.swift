// Sending groups of statements through a pipeline and reading what comes back.

import Basics
import CPostgres

/// Statements between two syncs: one transaction, unless an explicit one is open.
struct StatementGroup {
    var statements: [SQLStatement]
    /// False for what is sent once: `begin`, `commit`, set-up.
    var isPrepared = true
    /// Stand before the statements, unprepared; nobody wants their results.
    var prefix: [SQLStatement] = []

    init(_ statements: [SQLStatement]) { self.statements = statements }
}

/// What became of a group.
enum GroupOutcome {
    /// Its sync came back without an error: one result per statement.
    case applied([SQLResult])
    /// The server refused it as a whole: nothing of it is applied. `statement` is the guilty one, when one is.
    case refused(PostgresError, statement: Int?)
    /// Its answer never came; the error's outcome says whether it can have been applied.
    case lost(PostgresError)

    var error: PostgresError? {
        switch self {
        case .applied: nil
        case .refused(let error, _), .lost(let error): error
        }
    }
}

extension Connection {
    /// Sends all groups, each with a sync, and reads all answers. Ends early only by condemning the connection.
    ///
    /// - Parameter watch: Asked before each wait. When it gives up, the connection is condemned with its error.
    /// - Returns: One outcome per group, in order.
    func exchange(_ groups: [StatementGroup], watch: Watch) -> [GroupOutcome] {
        var ledger = PipelineLedger()
        for group in groups {
            ledger.beginGroup()
            if isUsable, !send(group, &ledger) { finishLost(&ledger) }
        }
        while isUsable, !ledger.isComplete {
            if !readAvailable(&ledger) { break }
            if ledger.isComplete { break }
            waitForServer(watch, &ledger)
        }
        return groups.indices.map { outcome(of: ledger.groups[$0]) }
    }

    private func outcome(of group: PipelineLedger.Group) -> GroupOutcome {
        if group.isComplete {
            guard let error = group.error else { return .applied(group.results) }
            return .refused(error, statement: group.failedStatement)
        }
        // Cut off. An error of the statements themselves has undone the group whatever followed.
        if let error = group.error, error.outcome == .notApplied {
            return .refused(error, statement: group.failedStatement)
        }
        let reason = group.error ?? failure ?? .lost("the answer never came", outcome: .unknown)
        return .lost(reason.with(outcome: group.isSyncSent ? .unknown : .notApplied))
    }

    // MARK: Sending

    private func send(_ group: StatementGroup, _ ledger: inout PipelineLedger) -> Bool {
        for statement in group.prefix {
            guard send(statement, isPrepared: false, index: nil, &ledger) else { return false }
        }
        for (index, statement) in group.statements.enumerated() {
            guard send(statement, isPrepared: group.isPrepared, index: index, &ledger) else { return false }
        }
        guard PQpipelineSync(pointer) == 1 else { return false }
        ledger.sentSync()
        return true
    }

    private func send(
        _ statement: SQLStatement,
        isPrepared: Bool,
        index: Int?,
        _ ledger: inout PipelineLedger
    ) -> Bool {
        largestBytes = max(largestBytes, statement.byteCount)
        var plan = StatementCache.Plan(name: nil, isNew: false, types: statement.parameters.map { $0.typeOID ?? 0 })
        if isPrepared { plan = statements.plan(statement) }
        if let name = plan.name, plan.isNew {
            guard PQsendPrepare(pointer, name, statement.sql, Int32(plan.types.count), plan.types) == 1 else {
                statements.forget(name)
                return false
            }
            ledger.sentPrepare(name)
        }
        let pointer = pointer
        let sent = parameters.withParameters(statement.parameters) { count, values, lengths, formats in
            if let name = plan.name { return PQsendQueryPrepared(pointer, name, count, values, lengths, formats, 1) }
            return PQsendQueryParams(pointer, statement.sql, count, plan.types, values, lengths, formats, 1)
        }
        guard sent == 1 else { return false }
        ledger.sentStatement(index: index)
        return true
    }

    // MARK: Reading

    /// Takes every result that has arrived whole. False when the connection is condemned.
    private func readAvailable(_ ledger: inout PipelineLedger) -> Bool {
        while !ledger.isComplete, PQisBusy(pointer) == 0 {
            guard let raw = PQgetResult(pointer) else {
                // On a lost connection NULL comes for ever and the missing syncs never.
                guard PQstatus(pointer) != CONNECTION_BAD else {
                    condemn(ledger.lossReason ?? libraryError(.unknown))
                    return false
                }
                guard note(ledger.receive(.end)) else { return false }
                continue
            }
            let owner = ResultOwner(raw)
            largestBytes = max(largestBytes, owner.memoryBytes)
            guard let event = event(from: owner) else {
                condemn(.lost("the server answered with a status nobody asked for", outcome: .unknown))
                return false
            }
            guard note(ledger.receive(event)) else { return false }
        }
        return true
    }

    /// Condemns a connection that libpq gave up, after reading what the server had said before: answers that are
    /// whole still count, and the server's own reason is better than "closed unexpectedly".
    private func finishLost(_ ledger: inout PipelineLedger) {
        let fallback = libraryError(.unknown)
        _ = PQconsumeInput(pointer)
        if readAvailable(&ledger) { condemn(ledger.lossReason ?? fallback) }
    }

    private func event(from owner: ResultOwner) -> PipelineLedger.Event? {
        switch owner.status {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: .result(SQLResult(owner))
        case PGRES_PIPELINE_SYNC: .sync
        case PGRES_PIPELINE_ABORTED: .aborted
        case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE: .failure(owner.error())
        default: nil
        }
    }

    private func note(_ action: PipelineLedger.Action) -> Bool {
        switch action {
        case .none, .prepared: return true
        case .notPrepared(let name):
            statements.forget(name)
            return true
        case .violation:
            condemn(.lost("answers and statements do not match", outcome: .unknown))
            return false
        }
    }

    /// Flushes what libpq holds back, then waits for the server, for the time limit or for a wake-up.
    private func waitForServer(_ watch: Watch, _ ledger: inout PipelineLedger) {
        let flushed = PQflush(pointer)
        if flushed < 0 {
            finishLost(&ledger)
            return
        }
        switch watch() {
        case .giveUp(let error):
            isGivenUp = true
            condemn(error)
        case .wait(let until):
            let seen = waitForInput(orWrite: flushed > 0, until)
            if seen & CPG_FAILED != 0 { condemn(.lost("poll failed", outcome: .unknown)) }
            if seen & CPG_READABLE != 0, PQconsumeInput(pointer) == 0 { finishLost(&ledger) }
        }
    }
}

extension ResultOwner {
    /// The error this result holds, without anything that could quote data.
    func error() -> PostgresError {
        func field(_ field: cpg_field) -> String? { cpg_result_field(pointer, field).map { String(cString: $0) } }
        guard let state = field(CPG_FIELD_SQLSTATE) else {
            // Made by libpq itself: "server closed the connection unexpectedly" and the like.
            let text = PQresultErrorMessage(pointer).map { String(cString: $0) } ?? ""
            return .lost(PostgresError.oneLine(text), outcome: .unknown)
        }
        let row = SQLStateClass.lookUp(state)
        let kind = row?.kind ?? .unknown
        let severity = field(CPG_FIELD_SEVERITY)
        let endsSession = severity == "FATAL" || severity == "PANIC"
        let message = kind.showsServerMessage ? field(CPG_FIELD_MESSAGE) : nil
        return PostgresError(
            kind,
            outcome: endsSession ? .unknown : row?.outcome ?? .notApplied,
            message: message.map { PostgresError.oneLine($0) } ?? "the server refused the statement",
            sqlState: state,
            constraint: field(CPG_FIELD_CONSTRAINT),
            table: field(CPG_FIELD_TABLE),
            column: field(CPG_FIELD_COLUMN)
        )
    }
}
