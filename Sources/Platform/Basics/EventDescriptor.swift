// An eventfd: how one thread wakes another that waits in poll or epoll.

import CLinux
import Glibc

/// Owns one non-blocking eventfd.
package final class EventDescriptor: Sendable {
    package let fileDescriptor: Int32

    package init() {
        fileDescriptor = clinux_eventfd()
        precondition(fileDescriptor >= 0, "no file descriptor was left for an eventfd")
    }

    deinit { close(fileDescriptor) }

    /// Makes the descriptor readable. Callable from any thread; never blocks.
    package func signal() { clinux_eventfd_signal(fileDescriptor) }

    /// Makes it unreadable again.
    package func drain() { clinux_eventfd_drain(fileDescriptor) }

    /// Blocks the calling thread until signalled; false when the deadline came first. Does not drain.
    package func wait(until deadline: MonotonicInstant) -> Bool {
        clinux_wait_readable(fileDescriptor, deadline.nanoseconds) == 1
    }
}
