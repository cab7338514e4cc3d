// State with a condition variable on the monotonic clock: what mailboxes, latches and timers are made of.

import CLinux

/// A lock and a condition over one value, for threads that wait. Tasks never wait here.
final class Monitor<State>: @unchecked Sendable {
    // Sendable because `state` is touched only between lock and unlock of `monitor`.
    private let monitor = clinux_monitor_new()
    private nonisolated(unsafe) var state: State

    init(_ state: sending State) { self.state = state }
    deinit { clinux_monitor_free(monitor) }

    func withLock<Result>(_ body: (inout State) -> Result) -> Result {
        clinux_monitor_lock(monitor)
        defer { clinux_monitor_unlock(monitor) }
        return body(&state)
    }

    func signal() { clinux_monitor_signal(monitor) }
    func broadcast() { clinux_monitor_broadcast(monitor) }

    /// Blocks until `body` gives a value; nil when the deadline came first. `body` runs under the lock.
    func wait<Result>(until deadline: MonotonicInstant, _ body: (inout State) -> Result?) -> Result? {
        clinux_monitor_lock(monitor)
        defer { clinux_monitor_unlock(monitor) }
        while true {
            if let result = body(&state) { return result }
            if !clinux_monitor_wait_until(monitor, deadline.nanoseconds) { return body(&state) }
        }
    }
}

/// Opens once, for any number of threads that wait for it.
package final class Latch: Sendable {
    private let monitor = Monitor(false)

    package init() {}

    package func open() {
        monitor.withLock { $0 = true }
        monitor.broadcast()
    }

    /// Blocks the calling thread until open; false when the deadline came first.
    package func wait(until deadline: MonotonicInstant) -> Bool {
        monitor.wait(until: deadline) { $0 ? true : nil } ?? false
    }

    package var isOpen: Bool { monitor.withLock { $0 } }
}
