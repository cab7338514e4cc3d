// What the suites share: a client and a server for one test, waits with deadlines, TLS in front of a server.

import Basics
import Glibc
import HTTPClient
import TestSupport
import Testing

struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Waits for a promise, but not longer than `limit`.
@discardableResult
func within<Value: Sendable>(_ limit: Duration, _ what: String, _ promise: Promise<Value>) async throws -> Value {
    let token = TimerQueue.shared.schedule(at: MonotonicClock.system.now() + limit) {
        promise.resolve(.failure(TestFailure("waited \(limit) for \(what)")))
    }
    defer { TimerQueue.shared.cancel(token) }
    return try await promise.value()
}

/// Runs blocking work on a thread of its own.
func blocking<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async throws -> Value {
    let promise = Promise<Value>()
    let thread = WorkerThread(name: "test-blocking") { promise.resolve(.success(work())) }
    defer { thread.join() }
    return try await within(.seconds(60), "blocking work", promise)
}

/// A signal from a script to a test, or back.
final class Signal: Sendable {
    private let promise = Promise<Void>()
    private let latch = Latch()

    func give() {
        promise.resolve(.success(()))
        latch.open()
    }

    /// For tests.
    func wait(_ what: String) async throws { try await within(.seconds(20), what, promise) }

    /// For scripts, on their own thread.
    @discardableResult
    func block() -> Bool { latch.wait(until: MonotonicClock.system.now() + .seconds(20)) }
}

/// Whether a scripted server is reached plainly or through TLS.
enum Transport: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case plain, tls
    var testDescription: String { rawValue }
}

/// One server, reached as `transport` says, and one client that trusts it.
final class Fixture: Sendable {
    let server: ScriptedServer
    let client: HTTPClient
    let clock: ManualClock?
    let front: TLSFront?
    let url: String

    private init(server: ScriptedServer, client: HTTPClient, clock: ManualClock?, front: TLSFront?, url: String) {
        self.server = server
        self.client = client
        self.clock = clock
        self.front = front
        self.url = url
    }

    /// Runs a test with a server that follows `script`, and ends both afterwards whatever happened.
    /// - Parameter clock: When given, the client's deadlines run on it instead of the system's.
    static func with(
        _ transport: Transport = .plain,
        clock: ManualClock? = nil,
        settings change: (inout HTTPClientSettings) -> Void = { _ in },
        script: @escaping ScriptedServer.Script,
        _ test: (Fixture) async throws -> Void
    ) async throws {
        let server = try ScriptedServer(script)
        let front = transport == .tls ? try await TLSFront.start(before: server.port) : nil
        var settings = HTTPClientSettings(maxInFlight: 64, allowsPlainHTTP: true)
        if front != nil { settings.caFile = try await TestAuthority.shared().caFile }
        change(&settings)
        let client = try HTTPClient(
            settings: settings,
            clock: clock?.monotonic ?? .system,
            wallClock: clock?.wall ?? .system
        )
        let url = front.map { "https://localhost:\($0.port)/report" } ?? server.url
        let fixture = Fixture(server: server, client: client, clock: clock, front: front, url: url)
        let result: Result<Void, any Error>
        do { result = .success(try await test(fixture)) } catch {
            result = .failure(error)
        }
        try await blocking {
            client.close(grace: .zero)
            front?.stop()
            server.stop()
        }
        try result.get()
    }

    func request(
        _ change: (inout HTTPClientRequest) -> Void = { _ in }
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(
            url: url,
            headers: [("Content-Type", "application/json"), ("Plaid-Secret", .secret(Secret("sesame")))],
            body: Array("{\"user_id\":\"usr_1\"}".utf8),
            timeouts: HTTPTimeouts(
                connect: .seconds(15),
                firstByte: .seconds(120),
                stall: .seconds(30),
                whole: clock == nil ? .seconds(20) : .seconds(180)
            ),
            isRepeatable: true
        )
        change(&request)
        return request
    }

    func send(_ change: (inout HTTPClientRequest) -> Void = { _ in }) async throws(HTTPClientError)
        -> HTTPClientResponse
    {
        try await client.send(request(change))
    }

    /// Sends a request that must fail.
    func failure(_ change: (inout HTTPClientRequest) -> Void = { _ in }) async throws -> HTTPClientError {
        let response: HTTPClientResponse
        do { response = try await client.send(request(change)) } catch { return error }
        throw TestFailure("expected a failure, got status \(response.status) with \(response.body)")
    }
}

/// So many scripts at one place.
final class Barrier: Sendable {
    private let count: Int
    private let arrived = Locked(0)
    private let signal = Signal()

    init(_ count: Int) { self.count = count }

    /// Notes one arrival without waiting for the others.
    func note() {
        let isLast = arrived.withLock { arrived in
            arrived += 1
            return arrived == count
        }
        if isLast { signal.give() }
    }

    /// Blocks the script's thread until all are here.
    func arrive() {
        note()
        signal.block()
    }

    func wait(_ what: String) async throws { try await signal.wait(what) }
}

/// Looks again and again, with a deadline, for what nobody signals: figures of the client and of the budget.
func eventually(_ what: String, _ condition: () -> Bool) async throws {
    let deadline = MonotonicClock.system.now() + .seconds(20)
    while !condition() {
        guard MonotonicClock.system.now() < deadline else { throw TestFailure("waited in vain for \(what)") }
        try await TimerQueue.shared.sleep(until: MonotonicClock.system.now() + .milliseconds(5))
    }
}

extension BodyBudget {
    func waiters(_ count: Int) async throws {
        try await eventually("\(count) waiting bodies") { waiting >= count }
    }
}
