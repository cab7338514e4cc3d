// What the pool's tests share: a pool that is always closed, its events, deadlines, calls that may block.

import Basics
import Postgres
import TestSupport

/// Far enough for a busy machine; tests of deadlines say theirs.
func soon(_ limit: Duration = .seconds(20)) -> MonotonicInstant { MonotonicClock.system.now() + limit }

/// Runs a blocking call on a thread of its own, so that it does not hold one of the shared pool.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    let promise = Promise<Value>()
    let thread = WorkerThread(name: "test-blocking") { promise.resolve(Result { try body() }) }
    let result = await Result { try await promise.value() }
    thread.join()
    return try result.get()
}

extension Result where Failure == any Error {
    init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}

struct NoSuchEvent: Error { let seen: [PoolEvent] }

/// The events of a pool, and waiting for one.
final class EventLog: Sendable {
    private struct State {
        var events: [PoolEvent] = []
        var watchers: [(matches: @Sendable (PoolEvent) -> Bool, promise: Promise<PoolEvent>)] = []
    }
    private let state = Locked(State())

    func note(_ event: PoolEvent) {
        let found = state.withLock { state in
            state.events.append(event)
            let found = state.watchers.filter { $0.matches(event) }.map(\.promise)
            state.watchers.removeAll { $0.matches(event) }
            return found
        }
        for promise in found { promise.resolve(.success(event)) }
    }

    var all: [PoolEvent] { state.withLock { $0.events } }

    /// The first event, past or future, that matches.
    @discardableResult
    func first(within limit: Duration = .seconds(20), where matches: @escaping @Sendable (PoolEvent) -> Bool)
        async throws -> PoolEvent
    {
        let promise = Promise<PoolEvent>()
        state.withLock { state in
            if let event = state.events.first(where: matches) {
                promise.resolve(.success(event))
            } else {
                state.watchers.append((matches, promise))
            }
        }
        let token = TimerQueue.shared.schedule(at: soon(limit)) { [self] in
            promise.resolve(.failure(NoSuchEvent(seen: all)))
        }
        defer { TimerQueue.shared.cancel(token) }
        return try await promise.value()
    }
}

/// Lends a pool and closes it, whatever happens.
func withPool<Value: Sendable>(
    _ url: String,
    isStarted: Bool = true,
    configure: (inout PoolSettings) -> Void = { _ in },
    _ body: (PostgresPool, EventLog) async throws -> Value
) async throws -> Value {
    var settings = PoolSettings(connectionString: url, applicationName: "postgres-tests")
    settings.generalConnections = 1
    configure(&settings)
    let events = EventLog()
    let pool = try PostgresPool(settings: settings) { events.note($0) }
    if isStarted { pool.start() }
    let result = await Result { try await body(pool, events) }
    try await onThread { pool.close(until: soon(.seconds(2))) }
    return try result.get()
}

/// One connection for everything: what one operation does to it, the next one meets.
func singleConnection(_ settings: inout PoolSettings) {
    settings.generalConnections = 1
    settings.writeLanes = 0
    settings.largeLane = false
}

/// The error of an operation that must fail; records an issue and returns nil otherwise.
func failure(_ body: () async throws -> Void) async -> PostgresError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? PostgresError
    }
}
