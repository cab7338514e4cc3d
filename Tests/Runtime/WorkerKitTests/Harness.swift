// A runtime whose broker, handler, dead letters and clock are in the test's hand.

import Basics
import Testing

@testable import Kafka
@testable import WorkerKit

struct TookTooLong: Error {}

/// Waits for something that another thread or task brings about, at most thirty seconds:
/// long enough for a machine that does much else.
func within<Value: Sendable>(
    _ limit: Duration = .seconds(30),
    _ body: @escaping @Sendable () async throws -> Value?
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await TimerQueue.shared.sleep(for: limit)
            throw TookTooLong()
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let value = first else { throw TookTooLong() }
        return value
    }
}

/// Runs blocking code on a thread of its own.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws -> Value {
    let promise = Promise<Value>()
    let thread = WorkerThread(name: "test") { promise.resolve(.success(body())) }
    defer { thread.join() }
    return try await within { try await promise.value() }
}

/// A broker that does what the test says, on the test's calls.
final class ScriptedBroker: ConsumerControl {
    struct Log: Sendable {
        var commits: [[TopicPartition: Int64]] = []
        var lastCommits: [[TopicPartition: Int64]] = []
        var paused: Set<TopicPartition> = []
        var pauseCalls = 0
        var resumeCalls = 0
        var assigned: [TopicPartition] = []
        var isClosed = false
    }
    let log = Locked(Log())
    let handler: any ConsumerHandler
    /// Set by ``wake()``; the wait of a revocation looks at it.
    let woken = EventDescriptor()
    private let epochs = Locked(UInt64(0))

    init(_ handler: any ConsumerHandler) { self.handler = handler }

    func start() {}
    func commit(_ offsets: [TopicPartition: Int64]) { log.withLock { $0.commits.append(offsets) } }
    func pause(_ partitions: [TopicPartition]) {
        log.withLock {
            $0.paused.formUnion(partitions)
            $0.pauseCalls += 1
        }
    }
    func resume(_ partitions: [TopicPartition]) {
        log.withLock {
            $0.paused.subtract(partitions)
            $0.resumeCalls += 1
        }
    }
    func wake() { woken.signal() }

    func assign(_ partitions: [TopicPartition]) {
        let epoch = epochs.withLock {
            $0 += 1
            return $0
        }
        log.withLock { $0.assigned = partitions }
        handler.assigned(partitions, epoch: epoch)
    }

    /// Waits as a poll thread would: blocks, on a thread of its own, at most `patience` of real time.
    func revoke(_ partitions: [TopicPartition], lost: Bool = false, patience: Duration = .seconds(5)) -> (
        offsets: [TopicPartition: Int64], waitedUntil: MonotonicInstant?, ranOut: Bool
    ) {
        var waitedUntil: MonotonicInstant?
        var ranOut = false
        let offsets = handler.revoked(partitions, lost: lost) { until, isDone in
            waitedUntil = until
            let limit = MonotonicClock.system.now() + patience
            while !isDone(), MonotonicClock.system.now() < limit {
                _ = woken.wait(until: limit)
                woken.drain()
            }
            ranOut = MonotonicClock.system.now() >= limit
        }
        log.withLock {
            $0.lastCommits.append(offsets)
            $0.assigned.removeAll { partitions.contains($0) }
            $0.paused.subtract(partitions)
        }
        return (offsets, waitedUntil, ranOut)
    }

    func close(until deadline: MonotonicInstant) -> Bool {
        let assigned = log.withLock { $0.assigned }
        if !assigned.isEmpty { _ = revoke(assigned, patience: .milliseconds(50)) }
        log.withLock { $0.isClosed = true }
        return true
    }
}

/// A handler whose every call waits for the test's answer.
final class ScriptedHandler: EventHandler {
    struct Call: Sendable {
        enum Kind: Sendable { case handle, expire }
        let kind: Kind
        let work: LaneWork
        let context: HandlerContext
        let answer: Promise<Outcome>
        var offsets: [Int64] { work.events.map(\.coordinates.offset) }
    }
    let calls = AsyncMailbox<Call>(capacity: 10_000)
    /// Answered at once when set.
    let standing = Locked<Outcome?>(nil)

    func handle(_ work: LaneWork, context: HandlerContext) async -> Outcome { await ask(.handle, work, context) }
    func expire(_ work: LaneWork, context: HandlerContext) async -> Outcome { await ask(.expire, work, context) }

    private func ask(_ kind: Call.Kind, _ work: LaneWork, _ context: HandlerContext) async -> Outcome {
        let call = Call(kind: kind, work: work, context: context, answer: Promise())
        _ = calls.push(call)
        if let standing = standing.withLock({ $0 }) { return standing }
        return (try? await call.answer.value()) ?? .retry(after: nil, reason: RetryReason("cancelled"))
    }

    func next() async throws -> Call { try await within { [calls] in await calls.next() } }
}

/// A dead letter sink whose every step waits for the test's answer.
final class ScriptedSink: DeadLetterSink {
    struct Step: Sendable {
        enum Kind: Sendable { case publish, record }
        let kind: Kind
        let letter: DeadLetter
        let answer: Promise<Void>
    }
    let steps = AsyncMailbox<Step>(capacity: 1_000)

