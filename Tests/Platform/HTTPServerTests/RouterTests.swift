// Routes over real sockets: matching, refusals, asynchronous handlers and their end.

import Basics
import Testing

@testable import HTTPServer

@Suite struct RouterTests {
    private static let routes: [Route] = [
        .get("/health/live") { _ in .text(200, "live") },
        Route(
            .post,
            "/v1/users",
            bodyLimit: 100,
            media: ["application/json"],
            handler: .immediate { request in .json(201, request.body.array) }
        ),
        .get("/v1/users") { request in .text(200, request.head.queryValue("after") ?? "all") },
        .get("/v1/users/{id}") { request in .text(200, request.parameters["id"] ?? "-") },
        .get("/v1/users/me") { _ in .text(200, "me") },
        Route(.delete, "/v1/users/{id}", handler: .immediate { _ in .empty(204) }),
        Route(
            .get,
            "/v1/users/{user}/reports/{report}",
            handler: .immediate { request in
                .text(200, (request.parameters["user"] ?? "-") + "/" + (request.parameters["report"] ?? "-"))
            }
        ),
        .get("/files/{path...}") { request in .text(200, request.parameters["path"] ?? "-") },
    ]

    private static func get(_ path: String, method: String = "GET", fields: String = "") -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let request: String
        let status: Int
        var text = ""
        var allow: String?
        var observed: String?

