// One operation on its way through a pool.

import Basics

/// What a caller waits for. Answered exactly once, by whoever comes first: a seat, the timer, the caller's own end.
final class PoolJob: PoolWork, Sendable {
    enum Operation: Sendable {
        case statements([SQLStatement], answer: @Sendable ([SQLResult]) -> Void)
        /// Runs on the connection's thread and returns what to do after the commit.
        case transaction(@Sendable (borrowing PostgresTransaction) throws -> @Sendable () -> Void)
    }
    private struct State {
        var isAnswered = false
        /// An earlier attempt may have been applied.
        var mayBeApplied = false
        var attempts = 0
        var timer: TimerToken?
    }

    let id: UInt64
    let role: SeatRole
    let byteCount: Int
    let sortKey: String
    let deadline: MonotonicInstant
    let operation: Operation
    /// May be sent again when its outcome is not known: an idempotent batch, or a read.
    let isRepeatable: Bool
    /// Changes nothing, so it may be cancelled on the server without making its outcome less clear.
    let isReading: Bool
    let maxAttempts: Int
    private let refuse: @Sendable (any Error) -> Void
    private let timers: TimerQueue
    private let state = Locked(State())

    init(
        id: UInt64,
        role: SeatRole,
        byteCount: Int,
        sortKey: String,
        deadline: MonotonicInstant,
        operation: Operation,
        isRepeatable: Bool,
        isReading: Bool,
        maxAttempts: Int,
        timers: TimerQueue,
        refuse: @escaping @Sendable (any Error) -> Void
    ) {
        self.id = id
        self.role = role
        self.byteCount = byteCount
        self.sortKey = sortKey
        self.deadline = deadline
        self.operation = operation
        self.isRepeatable = isRepeatable
        self.isReading = isReading
        self.maxAttempts = maxAttempts
        self.timers = timers
        self.refuse = refuse
    }

    var isAnswered: Bool { state.withLock { $0.isAnswered } }

    /// What is known of its effect when nothing more happens to it.
    var outcomeIfDropped: SQLOutcome { state.withLock { $0.mayBeApplied } ? .unknown : .notSent }

    func noteMayBeApplied() { state.withLock { $0.mayBeApplied = true } }

    /// Counts a try of the whole operation; returns how many there were.
    func noteAttempt() -> Int {
        state.withLock { state in
            state.attempts += 1
            return state.attempts
        }
    }

    func setTimer(_ token: TimerToken) {
        let isLate = state.withLock { state in
            state.timer = token
            return state.isAnswered
        }
        if isLate { timers.cancel(token) }
    }

    /// The caller has gone; nobody waits for an answer.
    func abandon() { _ = claim() }

    func succeed(_ deliver: @Sendable () -> Void) {
        if claim() { deliver() }
    }

    /// Answers with an error. What an earlier attempt may have done stays unknown, unless the values are at fault:
    /// then it was refused like this one.
    func fail(_ error: any Error) {
        guard claim() else { return }
        guard let error = error as? PostgresError else { return refuse(error) }
        let keepsDoubt = state.withLock { $0.mayBeApplied } && error.kind != .row
        refuse(keepsDoubt ? error.with(outcome: .unknown) : error)
    }

    private func claim() -> Bool {
        let (isFirst, timer) = state.withLock { state -> (Bool, TimerToken?) in
            defer {
                state.isAnswered = true
                state.timer = nil
            }
            return (!state.isAnswered, state.timer)
        }
        if let timer { timers.cancel(timer) }
        return isFirst
    }
}
