// Ending a request early, in each of its phases, and ending the client.

import Basics
import HTTPClient
import Testing

@Suite struct CancellationTests {
    enum Phase: String, CaseIterable, Sendable { case waiting, connecting, sent, headers, body, paused }

    @Test(arguments: Phase.allCases)
    func `cancelling the task ends the request and says what was sent`(_ phase: Phase) async throws {
        let reached = Signal()
        let gone = Signal()
        let budget = BodyBudget(limit: 1_000)
        try await Fixture.with(
            settings: {
                $0.maxInFlight = phase == .waiting ? 1 : 4
                $0.bodyBudget = budget
            },
            script: { visit in
                if phase == .connecting {
                    visit.waitForEnd()
                    return gone.give()
                }
                guard visit.request() != nil else { return }
                switch phase {
                case .headers: visit.send("HTTP/1.1 200 OK\r\nDate: x\r\n")
                case .body: visit.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                case .paused:
                    if visit.connection == 0 {
                        visit.answer(body: String(repeating: "x", count: 900))
                    } else {
                        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf")
                    }
                default: break
                }
                if visit.connection == (phase == .paused ? 1 : 0) { reached.give() }
                visit.waitForEnd()
                gone.give()
            }
        ) { fixture in
            let change: @Sendable (inout HTTPClientRequest) -> Void = { request in
                request.needsFreshConnection = true
                if phase == .connecting { request.url = "https://127.0.0.1:\(fixture.server.port)/" }
            }
            var held: HTTPClientResponse?
            if phase == .paused { held = try await fixture.send(change) }
            let blocker = phase == .waiting ? fixture.client.send(fixture.request(change)) { _ in } : nil
            if phase == .waiting { try await reached.wait("the first request") }
            let task = Task { try await fixture.failure(change) }  // ended by the cancellation below
            switch phase {
            case .waiting: try await eventually("a waiting request") { fixture.client.metrics.waiting == 1 }
            case .connecting: try await eventually("a connection") { fixture.server.connections == 1 }
            case .paused: try await budget.waiters(1)
            default: try await reached.wait("the phase")
            }
            if phase == .headers || phase == .body {
                try await fixture.sweeps(1)  // the bytes were sent before the signal; one turn has read them
            }
            task.cancel()
            let error = try await task.value
            #expect(error.kind == .cancelled)
            switch phase {
            case .waiting, .connecting: #expect(error.sent == .never)
            case .sent: #expect(error.sent == .maybe)
            case .headers, .body, .paused: #expect(error.sent == .answeredInPart)
            }
            #expect(!error.isRetriable)
            blocker?.cancel()
            try await gone.wait("the end of the connection")
            #expect(budget.waiting == 0)
            #expect(budget.used == (held?.body.count ?? 0))
            try await eventually("nothing in flight") { fixture.client.metrics.inFlight == 0 }
        }
    }

    @Test func `a task cancelled beforehand sends nothing`() async throws {
        try await Fixture.with(script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            let start = Signal()
            let task = Task {  // ends by itself
                try await start.wait("the start")
                return try await fixture.failure()
            }
            task.cancel()
            start.give()
            let result = await task.result
            // Either the wait or the request itself reports the cancellation.
            if case .success(let error) = result {
                #expect(error.kind == .cancelled)
                #expect(error.sent == .never)
            }
            #expect(fixture.server.requests.isEmpty)
        }
    }

    @Test func `cancelling after the end does nothing`() async throws {
        try await Fixture.with(script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            let calls = Locked(0)
            let ended = Signal()
            let token = fixture.client.send(fixture.request()) { _ in
                calls.withLock { $0 += 1 }
                ended.give()
            }
            try await ended.wait("the answer")
            token.cancel()
            token.cancel()
            _ = try await fixture.send()
            #expect(calls.withLock { $0 } == 1)
        }
    }

    @Test func `close lets requests end within its grace`() async throws {
        let sent = Signal()
        let go = Signal()
        try await Fixture.with(script: { visit in
            guard visit.request() != nil else { return }
            sent.give()
            go.block()
            visit.answer()
            visit.waitForEnd()
        }) { fixture in
            async let response = fixture.send()
            try await sent.wait("the request")
            let closing = Promise<Void>()
            let closer = WorkerThread(name: "test-closer") {
                fixture.client.close(grace: .seconds(20))
                closing.resolve(.success(()))
            }
            try await eventually("a refusal") {
                let refused = Locked(false)
                fixture.client.send(fixture.request()) { result in
                    if case .failure(let error) = result, error.kind == .closed { refused.withLock { $0 = true } }
                }
                return refused.withLock { $0 }
            }
            go.give()
            let status = try await response.status
            #expect(status == 200)
            try await within(.seconds(5), "the close", closing)
            closer.join()
        }
    }

    @Test func `close fails what its grace does not cover`() async throws {
        try await Fixture.with(script: { visit in
            _ = visit.request()
            visit.waitForEnd()
        }) { fixture in
            async let error = fixture.failure()
            try await fixture.server.requests(1)
            try await blocking { fixture.client.close(grace: .milliseconds(50)) }
            let found = try await error
            #expect(found.kind == .closed)
            #expect(found.sent == .maybe)
            let late = try await fixture.failure()
            #expect(late.kind == .closed)
            #expect(late.sent == .never)
        }
    }

    @Test func `a client that is let go ends its requests`() async throws {
        let server = try ScriptedServer { visit in
            _ = visit.request()
            visit.waitForEnd()
        }
        let ended = Promise<HTTPClientError>()
        do {
            let client = try HTTPClient(settings: HTTPClientSettings(maxInFlight: 2, allowsPlainHTTP: true))
            client.send(HTTPClientRequest(url: server.url, isRepeatable: true)) { result in
                if case .failure(let error) = result { ended.resolve(.success(error)) }
            }
            try await server.requests(1)
        }
        let error = try await within(.seconds(10), "the end", ended)
        #expect(error.kind == .closed)
        try await blocking { server.stop() }
    }
}
