// Room for bodies: the rules alone, and transfers that wait for room.

import Basics
import Testing

@testable import HTTPClient

@Suite struct BudgetStateTests {
    /// Collects which tickets were told that they have room.
    private final class Grants: Sendable {
        private let ids = Locked<[UInt64]>([])
        func callback(_ id: UInt64) -> @Sendable () -> Void { { self.ids.withLock { $0.append(id) } } }
        func take() -> [UInt64] {
            ids.withLock { ids in
                defer { ids = [] }; return ids
            }
        }
    }

    private let grants = Grants()

    private func reserve(_ state: inout BudgetState, _ id: UInt64, _ total: Int, limit: Int = 100) -> Bool {
        state.reserve(id, total: total, limit: limit, onGrant: grants.callback(id))
    }

    private func told(_ callbacks: [@Sendable () -> Void]) -> [UInt64] {
        for callback in callbacks { callback() }
        return grants.take()
    }

    @Test func `room is reserved up to the limit and given back`() {
        var state = BudgetState()
        let first = state.admit(grows: false)
        let second = state.admit(grows: false)
        #expect(reserve(&state, first, 60))
        #expect(reserve(&state, second, 40))
        #expect(state.used == 100)
        #expect(told(state.leave(first, limit: 100)) == [])
        #expect(state.used == 40)
        #expect(told(state.leave(second, limit: 100)) == [])
        #expect(state.used == 0)
    }

    @Test func `what does not fit waits, in order, and a small one does not overtake a large one`() {
        var state = BudgetState()
        let holder = state.admit(grows: false)
        let large = state.admit(grows: false)
        let small = state.admit(grows: false)
        #expect(reserve(&state, holder, 50))
        #expect(!reserve(&state, large, 80))
        #expect(!reserve(&state, small, 10))
        #expect(told(state.leave(holder, limit: 100)) == [large, small])
        #expect(state.used == 90)
        #expect(state.waiting == 0)
    }

    @Test func `one larger than the whole budget proceeds alone`() {
        var state = BudgetState()
        let holder = state.admit(grows: false)
        let huge = state.admit(grows: false)
        let next = state.admit(grows: false)
        #expect(reserve(&state, holder, 1))
        #expect(!reserve(&state, huge, 500))
        #expect(!reserve(&state, next, 1))
        #expect(told(state.leave(holder, limit: 100)) == [huge])
        #expect(state.used == 500)
        #expect(told(state.leave(huge, limit: 100)) == [next])
    }

    @Test func `one that leaves while waiting makes way`() {
        var state = BudgetState()
        let holder = state.admit(grows: false)
        let large = state.admit(grows: false)
        let small = state.admit(grows: false)
        #expect(reserve(&state, holder, 50))
        #expect(!reserve(&state, large, 80))
        #expect(!reserve(&state, small, 10))
        #expect(told(state.leave(large, limit: 100)) == [small])
        #expect(state.used == 60)
    }

    @Test func `two growing bodies do not wait for each other: the oldest goes on`() {
        var state = BudgetState()
        let older = state.admit(grows: true)
        let younger = state.admit(grows: true)
        #expect(reserve(&state, older, 50))
        #expect(reserve(&state, younger, 50))
        #expect(!reserve(&state, younger, 100))
        #expect(reserve(&state, older, 100))
        #expect(reserve(&state, older, 400))
        #expect(told(state.settle(older, at: 390, limit: 100)) == [])
        #expect(state.used == 440)
        // The finished one holds room that will come back, so the younger one waits for it.
        #expect(told(state.leave(older, limit: 100)) == [younger])
        #expect(state.used == 100)
    }

    @Test func `a growing body waits while a whole one holds the room`() {
        var state = BudgetState()
        let whole = state.admit(grows: false)
        let growing = state.admit(grows: true)
        #expect(reserve(&state, whole, 90))
        #expect(!reserve(&state, growing, 20))
        #expect(told(state.leave(whole, limit: 100)) == [growing])
    }

