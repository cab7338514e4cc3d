// A named thread of ours: C libraries wait here, never on Swift's shared pool.

import CLinux

/// Runs one closure on its own thread.
///
/// The thread blocks every asynchronous signal, so that only the main thread, which waits for them, gets any. It goes
/// on when this object is dropped without a ``join()``.
package final class WorkerThread: Sendable {
    private let handle: UInt64
    private let joined = Locked(false)

    /// - Parameters:
    ///   - name: At most 15 bytes are shown by `ps` and `perf`.
    ///   - stackBytes: 512 KiB is ample where nothing recurses on input.
    package init(name: String, stackBytes: Int = 512 * 1024, _ body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(Start(body: body))
        var handle: UInt64 = 0
        let result = clinux_thread_start(&handle, name, stackBytes, threadBody, start.toOpaque())
        precondition(result == 0, "the system refused a thread: errno \(result)")
        self.handle = handle
    }

    deinit {
        // A thread nobody joins would keep its stack after its end.
        if !joined.withLock({ $0 }) { clinux_thread_detach(handle) }
    }

    /// Blocks until the closure has returned. A second call returns at once; never call it on the thread itself.
    package func join() {
        let first = joined.withLock { joined in
            defer { joined = true }
            return !joined
        }
        if first { _ = clinux_thread_join(handle) }
    }

    package var isCurrent: Bool { clinux_thread_self() == handle }
}

private final class Start: Sendable {
    let body: @Sendable () -> Void
    init(body: @escaping @Sendable () -> Void) { self.body = body }
}

private func threadBody(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context { Unmanaged<Start>.fromOpaque(context).takeRetainedValue().body() }
    return nil
}
