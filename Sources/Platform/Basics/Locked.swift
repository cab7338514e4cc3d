// The one lock of this project: a pthread mutex around a value, with the shape of `Synchronization.Mutex`.

import Glibc

/// A value behind a pthread mutex.
///
/// `Synchronization.Mutex` spins and then takes a priority-inheritance futex, which costs many times a pthread
/// mutex under contention on few cores, and thread sanitizers do not know it. The shape is the same, so that it
/// can replace this box in one file.
///
/// `State` is never a closure, nor an optional or a tuple of one: each access would wrap it once more and put it back
/// wrapped. A struct that holds one is fine.
///
/// Inside `withLock`: assignments only; no call-outs, no logging, no resuming, no other lock.
package final class Locked<State: ~Copyable>: @unchecked Sendable {
    // Sendable because `state` is touched only between lock and unlock of `mutex`.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private nonisolated(unsafe) var state: State

    package init(_ state: consuming sending State) {
        mutex = .allocate(capacity: 1)
        let result = pthread_mutex_init(mutex, nil)
        precondition(result == 0, "a pthread mutex could not be made")
        self.state = state
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs `body` with the state while holding the lock. Blocks as long as others hold it; not recursive.
    package func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state)
    }
}
