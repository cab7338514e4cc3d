// Where bodies too large for the shared pool are hashed and parsed.

package import Basics

/// Runs heavy, purely computing work on a few threads of its own.
///
/// The shared pool has a thread per core, and a body of tens of megabytes would keep one of them busy for tens of
/// milliseconds: every wait, timer and small request behind it would stand still.
package final class LargeBodies: Sendable {
    package enum Refusal: Error, Hashable, Sendable {
        /// More waits than the list holds. Try later.
        case overloaded
        case closed
    }

    /// For the whole process: as many threads as there are seats for large parsers.
    package static let shared = LargeBodies(threads: 2)

    /// Waiting jobs per thread. Callers bound their bodies by bytes long before that many are alive.
    private static let mostWaiting = 512

    private let lanes: [Lane]

    package init(threads: Int) {
        precondition(threads > 0, "work needs a thread")
        lanes = (0..<threads).map { Lane(name: "large-bodies-\($0)", capacity: Self.mostWaiting) }
    }

    deinit { for lane in lanes { lane.jobs.close() } }

    /// Runs `work` on one of the threads.
    ///
    /// - Throws: What `work` throws, ``Refusal``, or `CancellationError`; work already begun then ends unheard.
    package func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        let promise = Promise<Value>()
        let lane = lanes.min { $0.jobs.count < $1.jobs.count } ?? lanes[0]
        switch lane.jobs.push({ promise.resolve(Result(catching: work)) }) {
        case .accepted: return try await promise.value()
        case .full: throw Refusal.overloaded
        case .closed: throw Refusal.closed
        }
    }

    /// Refuses new work, finishes what waits, and returns when the threads have ended. Blocks; call it from none
    /// of them.
    package func close() {
        for lane in lanes { lane.jobs.close() }
        for lane in lanes { lane.thread.join() }
    }

    /// One thread and what waits for it.
    private struct Lane: Sendable {
        let jobs: Mailbox<@Sendable () -> Void>
        let thread: WorkerThread

        init(name: String, capacity: Int) {
            let jobs = Mailbox<@Sendable () -> Void>(capacity: capacity)
            self.jobs = jobs
            thread = WorkerThread(name: name) {
                var taken: [@Sendable () -> Void] = []
                while jobs.wait(into: &taken, until: .distantFuture) != .closed {
                    for job in taken { job() }
                    taken.removeAll(keepingCapacity: true)
                }
            }
        }
    }
}

extension JSON {
    /// Reads a report's facts: at once when the body is small, else on ``LargeBodies``.
    ///
    /// - Throws: ``JSONRefusal``, or what ``LargeBodies/run(_:)`` throws.
    package static func reportFacts(
        _ body: Bytes,
        query: ReportQuery,
        on threads: LargeBodies
    ) async throws -> ReportAnswers {
        guard body.count > smallBytes else { return try reportFacts(body, query: query) }
        return try await threads.run { try reportFacts(body, query: query) }
    }
}
