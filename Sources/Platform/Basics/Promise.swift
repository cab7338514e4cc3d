// One operation, one continuation: how a C library's thread answers a waiting task.

/// The result of one operation, set once from any thread and awaited by one task.
///
/// The first of result and cancellation wins; what comes later is told so and changes nothing. Nothing is resumed
/// while a lock is held, since cancellation handlers run under the runtime's own lock.
package final class Promise<Value: Sendable>: Sendable {
    private enum Slot {
        case made
        case waiting(CheckedContinuation<Value, any Error>)
        case resolved(Result<Value, any Error>)
        case taken
    }
    private let slot = Locked(Slot.made)

    package init() {}

    /// Sets the result; false when one was set before, or the waiter has gone.
    @discardableResult
    package func resolve(_ result: Result<Value, any Error>) -> Bool {
        let (won, waiter) = slot.withLock { slot -> (Bool, CheckedContinuation<Value, any Error>?) in
            switch slot {
            case .made:
                slot = .resolved(result)
                return (true, nil)
            case .waiting(let continuation):
                slot = .taken
                return (true, continuation)
            case .resolved, .taken: return (false, nil)
            }
        }
        waiter?.resume(with: result)
        return won
    }

    /// Waits for the result. One task, once.
    ///
    /// - Parameter onCancel: Runs after the wait has ended with `CancellationError`, on any thread: tell the
    ///   library to stop. The operation may still take effect.
    package func value(onCancel: @escaping @Sendable () -> Void = {}) async throws -> Value {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let ready = slot.withLock { slot -> Result<Value, any Error>? in
                    switch slot {
                    case .made:
                        slot = .waiting(continuation)
                        return nil
                    case .resolved(let result):
                        slot = .taken
                        return result
                    case .waiting, .taken: return .failure(PromiseMisuse.awaitedTwice)
                    }
                }
                if let ready { continuation.resume(with: ready) }
            }
        } onCancel: {
            if resolve(.failure(CancellationError())) { onCancel() }
        }
    }
}

private enum PromiseMisuse: Error { case awaitedTwice }
