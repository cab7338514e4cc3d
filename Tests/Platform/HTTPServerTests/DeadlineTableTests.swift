// The lists of deadlines against a plain model, and the tickets of waiting requests.

import Basics
import Testing

@testable import HTTPServer

@Suite struct DeadlineTableTests {
    private static func instant(_ milliseconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: UInt64(milliseconds) * 1_000_000)
    }

    @Test(arguments: 1...8)
    func `agrees with a model over random changes`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var table = DeadlineTable()
        var model: [Int: (state: ConnectionState, at: Int, order: Int)] = [:]
        var now = 0
        for order in 0..<600 {
            let slot = Int.random(in: 0..<40, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                let state = ConnectionState.allCases.randomElement(using: &random) ?? .idle
                // Mostly in order, sometimes not.
                let at = now + (Bool.random(using: &random) ? 50 : Int.random(in: 0..<100, using: &random))
                table.set(slot, state, at: Self.instant(at))
                model[slot] = (state, at, order)
            case 6..<8:
                table.clear(slot)
                model[slot] = nil
            default:
                now += Int.random(in: 0..<20, using: &random)
                var expired: Set<Int> = []
                while let (slot, state) = table.popExpired(Self.instant(now)) {
                    #expect(model[slot]?.state == state)
                    #expect((model[slot]?.at ?? .max) <= now)
                    expired.insert(slot)
                    model[slot] = nil
                }
                #expect(model.values.allSatisfy { $0.at > now })
            }
            #expect(table.next == model.values.map(\.at).min().map(Self.instant))
            for state in ConnectionState.allCases {
                let inState = model.filter { $0.value.state == state }
                    .sorted { ($0.value.at, $0.value.order) < ($1.value.at, $1.value.order) }
                #expect(table.slots(in: state) == inState.map(\.key))
                #expect(table.oldest(in: state) == inState.first?.key)
                #expect(table.count(in: state) == inState.count)
            }
        }
    }
}

@Suite struct TicketsTests {
    @Test func `lets the first one redeem and nobody after`() {
        var tickets = Tickets()
        tickets.issue(7, slot: 3)
        let redeemed = [(8, 3), (7, 2), (7, 3), (7, 3)].map { tickets.redeem($0.0, slot: $0.1) }
        #expect(redeemed == [false, false, true, false])
    }

    @Test func `knows no ticket of an older request, of a slot never used, or of none`() {
        var tickets = Tickets()
        tickets.issue(1, slot: 0)
        tickets.issue(2, slot: 0)
        let redeemed = [(1, 0), (1, 100), (0, 1), (2, 0), (0, 0)].map { tickets.redeem($0.0, slot: $0.1) }
        #expect(redeemed == [false, false, false, true, false])
    }
}
