import Basics
import TestSupport
import Testing

@testable import ServiceKit

/// Runs a lifecycle on a thread and lets a test wait for its end.
private final class Run: Sendable {
    let lifecycle: Lifecycle
    let health = Health()
    let capture = LogCapture()
    let events = Locked<[String]>([])
    private let ended = Promise<ExitCode>()

    init(grace: Duration = .seconds(20)) {
        lifecycle = Lifecycle(grace: grace, logger: capture.logger(level: .trace), health: health)
    }

    func note(_ event: String) { events.withLock { $0.append(event) } }

    func add(_ name: String, start: @escaping @Sendable () throws -> Void = {}) {
        lifecycle.add(
            Component(
                name,
                start: { [self] in
                    note("start \(name)")
                    try start()
                },
                stop: { [self] _ in note("stop \(name)") }
            )
        )
    }

    func start() {
        _ = WorkerThread(name: "lifecycle") { [lifecycle, ended] in ended.resolve(.success(lifecycle.run())) }
    }

    func end() async throws -> ExitCode {
        let token = TimerQueue.shared.schedule(at: MonotonicClock.system.now() + .seconds(30)) { [ended] in
            ended.resolve(.failure(UnfinishedWork("the lifecycle did not end")))
        }
        defer { TimerQueue.shared.cancel(token) }
        return try await ended.value()
    }

    var log: [String] { events.withLock { $0 } }
    var text: String { capture.texts.joined() }
}

@Suite struct LifecycleTests {
    @Test func `starts in order, stops in reverse, and is not ready from the stop on`() async throws {
        let run = Run()
        let draining = Locked<Bool?>(nil)
        run.add("a")
        run.lifecycle.add(Component("probe", stop: { _ in draining.withLock { $0 = run.health.isDraining } }))
        run.add("b", start: { run.lifecycle.requestStop("test") })
        run.start()
        #expect(try await run.end() == .success)
        #expect(run.log == ["start a", "start b", "stop b", "stop a"])
        #expect(draining.withLock { $0 } == true)
        #expect(run.health.readiness().status == 503)
    }

    @Test func `a component that does not start stops those before it and decides the code`() async throws {
        let run = Run()
        run.add("a")
        run.add("b", start: { throw ProgramFailure(.unavailable, "the port is taken") })
        run.add("c")
        run.start()
        #expect(try await run.end() == .unavailable)
        #expect(run.log == ["start a", "start b", "stop a"])
        #expect(run.text.contains("the port is taken"))
    }

    @Test func `an unknown error at the start is internal, a configuration error is 78`() async throws {
        struct Odd: Error {}
        let odd = Run()
        odd.add("a", start: { throw Odd() })
        odd.start()
        #expect(try await odd.end() == .internalError)
        let wrong = Run()
        wrong.add("a", start: { throw ConfigurationError("HTTP_PORT", "is wrong") })
        wrong.start()
        #expect(try await wrong.end() == .configuration)
    }

    @Test func `a component can fail the program; the first failure decides`() async throws {
        let run = Run()
        run.add("a")
        run.add(
            "b",
            start: {
                run.lifecycle.fail(.unavailable, "broker gone")
                run.lifecycle.fail(.internalError, "and more")
            }
        )
        run.start()
        #expect(try await run.end() == .unavailable)
        #expect(run.log == ["start a", "start b", "stop b", "stop a"])
        #expect(run.text.contains("broker gone") && run.text.contains("and more"))
    }

    @Test func `a stop during the start leaves the rest unstarted`() async throws {
        let run = Run()
        run.add("a", start: { run.lifecycle.requestStop("early") })
        run.add("b")
        run.start()
        #expect(try await run.end() == .success)
        #expect(run.log == ["start a", "stop a"])
    }

    @Test func `only the first request begins the stop`() async throws {
        let began = Locked(0)
        let lifecycle = Lifecycle(
            grace: .seconds(5),
            logger: LogCapture().logger(),
            health: Health(),
            onStopping: { began.withLock { $0 += 1 } }
        )
        #expect(lifecycle.graceEnd == nil)
        #expect(lifecycle.requestStop("one"))
        let end = lifecycle.graceEnd
        #expect(end != nil)
        #expect(!lifecycle.requestStop("two"))
        #expect(lifecycle.graceEnd == end)
        #expect(began.withLock { $0 } == 1)
    }

    @Test func `components get a deadline a little before the grace ends`() async throws {
        let run = Run(grace: .seconds(10))
        let deadline = Locked<MonotonicInstant?>(nil)
        run.lifecycle.add(Component("a", stop: { given in deadline.withLock { $0 = given } }))
        run.lifecycle.requestStop("test")
        run.lifecycle.add(Component("never"))
        run.start()
        #expect(try await run.end() == .success)
        #expect(deadline.withLock { $0 } == nil, "what was not started is not stopped")

        let second = Run(grace: .seconds(10))
        second.lifecycle.add(
            Component(
                "a",
                start: { second.lifecycle.requestStop("test") },
                stop: { given in deadline.withLock { $0 = given } }
            )
        )
        second.start()
        #expect(try await second.end() == .success)
        let end = try #require(second.lifecycle.graceEnd)
        #expect(end - (try #require(deadline.withLock { $0 })) == .seconds(1))
    }

