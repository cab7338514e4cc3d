// Components started in order and stopped in reverse, on one thread of its own, within one deadline.

package import Basics

/// The life of a program between its first component's start and its last one's stop.
///
/// Nothing is called while the lock is held.
package final class Lifecycle: Sendable {
    /// This part of the grace is kept back, so that what follows the last stop still fits into it.
    static let reserveFraction = 10
    static let longestReserve = Duration.seconds(1)

    private struct State {
        var components: [Component] = []
        var reloads: [@Sendable () -> Void] = []
        var stopping: MonotonicInstant?
        var exitCode = ExitCode.success
        var isSealed = false
        var nowStopping: String?
    }

    private enum Command: Sendable { case stop, reload }

    private let state = Locked(State())
    /// Wakes the lifecycle's thread. Full means that it has yet to look, so a dropped command is not lost.
    private let commands = Mailbox<Command>(capacity: 8)
    private let grace: Duration
    private let clock: MonotonicClock
    private let logger: Logger
    private let health: Health
    /// Called once, when stopping begins, on the thread that asked for it.
    private let onStopping: @Sendable () -> Void

    package init(
        grace: Duration,
        logger: Logger,
        health: Health,
        clock: MonotonicClock = .system,
        onStopping: @escaping @Sendable () -> Void = {}
    ) {
        self.grace = grace
        self.logger = logger
        self.health = health
        self.clock = clock
        self.onStopping = onStopping
    }

    /// Adds a component after those already added. Only before ``run()``.
    package func add(_ component: Component) {
        state.withLock { state in
            precondition(!state.isSealed, "components are added before the program runs")
            state.components.append(component)
        }
    }

    /// Called on the lifecycle's thread after each ``requestReload()``, SIGHUP's meaning.
    package func onReload(_ handler: @escaping @Sendable () -> Void) {
        state.withLock { $0.reloads.append(handler) }
    }

    /// Begins the stop. False when it had begun already.
    @discardableResult
    package func requestStop(_ reason: String) -> Bool { requestStop(reason, code: .success) }

    /// Ends the program with `code` and one line. The first failure decides the code. From any thread.
    package func fail(_ code: ExitCode, _ message: String) {
        logger.critical("the program fails", metadata: ["error.message": "\(message)", "exit.code": number(code)])
        requestStop("failure", code: code)
    }

    package func requestReload() {
        _ = commands.push(.reload)
    }

    /// When the grace ends; nil before stopping began.
    package var graceEnd: MonotonicInstant? { state.withLock { $0.stopping } }

    /// The component whose stop is running, for the line that says why the grace ended in vain.
    package var nowStopping: String? { state.withLock { $0.nowStopping } }

    /// Starts everything, waits for the end, stops everything. Blocks; call once, on a thread of ours.
    /// Nothing of the components is kept afterwards.
    package func run() -> ExitCode {
        let components = state.withLock { state in
            state.isSealed = true
            return state.components
        }
        let started = start(components)
        if started.count == components.count {
            logger.info("started", metadata: ["components": .array(components.map { .string($0.name) })])
        }
        waitForStop()
        stop(started)
        return state.withLock { state in
            // Their closures often hold what holds this object.
            state.components = []
            state.reloads = []
            return state.exitCode
        }
    }

    // MARK: Steps

    private func start(_ components: [Component]) -> [Component] {
        var started: [Component] = []
        for component in components where graceEnd == nil {
            do {
                try component.start()
                started.append(component)
                logger.debug("component started", metadata: ["component": .string(component.name)])
            } catch {
                let failure = ProgramFailure(reporting: error)
                fail(failure.code, "\(component.name) did not start: \(failure.message)")
            }
        }
        return started
    }

    private func waitForStop() {
        var received: [Command] = []
        while graceEnd == nil {
            _ = commands.wait(into: &received, until: .distantFuture)
            // Several requests that came together are one reload.
            if received.contains(.reload), graceEnd == nil { reload() }
            received.removeAll()
        }
    }

    private func reload() {
        let handlers = state.withLock { $0.reloads }
        logger.info("reloading", metadata: ["handlers": .stringConvertible(handlers.count)])
        for handler in handlers { handler() }
    }

    private func stop(_ started: [Component]) {
        let end = graceEnd ?? clock.now() + grace
        let deadline = end + (.zero - min(grace / Self.reserveFraction, Self.longestReserve))
        for component in started.reversed() {
            state.withLock { $0.nowStopping = component.name }
            do {
                try component.stop(deadline)
                logger.debug("component stopped", metadata: ["component": .string(component.name)])
            } catch {
                unfinished(component, "\(error)")
            }
        }
        if clock.now() > end { unfinished(nil, "the grace ended before everything had stopped") }
    }

    private func unfinished(_ component: Component?, _ reason: String) {
        logger.error(
            "stopped with work in hand",
            metadata: ["component": .string(component?.name ?? "program"), "error.message": .string(reason)]
        )
        state.withLock { state in
            if state.exitCode == .success { state.exitCode = .internalError }
        }
    }

    @discardableResult
    private func requestStop(_ reason: String, code: ExitCode) -> Bool {
        let end = clock.now() + grace
        let isFirst = state.withLock { state in
            if state.exitCode == .success { state.exitCode = code }
            guard state.stopping == nil else { return false }
            state.stopping = end
            return true
        }
        if isFirst {
            health.beginDraining()
            logger.info("stopping", metadata: ["reason": .string(reason), "grace": .string(grace.settingText)])
            _ = commands.push(.stop)
            onStopping()
        }
        return isFirst
    }

    private func number(_ code: ExitCode) -> Logger.MetadataValue { .stringConvertible(Int(code.rawValue)) }
}
