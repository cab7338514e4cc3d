// Services and a server for the tests over real sockets.

import Basics
import Glibc
import HTTPServer
import Testing

/// Takes `POST /hook` (and `/second`, so that a smuggled request would be seen), JSON only; remembers what it served.
final class HookService: HTTPService {
    struct Served: Equatable {
        let path: String
        let body: [UInt8]
    }
    let bodyLimit: Int
    let answers: @Sendable (Request, Exchange) -> RequestDecision
    private let log = Locked<[Served]>([])
    private let abandonments = Locked<[Exchange]>([])

    init(
        bodyLimit: Int = 1_024,
        answers: @escaping @Sendable (Request, Exchange) -> RequestDecision = { _, _ in .answer(.empty(200)) }
    ) {
        self.bodyLimit = bodyLimit
        self.answers = answers
    }

    var served: [Served] { log.withLock { $0 } }
    var abandoned: [Exchange] { abandonments.withLock { $0 } }

    func head(_ head: RequestHead) -> HeadDecision {
        guard head.path == "/hook" || head.path == "/second" else { return .answer(.empty(404)) }
        guard head.method == .post else { return .answer(.empty(405).adding("Allow", "POST")) }
        if head.hasContentCoding { return .answer(.empty(415)) }
        if let type = head.mediaType, type != "application/json" { return .answer(.empty(415)) }
        return .accept(bodyLimit: bodyLimit)
    }

    func request(_ request: Request, exchange: Exchange) -> RequestDecision {
        log.withLock { $0.append(Served(path: request.head.path, body: request.body.array)) }
        return answers(request, exchange)
    }

    func abandoned(_ exchange: Exchange) { abandonments.withLock { $0.append(exchange) } }
}

/// Values handed to one thread at a time, in order, each waited for with a deadline.
final class Handover<Value: Sendable>: Sendable {
    private let box = Mailbox<Value>(capacity: 100_000)
    /// Taken out of the box, not yet handed on.
    private let rest = Locked<[Value]>([])

    func put(_ value: Value) { _ = box.push(value) }

    func take(within limit: Duration = .seconds(10)) throws -> Value { try take(1, within: limit)[0] }

    func take(_ count: Int, within limit: Duration = .seconds(10)) throws -> [Value] {
        let deadline = MonotonicClock.system.now() + limit
        var values = rest.withLock { rest in
            defer { rest = [] }
            return rest
        }
        defer { rest.withLock { $0 = Array(values.dropFirst(count)) } }
        while values.count < count {
            guard box.wait(into: &values, until: deadline) == .elements else {
                throw RawClient.Failure("expected \(count) values, got \(values.count)")
            }
        }
        return Array(values.prefix(count))
    }
}

struct TestServer: Sendable {
    let server: HTTPServer
    var port: UInt16 { server.port }

    func client(patience: Duration = .seconds(10)) throws -> RawClient {
        try RawClient(port: server.port, patience: patience)
    }

    /// After everything that has already happened on the wire.
    var metrics: HTTPServerMetrics {
        #expect(server.awaitTurn(until: MonotonicClock.system.now() + .seconds(10)))
        return server.metrics
    }

    /// Looks after each turn of the loop until `holds`, for events whose moment the wire does not show.
    func metrics(within limit: Duration = .seconds(10), where holds: (HTTPServerMetrics) -> Bool) -> HTTPServerMetrics {
        let deadline = MonotonicClock.system.now() + limit
        var seen = metrics
        while !holds(seen), MonotonicClock.system.now() < deadline { seen = metrics }
        return seen
    }
}

private let ignorePipeSignal: Void = { _ = signal(SIGPIPE, SIG_IGN) }()

/// Runs `body` against a server of its own on a thread of its own; stops the server whatever happens.
@discardableResult
func withServer<Result: Sendable>(
    _ service: any HTTPService,
    _ limits: HTTPServer.Limits = HTTPServer.Limits(),
    clock: MonotonicClock = .system,
    _ body: @escaping @Sendable (TestServer) throws -> Result
) async throws -> Result {
    _ = ignorePipeSignal
    return try await scenario {
        let server = try HTTPServer(host: "127.0.0.1", port: 0, limits: limits, service: service, clock: clock)
        server.start()
        defer { server.stop() }
        return try body(TestServer(server: server))
    }
}

func post(_ path: String = "/hook", _ body: String = "{}", headers: String = "") -> String {
    "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
}