        init(
            _ name: String,
            _ request: String,
            _ status: Int,
            _ text: String = "",
            allow: String? = nil,
            observed: String? = nil
        ) {
            testDescription = name
            self.request = request
            self.status = status
            self.text = text
            self.allow = allow
            self.observed = observed
        }
    }

    static let cases: [Case] = [
        Case("literal", get("/health/live"), 200, "live", observed: "/health/live"),
        Case("head of a get", get("/health/live", method: "HEAD"), 200, "", observed: "/health/live"),
        Case("query", get("/v1/users?x=1&after=a%20b+c"), 200, "a b c", observed: "/v1/users"),
        Case("query without the parameter", get("/v1/users?afterx=1"), 200, "all", observed: "/v1/users"),
        Case("parameter", get("/v1/users/u_1"), 200, "u_1", observed: "/v1/users/{id}"),
        Case("decoded parameter", get("/v1/users/a%2Fb%C3%A9"), 200, "a/bé", observed: "/v1/users/{id}"),
        Case("literal wins", get("/v1/users/me"), 200, "me", observed: "/v1/users/me"),
        Case("two parameters", get("/v1/users/a/reports/b"), 200, "a/b", observed: "/v1/users/{user}/reports/{report}"),
        Case("method by pattern", get("/v1/users/a", method: "DELETE"), 204, observed: "/v1/users/{id}"),
        Case("rest", get("/files/a/b%2Fc"), 200, "a/b%2Fc", observed: "/files/{path...}"),
        Case("empty rest", get("/files/"), 200, "", observed: "/files/{path...}"),
        Case("empty parameter", get("/v1/users/"), 404),
        Case("parameter with a NUL", get("/v1/users/a%00"), 404),
        Case("parameter with a broken escape", get("/v1/users/a%4"), 404),
        Case("parameter that is not UTF-8", get("/v1/users/%ff"), 404),
        Case("unknown path", get("/v2"), 404),
        Case("too long a path", get("/health/live/x"), 404),
        Case("other method", get("/health/live", method: "DELETE"), 405, allow: "GET, HEAD"),
        Case("other method of two", get("/v1/users", method: "DELETE"), 405, allow: "GET, HEAD, POST"),
        Case("other method of a pattern", get("/v1/users/a", method: "PUT"), 405, allow: "DELETE, GET, HEAD"),
        Case(
            "body",
            post("/v1/users", "[1]", headers: "Content-Type: application/json\r\n"),
            201,
            "[1]",
            observed: "/v1/users"
        ),
        Case("body without a medium", post("/v1/users", "[1]"), 201, "[1]", observed: "/v1/users"),
        Case(
            "other medium",
            post("/v1/users", "[1]", headers: "Content-Type: text/json\r\n"),
            415,
            observed: "/v1/users"
        ),
        Case("coding", post("/v1/users", "[1]", headers: "Content-Encoding: identity\r\n"), 415, observed: "/v1/users"),
        Case(
            "size comes before medium",
            post("/v1/users", String(repeating: "x", count: 101), headers: "Content-Type: a/b\r\n"),
            413,
            observed: "/v1/users"
        ),
        Case(
            "body where none is taken",
            "GET /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
            413,
            observed: "/health/live"
        ),
    ]

    @Test(arguments: cases)
    func `routes`(_ example: Case) async throws {
        let observed = Handover<RouteObservation>()
        let router = Router(routes: Self.routes) { observed.put($0) }
        let answer = try await withServer(router) { server in
            let client = try server.client()
            client.send(example.request)
            if example.request.hasPrefix("HEAD") {
                // The length is that of the body which does not come.
                client.send(Self.get("/none"))
                let answers = try client.answersUntilClosed()
                return RawAnswer(status: answers.first?.status ?? 0, headers: [:], body: [])
            }
            return try client.answer()
        }
        #expect(answer.status == example.status)
        #expect(answer.text == example.text)
        #expect(answer.headers["allow"] == example.allow)
        #expect(try observed.take(1).first?.pattern == example.observed)
    }

    // MARK: Asynchronous handlers

    private static func asynchronous(
        timeout: Duration = .seconds(10),
        maxAsync: Int = 256,
        observe: (@Sendable (RouteObservation) -> Void)? = nil,
        _ handler: @escaping @Sendable (Request) async -> Response
    ) -> Router {
        Router(
            routes: [Route(.post, "/hook", handler: .async(timeout: timeout, handler))],
            maxAsync: maxAsync,
            observe: observe
        )
    }

    /// Suspends until it is cancelled.
    @Sendable private static func untilCancelled() async {
        try? await Promise<Void>().value()
    }

    @Test func `answers from a task`() async throws {
        let gate = Promise<Void>()
        let router = Self.asynchronous { request in
            try? await gate.value()
            return .json(200, request.body.array)
        }
        let answer = try await withServer(router) { server in
            let client = try server.client()
            client.send(post("/hook", "[7]"))
            #expect(server.metrics { $0.waiting == 1 }.waiting == 1)
            gate.resolve(.success(()))
            return try client.answer()
        }
        #expect(answer.status == 200)
        #expect(answer.text == "[7]")
    }

    @Test func `answers 503 and cancels the task when it takes too long`() async throws {
        let cancelled = Latch()
        let observed = Handover<RouteObservation>()
        let router = Self.asynchronous(timeout: .milliseconds(50), observe: { observed.put($0) }) { _ in
            await Self.untilCancelled()
            cancelled.open()
            return .empty(200)
        }
        let answer = try await withServer(router) { server in
            let client = try server.client()
            client.send(post())
            let answer = try client.answer()
            #expect(cancelled.wait(until: MonotonicClock.system.now() + .seconds(10)))
            return answer
        }
        #expect(answer.status == 503)
        #expect(answer.headers["retry-after"] == "1")
        #expect(try observed.take().status == 503)
    }

    @Test func `answers 429 beyond the number of tasks`() async throws {
        let router = Self.asynchronous(maxAsync: 2) { _ in
            await Self.untilCancelled()
            return .empty(200)
        }
        let answer = try await withServer(router) { server in
            let held = try (0..<2).map { _ in try server.client() }
            for client in held { client.send(post()) }
            #expect(server.metrics { $0.waiting == 2 }.waiting == 2)
            let client = try server.client()
            client.send(post())
            return try client.answer()
        }
        #expect(answer.status == 429)
    }

    @Test func `ends its tasks with the server`() async throws {
        let ended = Handover<Bool>()
        let router = Self.asynchronous { _ in
            await Self.untilCancelled()
            ended.put(Task.isCancelled)
            return .empty(200)
        }
        let statuses = try await withServer(router) { server in
            let clients = try (0..<5).map { _ in try server.client() }
            for client in clients { client.send(post()) }
            #expect(server.metrics { $0.waiting == 5 }.waiting == 5)
            server.server.stop()
            return try clients.map { try $0.answersUntilClosed().map(\.status) }
        }
        #expect(statuses == [[Int]](repeating: [503], count: 5))
        #expect(try ended.take(5, within: .zero) == [Bool](repeating: true, count: 5))
    }

    @Test func `serves many asynchronous requests on few connections`() async throws {
        let router = Self.asynchronous { request in
            await Task.yield()
            return .json(200, request.body.array)
        }
        let metrics = try await withServer(router) { server in
            let clients = try (0..<20).map { _ in try server.client() }
            for round in 0..<100 {
                for (index, client) in clients.enumerated() { client.send(post("/hook", "[\(round),\(index)]")) }
                for (index, client) in clients.enumerated() {
                    #expect(try client.answer().text == "[\(round),\(index)]")
                }
            }
            return server.metrics
        }
        #expect(metrics.requests == 2_000)
        #expect(metrics.lateCompletions == 0)
    }
}