    @Test func `work left at the deadline is 70, and the others still stop`() async throws {
        let run = Run(grace: .milliseconds(300))
        run.add("first")
        run.lifecycle.add(
            .asynchronous("stuck", start: {}, stop: { _ in try await TimerQueue.shared.sleep(for: .seconds(60)) })
        )
        run.add("last", start: { run.lifecycle.requestStop("test") })
        run.start()
        #expect(try await run.end() == .internalError)
        #expect(run.log == ["start first", "start last", "stop last", "stop first"])
        #expect(run.text.contains("stopped with work in hand"))
    }

    @Test func `a stop that overruns the whole grace is 70`() async throws {
        let run = Run(grace: .milliseconds(100))
        run.lifecycle.add(
            Component(
                "slow",
                start: { run.lifecycle.requestStop("test") },
                stop: { _ in _ = Latch().wait(until: MonotonicClock.system.now() + .milliseconds(150)) }
            )
        )
        run.start()
        #expect(try await run.end() == .internalError)
    }

    @Test func `a reload calls the handlers on the lifecycle's thread and nothing stops`() async throws {
        let run = Run()
        let reloaded = Promise<Void>()
        run.lifecycle.onReload { run.note("reload") }
        run.lifecycle.onReload { reloaded.resolve(.success(())) }
        run.add("a")
        run.start()
        run.lifecycle.requestReload()
        try await reloaded.value()
        #expect(run.log.contains("reload"))
        #expect(!run.health.isDraining)
        run.lifecycle.requestStop("test")
        #expect(try await run.end() == .success)
    }
}

@Suite struct ComponentTests {
    private func context(_ run: Run) throws -> ProgramContext {
        ProgramContext(
            name: "test",
            settings: try Settings([], environment: [:]),
            logger: run.capture.logger(),
            logHash: LogHash(key: nil),
            metrics: MetricsRegistry(),
            health: run.health,
            lifecycle: run.lifecycle
        )
    }

    @Test func `a task is cancelled at the stop and waited for`() async throws {
        let run = Run()
        let started = Promise<Void>()
        try context(run).add(task: "loop") {
            started.resolve(.success(()))
            do {
                try await TimerQueue.shared.sleep(for: .seconds(600))
            } catch {
                run.note("cancelled")
                throw error
            }
        }
        run.start()
        try await started.value()
        run.lifecycle.requestStop("test")
        #expect(try await run.end() == .success)
        #expect(run.log == ["cancelled"])
    }

    @Test func `a task that fails fails the program with its code`() async throws {
        let run = Run()
        try context(run).add(task: "loop") { throw ProgramFailure(.unavailable, "fenced off") }
        run.start()
        #expect(try await run.end() == .unavailable)
        #expect(run.text.contains("fenced off"))
    }

    @Test func `a task that returns ends the program cleanly`() async throws {
        let run = Run()
        try context(run).add(task: "once") {}
        run.start()
        #expect(try await run.end() == .success)
    }

    @Test func `a dependency that is away leaves the program alive and not ready until it comes`() async throws {
        struct Away: Error, CustomStringConvertible { let description = "connection refused" }
        let run = Run()
        let attempts = Locked(0)
        let arrived = Promise<Void>()
        let during = Locked<HealthReport?>(nil)
        try context(run).add(
            waitFor: "postgres",
            attempt: { _ in
                let count = attempts.withLock { count in
                    count += 1
                    return count
                }
                if count == 2 { during.withLock { $0 = run.health.readiness() } }
                if count < 3 { throw Away() }
            },
            arrived: { arrived.resolve(.success(())) }
        )
        #expect(run.health.readiness().status == 503)
        run.start()
        try await arrived.value()
        let report = try #require(during.withLock { $0 })
        #expect(report.status == 503)
        #expect(report.entries.first?.state == .failing("connection refused"))
        #expect(run.health.readiness().status == 200)
        #expect(attempts.withLock { $0 } == 3)
        let lines = run.capture.texts.filter { $0.contains("waiting for a dependency") }
        #expect(lines.count == 1, "not a line for each attempt")
        run.lifecycle.requestStop("test")
        #expect(try await run.end() == .success)
    }

    @Test func `a wait ends at the stop`() async throws {
        let run = Run()
        let tried = Promise<Void>()
        try context(run).add(waitFor: "kafka") { _ in
            tried.resolve(.success(()))
            throw UnfinishedWork("away")
        }
        run.start()
        try await tried.value()
        run.lifecycle.requestStop("test")
        #expect(try await run.end() == .success)
    }

    @Test func `attempts slow down to five seconds, lines to one in thirty`() {
        var pace = RetryPace()
        var now = MonotonicInstant(nanoseconds: 0)
        var pauses: [Duration] = []
        var lines = 0
        for _ in 0..<20 {
            let step = pace.failed(at: now)
            pauses.append(step.pause)
            if step.isWorthALine { lines += 1 }
            now = now + step.pause
        }
        #expect(pauses.first == .milliseconds(250))
        #expect(zip(pauses, pauses.dropFirst()).allSatisfy { $0 <= $1 })
        #expect(pauses.last == .seconds(5))
        #expect(lines == 3)
    }
}
