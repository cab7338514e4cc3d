// Tasks that work on answers: a bounded number, each owned here from its start to its end.

import Basics

final class AsyncExchanges: Sendable {
    private enum Entry {
        /// Begun; its task object is not known yet.
        case starting
        /// To be cancelled as soon as it is known.
        case cancelled
        case running(Task<Void, Never>)
    }
    private struct State {
        var entries: [Exchange: Entry] = [:]
        var isEnding = false
    }
    private let state = Locked(State())
    private let limit: Int
    private let empty = Latch()

    init(limit: Int) { self.limit = limit }

    /// Starts a task that works on the answer of `exchange`.
    /// - Returns: False when the bound is reached or the end has come.
    func start(_ exchange: Exchange, _ work: @escaping @Sendable () async -> Void) -> Bool {
        let admitted = state.withLock { state in
            guard !state.isEnding, state.entries.count < limit else { return false }
            state.entries[exchange] = .starting
            return true
        }
        guard admitted else { return false }
        // Ended by itself, by `cancel` when its request's time is up, or by `end` with the server.
        let task = Task { [self] in
            await work()
            finished(exchange)
        }
        let mustCancel = state.withLock { state in
            switch state.entries[exchange] {
            case .starting: state.entries[exchange] = .running(task)
            case .cancelled:
                state.entries[exchange] = .running(task)
                return true
            case .running, nil: break
            }
            return false
        }
        if mustCancel { task.cancel() }
        return true
    }

    private func finished(_ exchange: Exchange) {
        let isLast = state.withLock { state in
            state.entries[exchange] = nil
            return state.isEnding && state.entries.isEmpty
        }
        if isLast { empty.open() }
    }

    func cancel(_ exchange: Exchange) {
        let task = state.withLock { state -> Task<Void, Never>? in
            if case .running(let task)? = state.entries[exchange] { return task }
            if state.entries[exchange] != nil { state.entries[exchange] = .cancelled }
            return nil
        }
        task?.cancel()
    }

    /// Cancels all and blocks until they have ended or the deadline comes; nothing starts any more.
    func end(by deadline: MonotonicInstant) {
        let exchanges = state.withLock { state in
            state.isEnding = true
            return Array(state.entries.keys)
        }
        if exchanges.isEmpty { return }
        for exchange in exchanges { cancel(exchange) }
        _ = empty.wait(until: deadline)
    }
}