@Suite struct ResponseTests {
    @Test func `reads its parts back`() {
        let response = Response.json(200, "{}").adding("X-A", "1").closing()
        #expect(response.header("content-TYPE") == "application/json")
        #expect(response.header("x-a") == "1")
        #expect(response.body == Array("{}".utf8))
        #expect(response.closeConnection)
        #expect(Response.empty(429, retryAfter: 5).header("retry-after") == "5")
        #expect(Response.empty(200).headers.isEmpty)
        #expect(Response(status: 200, bytes: Bytes(utf8: "x")).body == Array("x".utf8))
    }
}

@Suite struct RequestHeadTests {
    private static let head = RequestHead(
        method: .post,
        path: "/",
        query: "a=1&b=%zz&c&a=2&d=x=y&%61%62=e",
        headers: [("X-Two", "1"), ("x-tWO", " 2\t"), ("Content-Type", "\tTEXT/Plain ; charset=x")]
    )

    @Test func `finds fields in any case and in order`() {
        #expect(Self.head.header("x-two") == "1")
        #expect(Self.head.headerValues("x-two") == ["1", "2"])
        #expect(Self.head.header("x-tw") == nil)
        #expect(Self.head.headerValues("x-twoo") == [])
        #expect(Self.head.mediaType == "text/plain")
        #expect(!Self.head.hasContentCoding)
    }

    @Test func `decodes query parameters strictly`() {
        #expect(Self.head.queryValue("a") == "1")
        #expect(Self.head.queryValue("b") == nil)
        #expect(Self.head.queryValue("c") == "")
        #expect(Self.head.queryValue("d") == "x=y")
        #expect(Self.head.queryValue("ab") == "e")
        #expect(Self.head.queryValue("e") == nil)
    }

    @Test func `keeps different bytes different`() {
        var fields = HeaderFields()
        fields.append(name: Array("a".utf8), value: [0xC3, 0xA9])
        fields.append(name: Array("a".utf8), value: [0xE9])
        #expect(Set(fields.all("a")).count == 2)
    }
}

@Suite struct ExchangeTests {
    @Test func `takes one answer without a server`() throws {
        let answers = Handover<Response>()
        let exchange = Exchange.detached { answers.put($0) }
        #expect(exchange.complete(.empty(200)))
        #expect(!exchange.complete(.empty(201)))
        #expect(try answers.take().status == 200)
        #expect(exchange != Exchange.detached { _ in })
    }
}
