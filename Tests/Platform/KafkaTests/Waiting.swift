// Waiting in tests: by signal with a deadline, and blocking calls on threads of their own.

import Basics

@testable import Kafka

/// State that tests wait on: each change looks at who waits.
final class Watched<State: Sendable>: Sendable {
    struct TimedOut: Error, CustomStringConvertible {
        let description: String
    }
    private struct Box {
        var state: State
        var waiters: [UInt64: @Sendable (State) -> Bool] = [:]
        var nextID: UInt64 = 0
    }
    private let box: Locked<Box>

    init(_ state: State) { box = Locked(Box(state: state)) }

    var value: State { box.withLock { $0.state } }

    func change(_ body: (inout State) -> Void) {
        box.withLock { box in
            body(&box.state)
            // Resolving a promise only resumes its task: no code of a test runs in here.
            for (id, waiter) in box.waiters where waiter(box.state) { box.waiters[id] = nil }
        }
    }

    /// The first value that `find` gives for a state, now or later.
    func first<Found: Sendable>(
        _ what: String,
        within limit: Duration = .seconds(20),
        _ find: @escaping @Sendable (State) -> Found?
    ) async throws -> Found {
        let promise = Promise<Found>()
        box.withLock { box in
            if let found = find(box.state) {
                promise.resolve(.success(found))
                return
            }
            box.nextID += 1
            box.waiters[box.nextID] = { state in
                guard let found = find(state) else { return false }
                promise.resolve(.success(found))
                return true
            }
        }
        let token = TimerQueue.shared.schedule(at: MonotonicClock.system.now() + limit) { [self] in
            promise.resolve(.failure(TimedOut(description: "\(what): not within \(limit); at last \(value)")))
        }
        defer { TimerQueue.shared.cancel(token) }
        return try await promise.value()
    }
}

/// Runs a blocking call away from the shared pool.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    let promise = Promise<Value>()
    let thread = WorkerThread(name: "test") { promise.resolve(Result { try body() }) }
    defer { _ = thread }
    return try await promise.value()
}

func soon(_ duration: Duration) -> MonotonicInstant { MonotonicClock.system.now() + duration }

/// How long something took.
func measured<Value>(_ body: () async throws -> Value) async rethrows -> (value: Value, took: Duration) {
    let start = MonotonicClock.system.now()
    let value = try await body()
    return (value, MonotonicClock.system.now() - start)
}

/// The failure of an operation that must fail with a ``KafkaError``.
func kafkaError(_ body: () async throws -> Void) async -> KafkaError? {
    do {
        try await body()
        return nil
    } catch { return error as? KafkaError }
}

/// Waits for a state of the library that no call-back announces: looks at it on a timer, with a deadline.
func eventually(
    _ what: String,
    within limit: Duration = .seconds(20),
    _ condition: @escaping @Sendable () -> Bool
) async throws {
    let deadline = soon(limit)
    while !condition() {
        if MonotonicClock.system.now() >= deadline {
            throw Watched<Int>.TimedOut(description: "\(what): not within \(limit)")
        }
        try await TimerQueue.shared.sleep(until: soon(.milliseconds(20)))
    }
}
