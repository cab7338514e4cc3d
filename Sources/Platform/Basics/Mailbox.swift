// Bounded hand-over of values to a thread, and to a task. A full box says so; nothing is dropped silently.

/// What became of a pushed element.
package enum PushResult: Sendable { case accepted, full, closed }

/// A bounded queue from many producers to one consuming thread, which takes all that waits at once.
package final class Mailbox<Element: Sendable>: Sendable {
    package enum WaitResult: Sendable { case elements, timeout, closed }

    private struct State {
        var elements: [Element] = []
        var isClosed = false
    }
    private let monitor: Monitor<State>
    private let wake: EventDescriptor?
    package let capacity: Int

    /// - Parameter wake: Signalled when the box goes from empty to filled, and by ``close()``: for a consumer that
    ///   waits in poll or epoll. Without it the consumer waits in ``wait(into:until:)``.
    package init(capacity: Int, wake: EventDescriptor? = nil) {
        precondition(capacity > 0, "a mailbox holds at least one element")
        self.capacity = capacity
        self.wake = wake
        monitor = Monitor(State())
    }

    /// Never blocks.
    package func push(_ element: Element) -> PushResult {
        let (result, wasEmpty) = monitor.withLock { state -> (PushResult, Bool) in
            if state.isClosed { return (.closed, false) }
            if state.elements.count >= capacity { return (.full, false) }
            state.elements.append(element)
            return (.accepted, state.elements.count == 1)
        }
        if wasEmpty { signal() }
        return result
    }

    /// Takes everything that waits, in order, without blocking; false once the box is closed and empty.
    package func drain(into elements: inout [Element]) -> Bool {
        monitor.withLock { state in
            let open = !state.isClosed || !state.elements.isEmpty
            elements.append(contentsOf: state.elements)
            state.elements.removeAll(keepingCapacity: state.elements.count <= 1_024)
            return open
        }
    }

    /// Blocks the consuming thread until something waits, the box is closed, or the deadline comes.
    package func wait(into elements: inout [Element], until deadline: MonotonicInstant) -> WaitResult {
        let ready = monitor.wait(until: deadline) { state -> Bool? in
            state.elements.isEmpty && !state.isClosed ? nil : true
        }
        guard ready != nil else { return .timeout }
        let before = elements.count
        let open = drain(into: &elements)
        if elements.count > before { return .elements }
        return open ? .timeout : .closed
    }

    /// Refuses what comes later; what waits can still be taken.
    package func close() {
        monitor.withLock { $0.isClosed = true }
        signal()
    }

    package var count: Int { monitor.withLock { $0.elements.count } }

    private func signal() {
        if let wake { wake.signal() }
        monitor.broadcast()
    }
}

/// A bounded queue from many producers to one consuming task.
package final class AsyncMailbox<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var head = 0
        var isClosed = false
        var waiter: CheckedContinuation<Element?, Never>?
        var isCancelled = false
    }
    private let state = Locked(State())
    package let capacity: Int

    package init(capacity: Int) {
        precondition(capacity > 0, "a mailbox holds at least one element")
        self.capacity = capacity
    }

    /// Never blocks; wakes the consumer when it waits.
    package func push(_ element: Element) -> PushResult {
        let (result, waiter) = state.withLock { state -> (PushResult, CheckedContinuation<Element?, Never>?) in
            if state.isClosed { return (.closed, nil) }
            if let waiter = state.waiter {
                state.waiter = nil
                return (.accepted, waiter)
            }
            if state.elements.count - state.head >= capacity { return (.full, nil) }
            state.elements.append(element)
            return (.accepted, nil)
        }
        waiter?.resume(returning: element)
        return result
    }

    /// The next element in order; nil once the box is closed and empty, or when the calling task is cancelled.
    /// One task at a time may wait.
    package func next() async -> Element? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state -> Element?? in
                    if state.head < state.elements.count {
                        let element = state.elements[state.head]
                        state.head += 1
                        // Taken elements leave in bulk, so that each leaves at constant cost.
                        if state.head >= 256 || state.head == state.elements.count {
                            state.elements.removeFirst(state.head)
                            state.head = 0
                        }
                        return .some(element)
                    }
                    if state.isClosed || state.isCancelled { return .some(nil) }
                    precondition(state.waiter == nil, "one task consumes an AsyncMailbox")
                    state.waiter = continuation
                    return nil
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.isCancelled = true
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(returning: nil)
        }
    }

    /// Refuses what comes later; what waits can still be taken.
    package func close() {
        let waiter = state.withLock { state in
            state.isClosed = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: nil)
    }

    package var count: Int { state.withLock { $0.elements.count - $0.head } }
}
