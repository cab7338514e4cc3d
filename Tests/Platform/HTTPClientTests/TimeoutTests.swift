// Which clock ends what. Time is moved by hand; the client looks at it every 250 ms of real time.

import Basics
import HTTPClient
import Testing

@Suite struct TimeoutTests {
    /// Runs one request to a server that follows `script`, moves the clock by `step` once `go` says that the script
    /// has come to its silence, and returns the error.
    private func failure(
        after step: Duration,
        request change: @escaping @Sendable (inout HTTPClientRequest, ManualClock) -> Void = { _, _ in },
        _ script: @escaping @Sendable (Visit, Signal) -> Void
    ) async throws -> HTTPClientError {
        let clock = ManualClock()
        let go = Signal()
        let error = Locked<HTTPClientError?>(nil)
        try await Fixture.with(clock: clock, script: { script($0, go) }) { fixture in
            let ended = Promise<HTTPClientError>()
            fixture.client.send(fixture.request { change(&$0, clock) }) { result in
                switch result {
                case .success: ended.resolve(.failure(TestFailure("it was answered")))
                case .failure(let error): ended.resolve(.success(error))
                }
            }
            try await go.wait("the server's silence")
            // One sweep must have seen what came so far, else its coming counts as progress.
            try await fixture.sweeps(2)
            clock.advance(by: step)
            let found = try await within(.seconds(10), "the timeout", ended)
            error.withLock { $0 = found }
        }
        return try #require(error.withLock { $0 })
    }

    @Test func `no first byte within its time`() async throws {
        let error = try await failure(after: .seconds(121)) { visit, go in
            _ = visit.request()
            go.give()
            visit.waitForEnd()
        }
        #expect(error.kind == .timeout(.firstByte))
        #expect(error.sent == .maybe)
    }

    @Test func `a lazily made report may take its time`() async throws {
        let clock = ManualClock()
        let ready = Signal()
        let made = Signal()
        try await Fixture.with(
            clock: clock,
            script: { visit in
                _ = visit.request()
                ready.give()
                made.block()
                visit.answer()
                visit.waitForEnd()
            }
        ) { fixture in
            async let response = fixture.send()
            try await ready.wait("the request")
            try await fixture.sweeps(2)
            clock.advance(by: .seconds(119))
            try await fixture.sweeps(2)
            made.give()
            let status = try await response.status
            #expect(status == 200)
        }
    }

    @Test(arguments: ["HTTP/1.1 200 OK\r\nDate: x\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"])
    func `silence after the answer began`(_ start: String) async throws {
        let error = try await failure(after: .seconds(31)) { visit, go in
            _ = visit.request()
            visit.send(start)
            go.give()
            visit.waitForEnd()
        }
        #expect(error.kind == .timeout(.stall))
        #expect(error.sent == .answeredInPart)
    }

    @Test func `a dripping body is ended by the whole request's time, not by the stall clock`() async throws {
        let clock = ManualClock()
        let began = Signal()
        let isOver = Latch()
        try await Fixture.with(
            clock: clock,
            script: { visit in
                _ = visit.request()
                visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                began.give()
                // A byte each 20 ms, so that every sweep sees one.
                while visit.send("x"), !isOver.wait(until: MonotonicClock.system.now() + .milliseconds(20)) {}
            }
        ) { fixture in
            let ended = Promise<HTTPClientError>()
            fixture.client.send(fixture.request()) { result in
                if case .failure(let error) = result { ended.resolve(.success(error)) }
            }
            try await began.wait("the answer's head")
            for _ in 0..<6 {
                try await fixture.sweeps(2)
                #expect(fixture.client.metrics.failed == 0)
                clock.advance(by: .seconds(29))
            }
            try await fixture.sweeps(2)
            clock.advance(by: .seconds(7))
            let error = try await within(.seconds(10), "the timeout", ended)
            isOver.open()
            #expect(error.kind == .timeout(.whole))
            #expect(error.sent == .answeredInPart)
        }
    }

    @Test func `the caller's deadline comes before everything else`() async throws {
        let error = try await failure(
            after: .seconds(3),
            request: { $0.deadline = $1.monotonic.now() + .seconds(2) },
            { visit, go in
                _ = visit.request()
                go.give()
                visit.waitForEnd()
            }
        )
        #expect(error.kind == .timeout(.deadline))
        #expect(error.sent == .maybe)
    }

    @Test func `a deadline that has passed sends nothing`() async throws {
        let clock = ManualClock()
        try await Fixture.with(clock: clock, script: { visit in _ = visit.request() }) { fixture in
            let error = try await fixture.failure { $0.deadline = clock.monotonic.now() }
            #expect(error.kind == .timeout(.deadline))
            #expect(error.sent == .never)
            #expect(fixture.server.requests.isEmpty)
        }
    }

    @Test func `a handshake that nobody answers is a connect timeout, and nothing was sent`() async throws {
        try await Fixture.with(script: { $0.waitForEnd() }) { fixture in
            let error = try await fixture.failure {
                $0.url = "https://127.0.0.1:\(fixture.server.port)/"
                $0.timeouts.connect = .milliseconds(300)
            }
            #expect(error.kind == .timeout(.connect))
            #expect(error.sent == .never)
        }
    }

    @Test func `real time ends a request too`() async throws {
        try await Fixture.with(script: { visit in
            _ = visit.request()
            visit.waitForEnd()
        }) { fixture in
            let error = try await fixture.failure { $0.timeouts.whole = .milliseconds(400) }
            #expect(error.kind == .timeout(.whole))
            #expect(error.sent == .maybe)
        }
    }

    @Test func `waiting for a place counts`() async throws {
        let clock = ManualClock()
        try await Fixture.with(
            clock: clock,
            settings: { $0.maxInFlight = 1 },
            script: { visit in
                _ = visit.request()
                visit.waitForEnd()
            }
        ) { fixture in
            let first = fixture.client.send(fixture.request()) { _ in }
            try await fixture.server.requests(1)
            async let second = fixture.failure { $0.timeouts.whole = .seconds(10) }
            try await eventually("a waiting request") { fixture.client.metrics.waiting == 1 }
            clock.advance(by: .seconds(11))
            let error = try await second
            #expect(error.kind == .timeout(.whole))
            #expect(error.sent == .never)
            first.cancel()
        }
    }
}

extension Fixture {
    /// Waits for so many sweeps of the client while something is in flight.
    func sweeps(_ count: Int) async throws {
        let wanted = client.metrics.sweeps + count
        try await eventually("\(count) sweeps") { client.metrics.sweeps >= wanted }
    }
}