    @Test func `settling gives back what was not needed`() {
        var state = BudgetState()
        let growing = state.admit(grows: true)
        let waiting = state.admit(grows: false)
        #expect(reserve(&state, growing, 80))
        #expect(!reserve(&state, waiting, 60))
        #expect(told(state.settle(growing, at: 30, limit: 100)) == [waiting])
        #expect(state.used == 90)
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `whatever comes, the sum is right, everybody is served, and the bound is passed by one body at most`(
        _ seed: UInt64
    ) {
        var random = SeededGenerator(seed: seed)
        var state = BudgetState()
        let limit = 100
        struct Body { var held = 0; var wanted: Int; var isWaiting = false; let grows: Bool }
        var bodies: [UInt64: Body] = [:]
        var started = 0
        var steps = 0
        func grant(_ callbacks: [@Sendable () -> Void]) {
            for id in told(callbacks) {
                bodies[id]?.isWaiting = false
                if let wanted = bodies[id]?.wanted { bodies[id]?.held = wanted }
            }
        }
        while started < 300 || !bodies.isEmpty {
            steps += 1
            if steps > 20_000 { break }
            if started < 300, bodies.count < 12, Bool.random(using: &random) {
                started += 1
                let grows = Bool.random(using: &random)
                let id = state.admit(grows: grows)
                let wanted = Int.random(
                    in: 1...(Int.random(in: 0..<10, using: &random) == 0 ? 250 : 60),
                    using: &random
                )
                bodies[id] = Body(wanted: wanted, grows: grows)
                if reserve(&state, id, wanted) { bodies[id]?.held = wanted } else { bodies[id]?.isWaiting = true }
                continue
            }
            guard let id = bodies.filter({ !$0.value.isWaiting }).keys.sorted().randomElement(using: &random) else {
                // Everybody waits: nothing could ever change again.
                #expect(bodies.isEmpty, "seed \(seed): all \(bodies.count) wait")
                break
            }
            if bodies[id]?.grows == true, (bodies[id]?.held ?? 0) < 120, Bool.random(using: &random) {
                let wanted = (bodies[id]?.held ?? 0) * 2
                bodies[id]?.wanted = wanted
                if reserve(&state, id, wanted) { bodies[id]?.held = wanted } else { bodies[id]?.isWaiting = true }
            } else {
                grant(state.leave(id, limit: limit))
                bodies[id] = nil
            }
            #expect(state.used == bodies.values.reduce(0) { $0 + $1.held })
            let largest = bodies.values.map(\.held).max() ?? 0
            #expect(state.used <= limit + largest)
        }
        #expect(state.used == 0 && state.waiting == 0 && steps <= 20_000)
    }
}

@Suite struct BudgetTransferTests {
    @Test(arguments: Transport.allCases)
    func `a body waits for room, and goes on when a body is let go`(_ transport: Transport) async throws {
        let budget = BodyBudget(limit: 1_000_000)
        let body = String(repeating: "z", count: 700_000)
        try await Fixture.with(
            transport,
            settings: { $0.bodyBudget = budget },
            script: { visit in
                while visit.request() != nil { visit.answer(body: body) }
            }
        ) { fixture in
            var first: HTTPClientResponse? = try await fixture.send()
            #expect(first?.body.count == 700_000)
            #expect(budget.used == 700_000)
            async let second = fixture.send()
            try await budget.waiters(1)
            #expect(budget.used == 700_000)
            first = nil
            #expect(first == nil)
            let response = try await second
            #expect(response.body.string() == body)
            #expect(budget.used == 700_000)
        }
        #expect(budget.used == 0)
    }

    @Test func `a body larger than the budget proceeds alone`() async throws {
        let budget = BodyBudget(limit: 1_000)
        try await Fixture.with(
            settings: { $0.bodyBudget = budget },
            script: { visit in
                while visit.request() != nil { visit.answer(body: String(repeating: "z", count: 400_000)) }
            }
        ) { fixture in
            let response = try await fixture.send()
            #expect(response.body.count == 400_000)
            #expect(budget.used == 400_000)
        }
        #expect(budget.used == 0)
    }

    @Test func `many at once, with and without a length, all come through a small budget`() async throws {
        let budget = BodyBudget(limit: 500_000)
        let peak = Locked(0)
        try await Fixture.with(
            settings: { $0.bodyBudget = budget },
            script: { visit in
                while let request = visit.request() {
                    let count = 30_000 + request.body.count * 997 % 200_000
                    let body = String(repeating: "q", count: count)
                    if request.body.count % 2 == 0 {
                        visit.answer(body: body)
                    } else {
                        let size = String(count, radix: 16)
                        visit.send(
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(size)\r\n\(body)\r\n0\r\n\r\n"
                        )
                    }
                }
            }
        ) { fixture in
            try await withThrowingTaskGroup(of: (Int, Int).self) { group in
                for index in 0..<100 {
                    group.addTask {
                        let response = try await fixture.send { $0.body = [UInt8](repeating: 0x31, count: index) }
                        let used = budget.used
                        peak.withLock { $0 = max($0, used) }
                        return (index, response.body.count)
                    }
                }
                for try await (index, count) in group { #expect(count == 30_000 + index * 997 % 200_000) }
            }
            #expect(peak.withLock { $0 } <= 500_000 + 400_000)
        }
        #expect(budget.used == 0)
        #expect(budget.waiting == 0)
    }

    @Test func `a failed body gives its room back`() async throws {
        let budget = BodyBudget(limit: 1_000)
        try await Fixture.with(
            settings: { $0.bodyBudget = budget },
            script: { visit in
                _ = visit.request()
                visit.send("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf")
            }
        ) { fixture in
            let error = try await fixture.failure()
            #expect(error.kind == .cutAnswer)
            #expect(budget.used == 0)
        }
    }
}
