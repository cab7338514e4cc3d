// What a program does once, on its main thread, before anything else; and how that thread waits for signals.

import CLinux

package enum ProcessSignal: Sendable { case terminate, interrupt, hangUp, wake }

package enum ProcessSetup {
    /// Few malloc arenas, fixed thresholds. Before any thread exists.
    package static func tuneAllocator() { clinux_tune_allocator() }

    /// Blocks SIGTERM, SIGINT, SIGHUP and SIGUSR2 here and in every thread made later, and ignores SIGPIPE.
    package static func claimSignals() {
        clinux_block_signals()
        clinux_ignore_sigpipe()
    }

    /// Blocks the main thread until one of the claimed signals comes; nil when the deadline came first.
    package static func waitForSignal(until deadline: MonotonicInstant = .distantFuture) -> ProcessSignal? {
        while true {
            let number =
                deadline == .distantFuture ? clinux_wait_signal() : clinux_wait_signal_until(deadline.nanoseconds)
            switch number {
            case 0: return nil
            case 15: return .terminate
            case 2: return .interrupt
            case 1: return .hangUp
            case 12: return .wake
            default: continue
            }
        }
    }

    /// Makes the main thread's ``waitForSignal(until:)`` return `.wake`. From any thread.
    package static func wakeMainThread() { clinux_wake_main_thread() }

    /// Ends the process without exit handlers: OpenSSL's would free locks that running threads still use.
    package static func exitNow(_ code: Int32) -> Never {
        clinux_exit_now(code)
        preconditionFailure("the process has ended")
    }

    /// Raises the soft limit of open files as far as the hard one allows; the limit then in force.
    package static func raiseOpenFileLimit(to wanted: Int) -> Int {
        Int(clamping: clinux_raise_open_file_limit(UInt64(max(0, wanted))))
    }

    /// Resident memory in bytes, nil without /proc.
    package static var residentBytes: Int? {
        let bytes = clinux_resident_bytes()
        return bytes < 0 ? nil : Int(bytes)
    }
    package static var openFileCount: Int { Int(clinux_open_file_count()) }
    package static var threadCount: Int { Int(clinux_thread_count()) }
}
