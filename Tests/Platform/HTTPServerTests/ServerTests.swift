// The listener itself: start, port, keep-alive, eviction, drain, stop.

import Basics
import HTTPServer
import Testing

@Suite struct ServerTests {
    @Test func `says that a port is taken`() async throws {
        try await withServer(HookService()) { server in
            #expect {
                _ = try HTTPServer(host: "127.0.0.1", port: server.port, service: HookService())
            } throws: { error in
                (error as? HTTPServerError)?.code == .portTaken && (error as? HTTPServerError)?.port == server.port
            }
        }
    }

    @Test func `says that an address is not of this machine`() {
        #expect {
            _ = try HTTPServer(host: "192.0.2.1", port: 0, service: HookService())
        } throws: {
            ($0 as? HTTPServerError)?.code == .noSuchAddress
        }
    }

    @Test func `frees its port when it is stopped before it was started`() async throws {
        try await scenario {
            let first = try HTTPServer(host: "127.0.0.1", port: 0, service: HookService())
            first.stop()
            let second = try HTTPServer(host: "127.0.0.1", port: first.port, service: HookService())
            second.stop()
        }
    }

    @Test func `stops when it is let go of`() async throws {
        try await scenario {
            var server: HTTPServer? = try HTTPServer(host: "127.0.0.1", port: 0, service: HookService())
            server?.start()
            let client = try RawClient(port: server?.port ?? 0)
            client.send(post())
            #expect(try client.answer().status == 200)
            server = nil
            #expect(client.closes(within: .seconds(5)))
        }
    }

    @Test func `serves ten thousand requests on a few connections`() async throws {
        let metrics = try await withServer(HookService()) { server in
            let clients = try (0..<8).map { _ in try server.client() }
            let burst = 25
            let request = String(repeating: post(), count: burst)
            for _ in 0..<50 {
                for client in clients { client.send(request) }
                for client in clients {
                    for _ in 0..<burst { #expect(try client.answer().status == 200) }
                }
            }
            return server.metrics
        }
        #expect(metrics.requests == 10_000)
        #expect(metrics.acceptedConnections == 8)
        #expect(metrics.inHand == 0)
        #expect(metrics.unfinishedRequests == 0)
        #expect(metrics.libraryAnswers == [:])
    }

    @Test func `sends head, body, fields and date`() async throws {
        let service = HookService { request, _ in
            .answer(Response.json(201, request.body.array).adding("X-Path", request.head.path))
        }
        let answer = try await withServer(service) { server in
            let client = try server.client()
            client.send(post("/hook", "{\"a\":1}"))
            return try client.answer()
        }
        #expect(answer.status == 201)
        #expect(answer.text == "{\"a\":1}")
        #expect(answer.headers["content-type"] == "application/json")
        #expect(answer.headers["x-path"] == "/hook")
        #expect(answer.headers["date"] != nil)
    }

    @Test func `lets a service set the date when told so`() async throws {
        var limits = HTTPServer.Limits()
        limits.sendsDate = false
        let service = HookService { _, _ in .answer(.empty(200).adding("Date", "Thu, 01 Jan 1970 00:00:00 GMT")) }
        let answer = try await withServer(service, limits) { server in
            let client = try server.client()
            client.send(post())
            return try client.answer()
        }
        #expect(answer.headers["date"] == "Thu, 01 Jan 1970 00:00:00 GMT")
    }

    @Test(arguments: [
        ("X", "a\r\nSet-Cookie: b"), ("X\r\nY", "a"), ("X", "a\0b"), ("X", ""), ("", "a"), ("X Y", "a"),
        ("Content-Length", "3"), ("Transfer-Encoding", "chunked"), ("Connection", "keep-alive"),
    ])
    func `turns an answer that cannot be sent into a bare 500`(_ name: String, _ value: String) async throws {
        let service = HookService { _, _ in .answer(Response(status: 200, headers: [(name, value)], body: [1])) }
        let answer = try await withServer(service) { server in
            let client = try server.client()
            client.send(post())
            return try client.answer()
        }
        #expect(answer.status == 500)
        #expect(answer.body == [])
    }

    @Test func `sends a large body from where it lies and lets go of it`() async throws {
        let released = Latch()
        let count = 5_000_000
        let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 9, count: count)
        let body = Locked<Bytes?>(
            Bytes(adopting: memory, count: count, readablePadding: 0) { memory in
                memory.deallocate()
                released.open()
            }
        )
        let service = HookService { _, _ in
            guard let bytes = body.withLock({ $0.take() }) else { return .answer(.empty(404)) }
            return .answer(Response(status: 200, bytes: bytes))
        }
        let answer = try await withServer(service) { server in
            let client = try server.client()
            client.send(post())
            let answer = try client.answer()
            #expect(released.wait(until: MonotonicClock.system.now() + .seconds(10)))
            return answer
        }
        #expect(answer.body == [UInt8](repeating: 9, count: count))
    }

    @Test func `tells little of what the library says, and nothing of requests`() async throws {
        let messages = Locked<[String]>([])
        let metrics = try await scenario {
            let server = try HTTPServer(host: "127.0.0.1", port: 0, service: HookService()) { event in
                if case .libraryMessage(let text) = event { messages.withLock { $0.append(text) } }
            }
            server.start()
            defer { server.stop() }
            for _ in 0..<30 {
                let client = try RawClient(port: server.port)
                client.send("POST /hook?token=hidden HTTP/1.1\r\nHost: a\r\n")
                _ = TestServer(server: server).metrics { $0.inHand == 1 }
                client.reset()
                _ = TestServer(server: server).metrics { $0.openConnections == 0 }
            }
            return server.metrics
        }
        #expect(metrics.unfinishedRequests == 30)
        #expect(metrics.libraryMessages >= 11)
        let told = messages.withLock { $0 }
        #expect(told.count == 10)
        #expect(!told.contains { $0.contains("hidden") || $0.contains("hook") })
    }

    // MARK: Eviction

    @Test func `makes room for a newcomer by closing the longest idle connection`() async throws {
        var limits = HTTPServer.Limits()
        limits.maxConnections = 20
        let metrics = try await withServer(HookService(), limits) { server in
            let first = try server.client()
            first.send(post())
            #expect(try first.answer().status == 200)
            let silent = try (0..<17).map { _ in try server.client() }
            #expect(server.metrics { $0.openConnections == 18 }.evictedConnections == 0)
            // Idle goes before those that have not said anything yet, these in their order.
            let next = try server.client()
            next.send(post())
            #expect(try next.answer().status == 200)
            #expect(first.closes(within: .seconds(5)))
            let third = try server.client()
            third.send(post())
            #expect(try third.answer().status == 200)
            // `next` is idle now, so it is the one.
            #expect(next.closes(within: .seconds(5)))
            third.send(post())
            #expect(try third.answer().status == 200)
            silent[16].send(post())
            #expect(try silent[16].answer().status == 200)
            return server.metrics
        }
        #expect(metrics.evictedConnections == 2)
    }

    @Test func `serves everybody when many more come than there is room for`() async throws {
        var limits = HTTPServer.Limits()
        limits.maxConnections = 10
        let metrics = try await withServer(HookService(), limits) { server in
            var silent: [RawClient] = []
            for _ in 0..<60 {
                try silent.append(server.client())
                let client = try server.client()
                client.send(post())
                #expect(try client.answer().status == 200)
            }
            return server.metrics
        }
        #expect(metrics.openConnections <= 10)
        #expect(metrics.evictedConnections >= 40)
    }

    // MARK: Drain and stop

    @Test func `drains: closes the quiet, answers what is in hand, refuses the new`() async throws {
        let exchanges = Handover<Exchange>()
        let service = HookService { request, exchange in
            if request.head.path == "/second" {
                return .answer(.empty(request.head.arrivedWhileDraining ? 503 : 200))
            }
            exchanges.put(exchange)
            return .wait(until: request.receivedMonotonic + .seconds(30), onTimeout: .empty(429))
        }
        try await withServer(service) { server in
            let idle = try server.client()
            idle.send(post("/second"))
            #expect(try idle.answer().status == 200)
            let silent = try server.client()
            let waiting = try (0..<50).map { _ in try server.client() }
            for client in waiting { client.send(post()) }
            let inHand = try exchanges.take(50)
            let reading = try server.client()
            reading.send("POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{")
            #expect(server.metrics { $0.inHand == 51 }.inHand == 51)

            let drained = Latch()
            let drainer = WorkerThread(name: "drainer") {
                if server.server.drain(until: MonotonicClock.system.now() + .seconds(20)) { drained.open() }
            }
            #expect(idle.closes(within: .seconds(5)))
            #expect(silent.closes(within: .seconds(5)))
            #expect(throws: RawClient.Failure.self) { try server.client() }
            #expect(!drained.isOpen)
            reading.send("}")
            let last = try reading.answersUntilClosed()
            #expect(last.map(\.status) == [200])
            #expect(last.allSatisfy { $0.closes })
            for exchange in inHand { #expect(exchange.complete(.empty(200))) }
            for client in waiting {
                let answers = try client.answersUntilClosed()
                #expect(answers.map(\.status) == [200])
                #expect(answers.allSatisfy { $0.closes })
            }
            drainer.join()
            #expect(drained.isOpen)
        }
    }

    @Test func `drains a connection whose answer was under way when the drain began`() async throws {
        let long = [UInt8](repeating: 7, count: 16 * 1_024 * 1_024)
        let service = HookService { _, _ in .answer(Response(status: 200, body: long)) }
        let (count, isDrained) = try await withServer(service) { server in
            let client = try server.client()
            client.send(post())
            #expect(server.metrics { $0.inHand == 1 }.inHand == 1)
            #expect(!server.server.drain(until: MonotonicClock.system.now()))
            let count = try client.answer().body.count
            #expect(client.closes(within: .seconds(5)))
            return (count, server.server.drain(until: MonotonicClock.system.now() + .seconds(5)))
        }
        #expect(count == long.count)
        #expect(isDrained)
    }

    @Test func `tells a service that a request came while draining`() async throws {
        let blocked = Latch()
        let go = Latch()
        let service = HookService { request, _ in
            if request.head.path == "/hook" {
                blocked.open()
                _ = go.wait(until: MonotonicClock.system.now() + .seconds(10))
            }
            return .answer(.empty(request.head.arrivedWhileDraining ? 429 : 200))
        }
        try await withServer(service) { server in
            // The loop is held in the first request while the drain is asked for and a newcomer gets in.
            let holder = try server.client()
            holder.send(post())
            #expect(blocked.wait(until: MonotonicClock.system.now() + .seconds(10)))
            #expect(!server.server.drain(until: MonotonicClock.system.now()))
            let newcomer = try server.client()
            newcomer.send(post("/second"))
            go.open()
            #expect(try holder.answersUntilClosed().map(\.status) == [200])
            let answers = try newcomer.answersUntilClosed()
            #expect(answers.map(\.status) == [429])
            #expect(answers.allSatisfy { $0.closes })
        }
    }

    @Test func `stops with requests waiting: each gets its timeout answer`() async throws {
        let exchanges = Handover<Exchange>()
        let service = HookService { request, exchange in
            exchanges.put(exchange)
            return .wait(until: request.receivedMonotonic + .seconds(60), onTimeout: .empty(429, retryAfter: 4))
        }
        let (clients, metrics) = try await withServer(service) { server in
            let clients = try (0..<20).map { _ in try server.client() }
            for client in clients { client.send(post()) }
            let waiting = try exchanges.take(20)
            server.server.stop()
            for exchange in waiting { #expect(!exchange.complete(.empty(200))) }
            return try (clients.map { try $0.answersUntilClosed() }, server.server.metrics)
        }
        #expect(metrics.openConnections == 0)
        #expect(metrics.inHand == 0)
        #expect(metrics.deadlineHits == [:])
        #expect(clients.allSatisfy { $0.map(\.status) == [429] && $0.allSatisfy { $0.closes } })
        #expect(service.abandoned.count == 20)
    }

    @Test func `drains and stops again and again under load`() async throws {
        for round in 0..<20 {
            let exchanges = Handover<Exchange>()
            let service = HookService { request, exchange in
                exchanges.put(exchange)
                return .wait(until: request.receivedMonotonic + .seconds(60), onTimeout: .empty(429))
            }
            let answers = try await withServer(service) { server in
                let clients = try (0..<20).map { _ in try server.client() }
                for client in clients { client.send(post()) }
                let waiting = try exchanges.take(20)
                let completer = WorkerThread(name: "completer") {
                    for exchange in waiting.prefix(round) { exchange.complete(.empty(200)) }
                }
                defer { completer.join() }
                if round.isMultiple(of: 2) { server.server.drain(until: MonotonicClock.system.now()) }
                server.server.stop()
                return try clients.map { try $0.answersUntilClosed().map(\.status) }
            }
            #expect(answers.count == 20)
            #expect(answers.allSatisfy { $0 == [200] || $0 == [429] })
        }
    }
}
