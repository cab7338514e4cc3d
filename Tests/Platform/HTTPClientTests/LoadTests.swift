// Many at once: all answered, the bounds kept, what is beyond them refused.

import Basics
import HTTPClient
import Testing

@Suite struct LoadTests {
    @Test func `five hundred at once are all answered, each with its own answer`() async throws {
        try await Fixture.with(
            settings: {
                $0.maxInFlight = 200
                $0.maxWaiting = 300
            },
            script: { visit in
                while let request = visit.request() {
                    visit.answer(body: String(decoding: request.body, as: UTF8.self))
                }
            }
        ) { fixture in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<500 {
                    group.addTask {
                        let text = "request \(index)"
                        let response = try await fixture.send { $0.body = Array(text.utf8) }
                        return response.body.string() == text
                    }
                }
                for try await isOwn in group { #expect(isOwn) }
            }
            let metrics = fixture.client.metrics
            #expect(metrics.answered == 500)
            #expect(metrics.failed == 0)
            #expect(metrics.silentRepeats == 0)
            #expect(fixture.server.requests.count == 500)
            #expect(fixture.server.connections <= 200)
        }
    }

    @Test func `no more new connections at once than the settings say`() async throws {
        try await Fixture.with(
            settings: {
                $0.maxInFlight = 200
                $0.maxConnecting = 20
            },
            script: { $0.waitForEnd() }  // a handshake that nobody answers
        ) { fixture in
            let url = "https://127.0.0.1:\(fixture.server.port)/"
            for _ in 0..<100 {
                fixture.client.send(
                    fixture.request {
                        $0.url = url
                        $0.timeouts.connect = .seconds(20)
                    }
                ) { _ in }
            }
            try await eventually("connections") { fixture.server.connections == 20 }
            try await fixture.sweeps(2)
            #expect(fixture.server.connections == 20)
            #expect(fixture.client.metrics.inFlight == 20)
            #expect(fixture.client.metrics.waiting == 80)
        }
    }

    @Test func `beyond in flight and waiting a request is refused at once`() async throws {
        try await Fixture.with(
            settings: {
                $0.maxInFlight = 2
                $0.maxWaiting = 3
            },
            script: { visit in
                _ = visit.request()
                visit.waitForEnd()
            }
        ) { fixture in
            let tokens = (0..<5).map { _ in fixture.client.send(fixture.request()) { _ in } }
            let error = try await fixture.failure()
            #expect(error.kind == .overloaded)
            #expect(error.sent == .never)
            #expect(fixture.client.metrics.refused == 1)
            try await eventually("two in flight") {
                fixture.client.metrics.inFlight == 2 && fixture.client.metrics.waiting == 3
            }
            for token in tokens { token.cancel() }
            try await eventually("nothing in hand") {
                fixture.client.metrics.inFlight == 0 && fixture.client.metrics.waiting == 0
            }
        }
    }

    @Test func `a completion may send the next request`() async throws {
        try await Fixture.with(script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            let ended = Promise<Void>()
            @Sendable func next(_ left: Int) {
                fixture.client.send(fixture.request()) { result in
                    guard case .success = result else { return }
                    if left == 0 { ended.resolve(.success(())) } else { next(left - 1) }
                }
            }
            next(50)
            try await within(.seconds(20), "a chain of requests", ended)
            #expect(fixture.server.requests.count == 51)
            #expect(fixture.server.connections == 1)
        }
    }

    @Test func `the limit of open files is raised or named`() throws {
        try OpenFiles.require(inFlight: 256)
        #expect(OpenFiles.needed(inFlight: 256) == 712)
        #expect {
            try OpenFiles.require(inFlight: 1 << 40)
        } throws: { error in
            (error as? HTTPClientError)?.kind == .local
        }
    }

    @Test func `the library is fit and says its version`() {
        #expect(HTTPClientLibrary.unfitness == nil)
        #expect(HTTPClientLibrary.version.hasPrefix("libcurl/"))
    }
}
