// Start means wait: a dependency that is away leaves the program alive and not ready until it comes.

package import Basics

/// Tries a dependency until it answers, on a thread of its own, and keeps a readiness check up to date meanwhile.
///
/// Once the dependency has answered this part is done; what measures it from then on belongs to its owner.
package final class DependencyWait: Sendable {
    /// How long one attempt may take.
    package static let attemptLimit = Duration.seconds(5)

    private let name: String
    private let check: HealthCheck
    private let logger: Logger
    private let clock: MonotonicClock
    private let attempt: @Sendable (_ deadline: MonotonicInstant) throws -> Void
    private let arrived: @Sendable () throws -> Void
    private let failed: @Sendable (any Error) -> Void
    private let stopped = Latch()
    private let finished = Latch()

    /// - Parameters:
    ///   - attempt: Blocks at most until its deadline; an error means "not yet".
    ///   - arrived: Called once after the first success; its error is handed to `failed`.
    package init(
        _ name: String,
        check: HealthCheck,
        logger: Logger,
        clock: MonotonicClock = .system,
        attempt: @escaping @Sendable (_ deadline: MonotonicInstant) throws -> Void,
        arrived: @escaping @Sendable () throws -> Void = {},
        failed: @escaping @Sendable (any Error) -> Void
    ) {
        self.name = name
        self.check = check
        self.logger = logger
        self.clock = clock
        self.attempt = attempt
        self.arrived = arrived
        self.failed = failed
    }

    package var component: Component {
        Component(
            name,
            start: { [self] in _ = WorkerThread(name: "wait-\(name)") { [self] in run() } },
            stop: { [self] deadline in
                stopped.open()
                guard finished.wait(until: deadline) else { throw UnfinishedWork("an attempt did not end in time") }
            }
        )
    }

    private func run() {
        defer { finished.open() }
        var pace = RetryPace()
        while !stopped.isOpen {
            do {
                try attempt(clock.now() + Self.attemptLimit)
            } catch {
                let step = pace.failed(at: clock.now())
                check.fail("\(error)")
                if step.isWorthALine {
                    logger.warning(
                        "waiting for a dependency",
                        metadata: ["dependency": .string(name), "error.message": .string("\(error)")]
                    )
                }
                if stopped.wait(until: clock.now() + step.pause) { return }
                continue
            }
            logger.info("a dependency is there", metadata: ["dependency": .string(name)])
            check.pass()
            do { try arrived() } catch { failed(error) }
            return
        }
    }
}

/// How long to pause between attempts, and which failures are worth a log line: the first and one in 30 seconds.
struct RetryPace: Sendable {
    static let shortest = Duration.milliseconds(250)
    static let longest = Duration.seconds(5)
    static let lineEvery = Duration.seconds(30)

    private var pause = RetryPace.shortest
    private var lastLine: MonotonicInstant?

    mutating func failed(at now: MonotonicInstant) -> (pause: Duration, isWorthALine: Bool) {
        let current = pause
        pause = min(pause * 2, Self.longest)
        let isWorthALine = lastLine.map { now - $0 >= Self.lineEvery } ?? true
        if isWorthALine { lastLine = now }
        return (current, isWorthALine)
    }
}
