// Kept connections and how they die: what libcurl repeats by itself, and what may never be repeated.

import Basics
import HTTPClient
import Testing

@Suite struct ReuseTests {
    enum Death: String, CaseIterable, Sendable { case fin, reset }

    /// Every pair of transport and way to die.
    static let deaths = Transport.allCases.flatMap { transport in Death.allCases.map { (transport, $0) } }

    private static func die(_ visit: Visit, _ death: Death) {
        if death == .reset { visit.reset() }
    }

    @Test func `one connection carries requests one after the other`() async throws {
        try await Fixture.with(script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            for _ in 0..<5 {
                let response = try await fixture.send()
                #expect(response.status == 200)
            }
            #expect(fixture.server.connections == 1)
            #expect(fixture.client.metrics.connectionsOpened == 1)
            #expect(fixture.client.metrics.answered == 5)
        }
    }

    @Test(arguments: deaths)
    func `a first connection that dies after the request is reported, not repeated`(
        _ transport: Transport,
        _ death: Death
    ) async throws {
        try await Fixture.with(
            transport,
            script: { visit in
                _ = visit.request()
                Self.die(visit, death)
            }
        ) { fixture in
            let error = try await fixture.failure()
            #expect(error.kind == .emptyAnswer)
            #expect(error.sent == .maybe)
            #expect(error.silentRepeats == 0)
            #expect(fixture.server.requests.count == 1)
        }
    }

    @Test(arguments: deaths)
    func `a read on a reused connection that dies is repeated, and counted`(_ transport: Transport, _ death: Death)
        async throws
    {
        try await Fixture.with(
            transport,
            script: { visit in
                guard visit.request() != nil else { return }
                visit.answer()
                guard visit.request() != nil else { return }
                if visit.connection == 0 { Self.die(visit, death) } else { visit.answer() }
                visit.waitForEnd(unless: visit.connection == 0)
            }
        ) { fixture in
            _ = try await fixture.send()
            // The second connection answers its first request, the repeated one.
            let response = try await fixture.send()
            #expect(response.status == 200)
            #expect(response.silentRepeats == 1)
            #expect(fixture.server.requests.count == 3)
            #expect(fixture.client.metrics.silentRepeats == 1)
        }
    }

    @Test(arguments: deaths)
    func `what is no read goes on a new connection and is sent once`(_ transport: Transport, _ death: Death)
        async throws
    {
        try await Fixture.with(
            transport,
            script: { visit in
                guard visit.request() != nil else { return }
                guard visit.connection == 0 else { return Self.die(visit, death) }
                visit.answer()
                visit.waitForEnd()
            }
        ) { fixture in
            _ = try await fixture.send()
            let error = try await fixture.failure { $0.isRepeatable = false }
            #expect(error.kind == .emptyAnswer)
            #expect(error.sent == .maybe)
            #expect(fixture.server.requests.count == 2)
            #expect(fixture.server.connections == 2)
        }
    }

    @Test func `a request can ask for a fresh connection and still be repeatable`() async throws {
        try await Fixture.with(script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            _ = try await fixture.send()
            _ = try await fixture.send { $0.needsFreshConnection = true }
            #expect(fixture.server.connections == 2)
        }
    }

    /// The reports of #10690 (a stray answer is taken for the next one's) and #10646 (dead connections go unnoticed).
    enum IdleEvent: String, CaseIterable, Sendable { case fin, reset, strayAnswer }

    static let idleEvents = Transport.allCases.flatMap { transport in IdleEvent.allCases.map { (transport, $0) } }

    @Test(arguments: idleEvents)
    func `whatever comes on idle connections costs those connections and no more`(
        _ transport: Transport,
        _ event: IdleEvent
    ) async throws {
        let count = 10
        let go = Signal()
        let together = Barrier(count)
        let done = Barrier(count)
        try await Fixture.with(
            transport,
            script: { visit in
                guard visit.request() != nil else { return }
                guard visit.connection < count else {
                    repeat { visit.answer(body: "fresh") } while visit.request() != nil
                    return
                }
                together.arrive()
                visit.answer(body: "first")
                go.block()
                switch event {
                case .fin: visit.finish()
                case .reset: visit.reset()
                case .strayAnswer: visit.answer(body: "another user's report")
                }
                // A reset happens at the script's end; the others must first be told apart from the client's close.
                if event == .reset { return done.note() }
                done.note()
                if visit.request() != nil { visit.answer(body: "reused") }
            }
        ) { fixture in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<count {
                    group.addTask {
                        let response = try await fixture.send()
                        #expect(response.body.string() == "first")
                    }
                }
                try await group.waitForAll()
            }
            // A session ticket that comes late costs its connection before the test's own event does.
            let mayBeFewer = transport == .tls
            #expect(fixture.client.metrics.connectionsIdle == count || mayBeFewer)
            go.give()
            try await done.wait("the idle connections' events")
            if transport == .tls || event == .reset {
                // The event has still to travel: through the front, or from the script's end.
                try await eventually("severed connections") { fixture.client.metrics.connectionsIdle == 0 }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<count {
                    group.addTask {
                        let response = try await fixture.send()
                        #expect(response.body.string() == "fresh")
                        #expect(response.silentRepeats == 0)
                    }
                }
                try await group.waitForAll()
            }
            #expect(fixture.client.metrics.connectionsSevered == count || mayBeFewer)
            #expect(fixture.server.requests.count == 2 * count)
        }
    }

    @Test func `a paused transfer's connection is not taken for an idle one`() async throws {
        let budget = BodyBudget(limit: 100_000)
        try await Fixture.with(
            settings: { $0.bodyBudget = budget },
            script: { visit in
                while visit.request() != nil { visit.answer(body: String(repeating: "x", count: 80_000)) }
            }
        ) { fixture in
            var first: HTTPClientResponse? = try await fixture.send()
            #expect(budget.used == 80_000)
            async let second = fixture.send()
            try await budget.waiters(1)
            // More of the body arrives while it waits.
            #expect(fixture.client.metrics.connectionsSevered == 0)
            first = nil
            #expect(first == nil)
            let response = try await second
            #expect(response.body.count == 80_000)
        }
    }
}

extension Visit {
    func waitForEnd(unless condition: Bool) { if !condition { waitForEnd() } }
}
