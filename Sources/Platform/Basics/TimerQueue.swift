// Waits of tasks: one thread, one heap of deadlines. `Task.sleep` makes a second task and a timer for each wait.

/// Identifies one scheduled call.
package struct TimerToken: Hashable, Sendable { fileprivate let id: UInt64 }

/// Calls closures at their time.
///
/// On the system clock a thread of its own waits for the earliest; on a ``ManualClock`` calls are made by whoever
/// advances it. Closures are short: push, resolve, signal.
package final class TimerQueue: Sendable {
    private struct Entry: Sendable {
        let at: MonotonicInstant
        let id: UInt64
        let fire: @Sendable () -> Void
    }
    private struct State {
        var heap = BinaryHeap<Entry> { ($0.at, $0.id) < ($1.at, $1.id) }
        var live: Set<UInt64> = []
        var nextID: UInt64 = 0
        var isClosed = false
    }
    private let monitor = Monitor(State())
    private let clock: MonotonicClock
    private let thread = Locked<WorkerThread?>(nil)

    /// The process's own, on the system clock; never closed.
    package static let shared = TimerQueue()

    package init() {
        clock = .system
        thread.withLock { [self] in $0 = WorkerThread(name: "timers") { [monitor] in TimerQueue.run(monitor) } }
    }

    /// A queue that lives on a test's clock and has no thread.
    package init(manual: ManualClock) {
        clock = manual.monotonic
        manual.onAdvance { [weak self] now in self?.fireDue(now) }
    }

    /// Calls `fire` at or soon after `deadline`, unless cancelled before.
    @discardableResult
    package func schedule(at deadline: MonotonicInstant, _ fire: @escaping @Sendable () -> Void) -> TimerToken {
        let (id, isFirst) = monitor.withLock { state in
            state.nextID += 1
            state.live.insert(state.nextID)
            let isFirst = state.heap.first.map { deadline < $0.at } ?? true
            state.heap.insert(Entry(at: deadline, id: state.nextID, fire: fire))
            return (state.nextID, isFirst)
        }
        if isFirst { monitor.signal() }
        return TimerToken(id: id)
    }

    /// Forgets a call that has not begun. The closure is freed at once only when it is the earliest; otherwise at
    /// its time, or when more than half of the heap is forgotten.
    package func cancel(_ token: TimerToken) {
        monitor.withLock { state in
            guard state.live.remove(token.id) != nil else { return }
            while let first = state.heap.first, !state.live.contains(first.id) { _ = state.heap.removeFirst() }
            if state.heap.count > 64, state.live.count * 2 < state.heap.count {
                let live = state.live
                state.heap.filter { live.contains($0.id) }
            }
        }
    }

    /// Suspends the calling task until `deadline`.
    /// - Throws: `CancellationError` as soon as the task is cancelled; nothing of the wait stays behind.
    package func sleep(until deadline: MonotonicInstant) async throws {
        let promise = Promise<Void>()
        let token = schedule(at: deadline) { promise.resolve(.success(())) }
        try await promise.value { [self] in cancel(token) }
    }

    package func sleep(for duration: Duration) async throws { try await sleep(until: clock.now() + duration) }

    /// Number of calls still to be made.
    package var count: Int { monitor.withLock { $0.live.count } }

    /// Ends the thread; what is scheduled is never called.
    package func close() {
        monitor.withLock { $0.isClosed = true }
        monitor.signal()
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }

    private func fireDue(_ now: MonotonicInstant) {
        while let fire = monitor.withLock({ TimerQueue.takeDue(&$0, now) }) { fire() }
    }

    private static func takeDue(_ state: inout State, _ now: MonotonicInstant) -> (@Sendable () -> Void)? {
        while let first = state.heap.first {
            guard state.live.contains(first.id) else {
                _ = state.heap.removeFirst()
                continue
            }
            guard first.at <= now else { return nil }
            _ = state.heap.removeFirst()
            state.live.remove(first.id)
            return first.fire
        }
        return nil
    }

    private enum Step { case fire(@Sendable () -> Void), end }

    private static func run(_ monitor: Monitor<State>) {
        while true {
            let earliest = monitor.withLock { $0.heap.first?.at ?? .distantFuture }
            let step = monitor.wait(until: earliest) { state -> Step? in
                if state.isClosed { return .end }
                if let fire = takeDue(&state, MonotonicClock.system.now()) { return .fire(fire) }
                // A new earliest deadline: leave, so that the wait is set anew.
                return (state.heap.first?.at ?? .distantFuture) < earliest ? .fire({}) : nil
            }
            switch step {
            case .fire(let fire): fire()
            case .end: return
            case nil: continue
            }
        }
    }
}

/// A binary heap, smallest first.
struct BinaryHeap<Element> {
    private var elements: [Element] = []
    private let precedes: (Element, Element) -> Bool

    init(precedes: @escaping (Element, Element) -> Bool) { self.precedes = precedes }

    var first: Element? { elements.first }
    var count: Int { elements.count }

    mutating func insert(_ element: Element) {
        elements.append(element)
        var child = elements.count - 1
        while child > 0, precedes(elements[child], elements[(child - 1) / 2]) {
            elements.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func removeFirst() -> Element {
        elements.swapAt(0, elements.count - 1)
        let removed = elements.removeLast()
        siftDown(0)
        return removed
    }

    mutating func filter(_ keep: (Element) -> Bool) {
        elements = elements.filter(keep)
        for index in stride(from: elements.count / 2, through: 0, by: -1) { siftDown(index) }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < elements.count && precedes(elements[child], elements[smallest]) { smallest = child }
            if smallest == parent { return }
            elements.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