    func publish(_ letter: DeadLetter) async throws { try await ask(.publish, letter) }
    func record(_ letter: DeadLetter) async throws { try await ask(.record, letter) }

    private func ask(_ kind: Step.Kind, _ letter: DeadLetter) async throws {
        let step = Step(kind: kind, letter: letter, answer: Promise())
        _ = steps.push(step)
        try await step.answer.value()
    }

    func next() async throws -> Step { try await within { [steps] in await steps.next() } }
}

/// Keeps what is observed, and tells the test when an attempt has ended.
final class Observations: WorkerObserver {
    let all = Locked<[WorkerObservation]>([])
    let endings = AsyncMailbox<WorkEnding>(capacity: 100_000)

    func observe(_ observation: WorkerObservation) {
        all.withLock { $0.append(observation) }
        if case .attempt(let ending, _, _, _) = observation { _ = endings.push(ending) }
    }

    func nextEnding() async throws -> WorkEnding { try await within { [endings] in await endings.next() } }
}

/// One runtime in a test.
final class Harness: Sendable {
    let clock = ManualClock()
    let timers: TimerQueue
    let handler = ScriptedHandler()
    let sink = ScriptedSink()
    let observations = Observations()
    let beats = AsyncMailbox<WorkerSnapshot>(capacity: 100)
    let runtime: ConsumerRuntime
    let broker: ScriptedBroker
    let partition = TopicPartition(topic: "source", partition: 0)
    let retries = TopicPartition(topic: "group.retry", partition: 0)

    init(limits: AdmissionLimits = AdmissionLimits(maxInFlight: 4), deadLetters: DeadLetterAllowance = .init()) throws {
        timers = TimerQueue(manual: clock)
        runtime = ConsumerRuntime(
            configuration: ConsumerRuntime.Configuration(
                core: WorkerCore.Settings(
                    group: "group",
                    limits: limits,
                    gaps: RetryGaps(base: .seconds(1), max: .seconds(300)),
                    deadLetters: deadLetters
                )
            ),
            environment: WorkerEnvironment(wall: clock.wall, monotonic: clock.monotonic, timers: timers, seed: 1),
            service: ConsumerRuntime.Service(
                handler: handler,
                deadLetters: sink,
                observer: observations,
                describe: { record in
                    // The value names the merge group; the header `age` moves the receipt back.
                    let text = record.value.string() ?? ""
                    let age = record.headers.first { $0.name == "age" }?.value.flatMap { $0.first } ?? 0
                    return EventRecord(
                        record: record,
                        receivedAt: record.timestamp - .seconds(Int(age) * 3_600),
                        lifetime: .seconds(24 * 3_600),
                        mergeRule: text == "" ? .alone : .together(text)
                    )
                },
                heartbeat: { [beats] in _ = beats.push($0) }
            )
        )
        let made = Locked<ScriptedBroker?>(nil)
        try runtime.start { handler in
            let broker = ScriptedBroker(handler)
            made.withLock { $0 = broker }
            return broker
        }
        broker = try #require(made.withLock { $0 })
    }

    /// Ends what a test leaves running; for every test's end, also after a failure.
    func stop(within limit: Duration = .seconds(2)) async throws -> Bool {
        handler.standing.withLock { $0 = .done }
        return try await onThread { [self] in runtime.stop(until: MonotonicClock.system.now() + limit) }
    }

    func deliver(
        _ offset: Int64,
        key: UInt8? = nil,
        kind: String = "",
        on partition: TopicPartition? = nil,
        hoursOld: UInt8 = 0
    ) {
        let partition = partition ?? self.partition
        runtime.received(
            ConsumerRecord(
                topic: partition.topic,
                partition: partition.partition,
                offset: offset,
                timestamp: clock.wall.now(),
                key: key.map { [$0] },
                value: Bytes(utf8: kind),
                headers: hoursOld == 0 ? [] : [KafkaHeader(name: "age", value: [hoursOld])]
            )
        )
    }

    func tick() { runtime.tick(clock.monotonic.now()) }

    /// Answers a call and waits until the runtime has dealt with it.
    @discardableResult
    func answer(_ call: ScriptedHandler.Call, _ outcome: Outcome) async throws -> WorkEnding {
        call.answer.resolve(.success(outcome))
        return try await observations.nextEnding()
    }

    /// Waits until a revocation waits for what runs.
    func revocationWaits() async throws {
        _ = try await within { [runtime] in
            while runtime.state.withLock({ $0.revoking.isEmpty }) { await Task.yield() }
            return true
        }
    }

    var commits: [[TopicPartition: Int64]] { broker.log.withLock { $0.commits } }
}

/// Runs a test with a runtime and stops that at the end, whatever happened.
func withHarness(
    limits: AdmissionLimits = AdmissionLimits(maxInFlight: 4),
    deadLetters: DeadLetterAllowance = .init(),
    _ body: (Harness) async throws -> Void
) async throws {
    let harness = try Harness(limits: limits, deadLetters: deadLetters)
    do {
        harness.broker.assign([harness.partition, harness.retries])
        try await body(harness)
    } catch {
        _ = try? await harness.stop()
        throw error
    }
    _ = try await harness.stop()
}
