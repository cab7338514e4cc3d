// Which answer belongs to which statement of a pipeline. Decides only; `Connection` does the reading.

/// Matches libpq's results, by position, with what was sent.
///
/// Per statement come results, then an end (NULL); per sync one result with no end behind it. All between two syncs is
/// one transaction ("group"): it is applied when its sync comes and no error came since the sync before. An error of
/// the commit itself stands between the last end and the sync.
struct PipelineLedger {
    enum Event {
        case result(SQLResult)
        case failure(PostgresError)
        /// Skipped by the server after an error.
        case aborted
        /// NULL of `PQgetResult`
        case end
        case sync
    }
    enum Action: Equatable {
        case none
        /// The server has this name now.
        case prepared(String)
        /// It has not.
        case notPrepared(String)
        /// An answer nobody asked for: the connection cannot be trusted any more.
        case violation
    }
    struct Group {
        var results: [SQLResult] = []
        var error: PostgresError?
        /// Which statement of the group the error belongs to; nil: its commit, or a part of ours.
        var failedStatement: Int?
        var isSyncSent = false
        var isComplete = false
    }
    private enum Expected {
        case prepare(String)
        /// `index` is nil for statements of ours whose result nobody wants.
        case statement(index: Int?)
        case sync
    }

    private(set) var groups: [Group] = []
    private var expected: [Expected] = []
    private var head = 0
    private var current = 0
    /// Whether the head has had a result, and whether all of them were good.
    private var isAnswered = false
    private var isGood = true
    /// Ends without a result before them. libpq gives them for ever once a connection is lost.
    private var emptyEnds = 0

    var isComplete: Bool { head == expected.count }

    /// What the server said of the end of the session, if it said anything.
    var lossReason: PostgresError? {
        guard current < groups.count, let error = groups[current].error, error.outcome == .unknown else { return nil }
        return error
    }

    // MARK: What was sent

    mutating func beginGroup() { groups.append(Group()) }
    mutating func sentPrepare(_ name: String) { expected.append(.prepare(name)) }
    mutating func sentStatement(index: Int?) { expected.append(.statement(index: index)) }
    mutating func sentSync() {
        expected.append(.sync)
        groups[groups.count - 1].isSyncSent = true
    }

    // MARK: What came back

    mutating func receive(_ event: Event) -> Action {
        guard head < expected.count else { return .violation }
        switch (event, expected[head]) {
        case (.sync, .sync):
            groups[current].isComplete = true
            current += 1
            advance()
        case (.sync, _), (.result, .sync), (.aborted, .sync): return .violation
        case (.end, .sync): return endWithoutResult()
        case (.end, let item):
            guard isAnswered else { return endWithoutResult() }
            let wasGood = isGood
            advance()
            if case .prepare(let name) = item { return wasGood ? .prepared(name) : .notPrepared(name) }
        case (.result(let result), let item):
            if case .statement(index: .some) = item { groups[current].results.append(result) }
            isAnswered = true
        case (.aborted, _):
            isAnswered = true
            isGood = false
        case (.failure(let error), let item):
            isAnswered = true
            isGood = false
            // The first error tells why; later ones only follow from it.
            if groups[current].error == nil {
                groups[current].error = error
                if case .statement(let index) = item { groups[current].failedStatement = index }
            }
        }
        emptyEnds = 0
        return .none
    }

    private mutating func endWithoutResult() -> Action {
        emptyEnds += 1
        return emptyEnds > 2 ? .violation : .none
    }

    private mutating func advance() {
        head += 1
        isAnswered = false
        isGood = true
        emptyEnds = 0
    }
}
