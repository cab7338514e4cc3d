// One part of a program with a life of its own: a listener, a pool, a consumer.

package import Basics

/// A named pair of start and stop. Both run on the lifecycle's own thread and may block.
package struct Component: Sendable {
    package let name: String
    /// Brings the part to life and returns soon: a dependency that is away is waited for elsewhere
    /// (``DependencyWait``), not here. An error fails the program.
    package let start: @Sendable () throws -> Void
    /// Takes no new work, finishes what is in hand, and returns by `deadline`. An error says that work was left.
    package let stop: @Sendable (_ deadline: MonotonicInstant) throws -> Void

    package init(
        _ name: String,
        start: @escaping @Sendable () throws -> Void = {},
        stop: @escaping @Sendable (_ deadline: MonotonicInstant) throws -> Void = { _ in }
    ) {
        self.name = name
        self.start = start
        self.stop = stop
    }
}

/// A component did not finish by its deadline.
package struct UnfinishedWork: Error, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

extension Component {
    /// A part whose start and stop are asynchronous; the lifecycle's thread waits for them.
    ///
    /// - Parameter startLimit: How long the start may take before the program fails.
    package static func asynchronous(
        _ name: String,
        clock: MonotonicClock = .system,
        startLimit: Duration = .seconds(60),
        start: @escaping @Sendable () async throws -> Void,
        stop: @escaping @Sendable (_ deadline: MonotonicInstant) async throws -> Void
    ) -> Component {
        Component(
            name,
            start: { try AwaitedTask(start).wait(until: clock.now() + startLimit, what: "\(name) did not start") },
            stop: { deadline in
                try AwaitedTask { try await stop(deadline) }.wait(until: deadline, what: "\(name) did not stop")
            }
        )
    }

    /// A part that is one task: it begins at the start, and stopping cancels it and waits for its end.
    ///
    /// - Parameter ended: Called once when the task ends by itself: with nil after a return, else with its error.
    package static func task(
        _ name: String,
        ended: @escaping @Sendable ((any Error)?) -> Void,
        _ body: @escaping @Sendable () async throws -> Void
    ) -> Component {
        let running = Locked<AwaitedTask?>(nil)
        return Component(
            name,
            start: {
                let task = AwaitedTask {
                    do {
                        try await body()
                    } catch {
                        if !Task.isCancelled { ended(error) }
                        throw error
                    }
                    if !Task.isCancelled { ended(nil) }
                }
                running.withLock { $0 = task }
            },
            stop: { deadline in
                guard let task = running.withLock({ $0 }) else { return }
                task.cancel()
                do {
                    try task.wait(until: deadline, what: "\(name) did not end")
                } catch is CancellationError {
                    // The answer to our own cancellation.
                }
            }
        )
    }
}

/// A task that a thread of ours waits for. Never used on the shared pool.
final class AwaitedTask: Sendable {
    private let finished: Latch
    private let result: Locked<Result<Void, any Error>?>
    private let task: Task<Void, Never>

    init(_ body: @escaping @Sendable () async throws -> Void) {
        let finished = Latch()
        let result = Locked<Result<Void, any Error>?>(nil)
        self.finished = finished
        self.result = result
        // Ended by its component's stop, which cancels or awaits it by a deadline.
        task = Task.detached {
            let outcome: Result<Void, any Error>
            do {
                outcome = .success(try await body())
            } catch {
                outcome = .failure(error)
            }
            result.withLock { $0 = outcome }
            finished.open()
        }
    }

    func cancel() { task.cancel() }

    /// Blocks until the task has ended, and throws what it threw; at the deadline cancels it and throws.
    func wait(until deadline: MonotonicInstant, what: String) throws {
        guard finished.wait(until: deadline), let result = result.withLock({ $0 }) else {
            task.cancel()
            throw UnfinishedWork("\(what) in time")
        }
        try result.get()
    }
}
