// Total deadlines over real sockets: a drip of bytes renews nothing. Limits are short here; the ratios are what counts.

import Basics
import Glibc
import HTTPServer
import Testing

@Suite struct DeadlineTests {
    private static let short: HTTPServer.Limits = {
        var limits = HTTPServer.Limits()
        limits.firstTimeout = .milliseconds(300)
        limits.headTimeout = .milliseconds(300)
        limits.bodyTimeout = .milliseconds(400)
        limits.writeTimeout = .milliseconds(300)
        limits.idleTimeout = .milliseconds(300)
        return limits
    }()

    /// Sends one byte each 20 ms until the server has closed; returns how long that took.
    private static func drip(_ client: RawClient, _ bytes: some Sequence<UInt8>) -> Duration {
        let start = MonotonicClock.system.now()
        for byte in bytes {
            if client.closes(within: .milliseconds(20)) || !client.send([byte]) { break }
        }
        return MonotonicClock.system.now() - start
    }

    private func expect(_ elapsed: Duration, about limit: Duration, _ location: SourceLocation = #_sourceLocation) {
        #expect(elapsed >= limit - .milliseconds(30), sourceLocation: location)
        #expect(elapsed < limit + .seconds(3), sourceLocation: location)
    }

    struct Slowness: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let state: ConnectionState
        var before = ""
        var drip = ""
    }

    @Test(arguments: [
        Slowness(testDescription: "silence", state: .first),
        Slowness(testDescription: "request line", state: .first, drip: "POST /" + String(repeating: "x", count: 500)),
        Slowness(
            testDescription: "header",
            state: .head,
            before: "POST /hook HTTP/1.1\r\n",
            drip: String(repeating: "X: 1\r\n", count: 50)
        ),
        Slowness(
            testDescription: "body",
            state: .body,
            before: "POST /hook HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n",
            drip: String(repeating: "x", count: 499)
        ),
        Slowness(
            testDescription: "chunks",
            state: .body,
            before: "POST /hook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            drip: String(repeating: "1\r\nx\r\n", count: 100)
        ),
        Slowness(
            testDescription: "second request line",
            state: .idle,
            before: post(),
            drip: "POST /" + String(repeating: "x", count: 500)
        ),
    ])
    func `cuts a connection that is too slow`(_ slowness: Slowness) async throws {
        let state = slowness.state
        let (elapsed, metrics) = try await withServer(HookService(), Self.short) { server in
            let client = try server.client()
            client.send(slowness.before)
            if state == .idle { _ = try client.answer() }
            var elapsed = Self.drip(client, slowness.drip.utf8)
            if slowness.drip.isEmpty {
                let start = MonotonicClock.system.now()
                _ = client.closes(within: .seconds(10))
                elapsed = MonotonicClock.system.now() - start
            }
            return (elapsed, server.metrics { $0.openConnections == 0 })
        }
        let limit: Duration = state == .body ? .milliseconds(400) : .milliseconds(300)
        expect(elapsed, about: limit)
        #expect(metrics.deadlineHits == [state: 1])
        #expect(metrics.inHand == 0)
    }

    @Test func `cuts a reader that is too slow for a long answer`() async throws {
        let long = [UInt8](repeating: 7, count: 32 * 1_024 * 1_024)
        var limits = Self.short
        limits.writeBytesPerSecond = 1 << 30
        let service = HookService { _, _ in .answer(Response(status: 200, body: long)) }
        let metrics = try await withServer(service, limits) { server in
            let client = try server.client()
            client.send(post())
            return server.metrics { $0.openConnections == 0 && $0.requests == 1 }
        }
        #expect(metrics.deadlineHits == [.write: 1])
        #expect(metrics.unfinishedRequests == 1)
    }

    @Test func `ends a chunk line without end and serves others meanwhile`() async throws {
        let metrics = try await withServer(HookService(), Self.short) { server in
            let stuck = try server.client()
            stuck.send(
                "POST /hook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x="
                    + String(repeating: "x", count: 40_000)
            )
            let other = try server.client()
            for _ in 0..<50 {
                other.send(post())
                #expect(try other.answer().status == 200)
            }
            #expect(stuck.closes(within: .seconds(5)))
            return server.metrics { $0.deadlineHits[.body] == 1 }
        }
        #expect(metrics.deadlineHits[.body] == 1)
        #expect(metrics.guardWaits > 0)
    }

    @Test func `follows the clock it is given`() async throws {
        let clock = ManualClock()
        let service = HookService { request, _ in
            .wait(until: request.receivedMonotonic + .seconds(4), onTimeout: .empty(429, retryAfter: 2))
        }
        let (answer, metrics) = try await withServer(service, clock: clock.monotonic) { server in
            let client = try server.client()
            client.send(post())
            _ = server.metrics { $0.waiting == 1 }
            clock.advance(by: .milliseconds(3_990))
            #expect(server.metrics.waiting == 1)
            clock.advance(by: .milliseconds(20))
            return try (client.answer(), server.metrics)
        }
        #expect(answer.status == 429)
        #expect(answer.headers["retry-after"] == "2")
        #expect(!answer.closes)
        #expect(metrics.deadlineHits == [.wait: 1])
    }
}
