// The consumer runtime as a part of the program: it begins when the schema is there, ends with the program, and tells
// the operators' table and the health checks how it is.

import Basics
import Glibc
import Kafka
import PipelineEvents
import Postgres
import ReportStore
import ServiceKit
import WorkerKit

/// Runs one consumer of one group.
final class Worker: Sendable {
    private let context: ProgramContext
    private let pool: PostgresPool
    private let repository: WorkerRepository
    private let row: WorkerRow
    /// Set when the schema has come.
    private let running = Locked<(runtime: ConsumerRuntime, consumer: Consumer)?>(nil)

    /// How long the schema is asked for in one attempt, and a heartbeat may take.
    private static let queryLimit = Duration.seconds(4)

    init(context: ProgramContext, group: ConsumerGroup, pool: PostgresPool) {
        self.context = context
        self.pool = pool
        repository = WorkerRepository(pool: pool)
        var random = SystemRandomNumberGenerator()
        row = WorkerRow(
            id: Hex.encode((0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }),
            consumerGroup: group.rawValue,
            host: Self.hostName,
            processID: getpid(),
            version: Program.version,
            startedAt: WallClock.system.now()
        )
    }

    /// Adds the runtime to the program: it waits for the schema, then joins the group.
    func run(
        _ runtime: ConsumerRuntime,
        connect: @escaping @Sendable (any ConsumerHandler) throws -> Consumer
    ) {
        context.health.measure("consumer-group") { [self] in readiness() }
        context.health.measureLiveness("worker") {
            runtime.snapshot.stuck().map { .failing($0) } ?? .passing
        }
        // Added before the wait, so that it stops after it: a wait that has ended starts nothing any more.
        context.add(
            component: "worker",
            stop: { [self] deadline in
                guard let runtime = running.withLock({ $0?.runtime }) else { return }
                let finished = runtime.stop(until: deadline)
                removeRow(deadline)
                guard finished else { throw UnfinishedWork("events were still in hand; another member repeats them") }
            }
        )
        context.add(
            waitFor: "schema",
            attempt: { [pool] deadline in try Self.requireSchema(pool, deadline) },
            arrived: { [self] in
                try runtime.start { handler in
                    let consumer = try connect(handler)
                    running.withLock { $0 = (runtime, consumer) }
                    return consumer
                }
            }
        )
    }

    /// Writes this process's row; an error is told by the health checks of the database itself.
    func beat(_ snapshot: WorkerSnapshot) async {
        var row = row
        row.assignment = snapshot.partitions.map { "\($0.partition.topic):\($0.partition.partition)" }.sorted()
        row.inFlight = snapshot.inFlight
        row.openBreakers = snapshot.pauseReason.map { [$0] } ?? []
        row.oldestEventAt = snapshot.oldestReceivedAt
        row.earliestDeadline = snapshot.earliestDeadline
        try? await repository.heartbeat(row, deadline: MonotonicClock.system.now() + Self.queryLimit)
    }

    /// In the group, and nothing holds all work: measured now. A member may well have no partition.
    private func readiness() -> HealthState {
        guard let running = running.withLock({ $0 }) else { return .failing("not started: the schema is waited for") }
        if let reason = running.runtime.snapshot.pauseReason { return .failing(reason) }
        let state = running.consumer.state
        if state.isJoined { return .passing }
        return .failing(state.lastError.map { "not in the group: \($0)" } ?? "not yet in the group")
    }

    private func removeRow(_ deadline: MonotonicInstant) {
        let limit = min(deadline, MonotonicClock.system.now() + .seconds(1))
        let done = Latch()
        // Ends by its own deadline; this thread waits for it.
        Task.detached { [repository, row] in
            try? await repository.remove(id: row.id, deadline: limit)
            done.open()
        }
        _ = done.wait(until: limit)
    }

    /// Blocks the waiting thread; the answer comes from the pool's own.
    private static func requireSchema(_ pool: PostgresPool, _ deadline: MonotonicInstant) throws {
        let limit = min(deadline, MonotonicClock.system.now() + queryLimit)
        let answer = Locked<Result<SchemaVersion.State, any Error>?>(nil)
        let done = Latch()
        // Ends by its own deadline; this thread waits for it.
        Task.detached {
            let result: Result<SchemaVersion.State, any Error>
            do {
                result = .success(try await SchemaVersion.check(pool, deadline: limit))
            } catch {
                result = .failure(error)
            }
            answer.withLock { $0 = result }
            done.open()
        }
        guard done.wait(until: limit + .seconds(1)), let state = answer.withLock({ $0 }) else {
            throw UnfinishedWork("the database did not answer")
        }
        switch try state.get() {
        case .usable: return
        case .missing: throw UnfinishedWork("the database has no schema yet: checkctl migrate")
        case .older(let found):
            throw UnfinishedWork(
                "the schema is at \(found), this program needs \(SchemaVersion.required): checkctl migrate"
            )
        }
    }

    private static var hostName: String {
        let bytes = (try? FileContents.read("/proc/sys/kernel/hostname", limit: 256)) ?? []
        return String(validating: bytes.prefix { $0 != 0x0A }, as: UTF8.self) ?? "unknown"
    }
}
