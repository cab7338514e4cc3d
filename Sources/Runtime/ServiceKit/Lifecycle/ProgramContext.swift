// What a program's wiring works with: its settings, logs, metrics, checks and the list of its components.

package import Basics

/// Handed to the closure that builds a program.
package struct ProgramContext: Sendable {
    /// The executable's name, also the name of its consumer group.
    package let name: String
    package let settings: Settings
    package let logger: Logger
    /// What stands for user ids in logs.
    package let logHash: LogHash
    package let metrics: MetricsRegistry
    package let health: Health
    package let lifecycle: Lifecycle

    package init(
        name: String,
        settings: Settings,
        logger: Logger,
        logHash: LogHash,
        metrics: MetricsRegistry,
        health: Health,
        lifecycle: Lifecycle
    ) {
        self.name = name
        self.settings = settings
        self.logger = logger
        self.logHash = logHash
        self.metrics = metrics
        self.health = health
        self.lifecycle = lifecycle
    }

    /// Adds a part of the program; parts start in this order and stop in the reverse one.
    package func add(_ component: Component) { lifecycle.add(component) }

    package func add(
        component name: String,
        start: @escaping @Sendable () throws -> Void = {},
        stop: @escaping @Sendable (_ deadline: MonotonicInstant) throws -> Void = { _ in }
    ) {
        lifecycle.add(Component(name, start: start, stop: stop))
    }

    /// Adds a part that is one task: cancelled at the stop; its own error fails the program, its return stops it.
    package func add(task name: String, _ body: @escaping @Sendable () async throws -> Void) {
        let lifecycle = lifecycle
        let ended: @Sendable ((any Error)?) -> Void = { error in
            guard let error else {
                lifecycle.requestStop("\(name) has ended")
                return
            }
            let failure = ProgramFailure(reporting: error)
            lifecycle.fail(failure.code, "\(name) ended: \(failure.message)")
        }
        lifecycle.add(.task(name, ended: ended, body))
    }

    /// Adds a wait for a dependency: alive and not ready until `attempt` succeeds, then `arrived` runs once.
    ///
    /// - Parameter attempt: Blocks at most until its deadline, on a thread of its own.
    package func add(
        waitFor name: String,
        attempt: @escaping @Sendable (_ deadline: MonotonicInstant) throws -> Void,
        arrived: @escaping @Sendable () throws -> Void = {}
    ) {
        let lifecycle = lifecycle
        let wait = DependencyWait(
            name,
            check: health.check(name),
            logger: logger.labelled("lifecycle"),
            attempt: attempt,
            arrived: arrived,
            failed: { error in
                let failure = ProgramFailure(reporting: error)
                lifecycle.fail(failure.code, "\(name): \(failure.message)")
            }
        )
        lifecycle.add(wait.component)
    }

    /// Called on the lifecycle's thread at each SIGHUP.
    package func onHangUp(_ handler: @escaping @Sendable () -> Void) { lifecycle.onReload(handler) }

    /// Ends the program: everything is stopped, one line says why, and the process exits with `code`.
    package func fail(_ code: ExitCode, _ message: String) { lifecycle.fail(code, message) }
}
