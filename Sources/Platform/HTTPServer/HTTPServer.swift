// The listener: opens the socket, runs the loop on a thread of its own, drains and stops it.

package import Basics
import CMicrohttpd
import Glibc

/// An HTTP/1.1 server on one port with one thread.
///
/// Made listening, so that a taken port is known before anything else starts; serving begins with ``start()``.
/// The process must ignore `SIGPIPE`.
package final class HTTPServer: Sendable {
    private enum Stage {
        case listening(HTTPLoop)
        case starting
        case serving(WorkerThread)
        case stopped
    }

    /// The port in use: the system's choice when 0 was asked for.
    package let port: UInt16
    private let inbox: LoopInbox
    private let board: LoopBoard
    private let service: any HTTPService
    private let limits: Limits
    private let name: String
    private let stage: Locked<Stage>

    /// - Parameters:
    ///   - host: An address or name of this machine.
    ///   - name: Of the thread, at most 15 bytes.
    ///   - onEvent: Called on the loop's thread; must not block.
    package init(
        host: String,
        port: UInt16,
        limits: Limits = Limits(),
        service: any HTTPService,
        name: String = "http",
        clock: MonotonicClock = .system,
        wallClock: WallClock = .system,
        onEvent: @escaping @Sendable (HTTPServerEvent) -> Void = { _ in }
    ) throws(HTTPServerError) {
        var bound: UInt16 = 0
        let listener = cmhd_listen(host, port, Self.backlog, &bound)
        guard listener >= 0 else { throw HTTPServerError(listener, host: host, port: port, systemError: errno) }
        let inbox = LoopInbox()
        let board = LoopBoard(budget: LargeBodyBudget(limit: limits.largeBodyBytes))
        let loop = HTTPLoop(
            limits: limits,
            service: service,
            inbox: inbox,
            board: board,
            clock: clock,
            wallClock: wallClock,
            onEvent: onEvent
        )
        guard loop.open(listener: listener) else {
            let reason = errno
            close(listener)
            throw HTTPServerError(code: .system, host: host, port: port, systemError: reason)
        }
        self.port = bound
        self.inbox = inbox
        self.board = board
        self.service = service
        self.limits = limits
        self.name = name
        // The loop is handed over whole: until `start` nobody runs it, afterwards its own thread alone.
        nonisolated(unsafe) let handedOver = loop
        stage = Locked(.listening(handedOver))
    }

    /// Newcomers that wait in the kernel while the loop is busy or at its connection limit.
    private static let backlog: Int32 = 1_024

    deinit {
        // Let go of without a stop. The loop holds no reference to this, so its own thread only comes here when a
        // service let go of the last one.
        if let thread = end(), !thread.isCurrent { thread.join() }
    }

    /// Begins to serve. A second call changes nothing.
    package func start() {
        let listening = stage.withLock { stage -> HTTPLoop? in
            guard case .listening(let loop) = stage else { return nil }
            stage = .starting
            return loop
        }
        guard let listening else { return }
        nonisolated(unsafe) let handedOver = listening
        let thread = WorkerThread(name: name) { handedOver.run() }
        let isWanted = stage.withLock { stage in
            guard case .starting = stage else { return false }
            stage = .serving(thread)
            return true
        }
        // Stopped meanwhile: the command is in the inbox.
        if !isWanted { thread.join() }
    }

    /// Refuses new connections, answers what is in hand with `Connection: close`, and blocks until every connection is
    /// gone or `deadline` comes. Connections with nothing in hand are closed at once. Waiting requests go on waiting.
    /// - Returns: Whether nothing is left.
    @discardableResult
    package func drain(until deadline: MonotonicInstant) -> Bool {
        let isServing = stage.withLock { stage in
            if case .serving = stage { true } else { false }
        }
        guard isServing else { return true }
        inbox.post(.drain)
        return board.drained.wait(until: deadline)
    }

    /// Ends the server: waiting requests get their timeout answer, connections close, the service ends its tasks.
    /// Blocks for at most about twice ``Limits/stopGrace``; never call it on the loop's thread. A second call returns.
    package func stop() {
        guard let thread = end() else { return }
        thread.join()
        // Not before: a task that is cancelled may answer what it would not have answered otherwise.
        service.ended(by: .system(after: limits.stopGrace))
    }

    /// Tells the loop to end; without a loop thread its remains are cleared here.
    /// - Returns: The loop's thread, to the first caller.
    private func end() -> WorkerThread? {
        let before = stage.withLock { stage in
            defer { stage = .stopped }
            return stage
        }
        switch before {
        case .listening(let loop): loop.close()
        case .starting: inbox.post(.stop)
        case .serving(let thread):
            inbox.post(.stop)
            return thread
        case .stopped: break
        }
        return nil
    }

    /// As of the end of the loop's last turn.
    package var metrics: HTTPServerMetrics {
        var metrics = board.metrics.withLock { $0 }
        metrics.lateCompletions += inbox.lateCompletions
        metrics.largeBodyBytes = board.budget.inUse
        return metrics
    }

    /// Blocks until the loop has made a whole turn, so that ``metrics`` shows what has happened: for tests.
    package func awaitTurn(until deadline: MonotonicInstant) -> Bool {
        let latch = Latch()
        inbox.post(.turn(latch))
        return latch.wait(until: deadline)
    }
}

extension HTTPServerError {
    fileprivate init(_ result: Int32, host: String, port: UInt16, systemError: Int32) {
        let code: Code =
            switch (result, systemError) {
            case (-2, _): .noSuchAddress
            case (_, EADDRINUSE): .portTaken
            case (_, EACCES): .notPermitted
            default: .system
            }
        self.init(code: code, host: host, port: port, systemError: result == -2 ? 0 : systemError)
    }
}

extension MonotonicInstant {
    static func system(after duration: Duration) -> MonotonicInstant { MonotonicClock.system.now() + duration }
}

/// What the loop shows to others.
final class LoopBoard: Sendable {
    let metrics = Locked(HTTPServerMetrics())
    let drained = Latch()
    let budget: LargeBodyBudget

    init(budget: LargeBodyBudget) { self.budget = budget }
}
