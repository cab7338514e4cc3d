// Matching answers with statements, event by event.

import Testing

@testable import Postgres

@Suite struct PipelineLedgerTests {
    private let fine = PipelineLedger.Event.result(SQLResult(rows: [], affected: 1))
    private let refused = PostgresError(.row, outcome: .notApplied, message: "", sqlState: "22021")
    private let ended = PostgresError(.connection, outcome: .unknown, message: "", sqlState: "57P01")

    /// Groups of one prepared name (optional) and some statements.
    private func ledger(_ groups: [(prepares: String?, statements: Int)]) -> PipelineLedger {
        var ledger = PipelineLedger()
        for group in groups {
            ledger.beginGroup()
            if let name = group.prepares { ledger.sentPrepare(name) }
            for index in 0..<group.statements { ledger.sentStatement(index: index) }
            ledger.sentSync()
        }
        return ledger
    }

    /// Feeds events and returns the actions that are not `none`.
    private func feed(_ ledger: inout PipelineLedger, _ events: [PipelineLedger.Event]) -> [PipelineLedger.Action] {
        events.map { ledger.receive($0) }.filter { $0 != .none }
    }

    @Test func `a clean group is complete at its sync and not before`() {
        var ledger = ledger([("s1", 2)])
        #expect(feed(&ledger, [fine, .end, fine, .end, fine, .end]) == [.prepared("s1")])
        #expect(!ledger.isComplete && !ledger.groups[0].isComplete)
        #expect(feed(&ledger, [.sync]) == [])
        #expect(ledger.isComplete && ledger.groups[0].results.count == 2 && ledger.groups[0].error == nil)
    }

    @Test func `an error undoes its own group and leaves the next alone`() {
        var ledger = ledger([(nil, 3), (nil, 1)])
        let events: [PipelineLedger.Event] = [
            fine, .end, .failure(refused), .end, .aborted, .end, .sync, fine, .end, .sync,
        ]
        #expect(feed(&ledger, events) == [])
        #expect(ledger.isComplete)
        #expect(ledger.groups[0].error == refused && ledger.groups[0].failedStatement == 1)
        #expect(ledger.groups[1].error == nil && ledger.groups[1].results.count == 1)
    }

    @Test func `an error of the commit stands between the last end and the sync`() {
        var ledger = ledger([(nil, 1)])
        #expect(feed(&ledger, [fine, .end, .failure(refused), .end, .sync]) == [])
        #expect(ledger.isComplete && ledger.groups[0].error == refused && ledger.groups[0].failedStatement == nil)
    }

    @Test func `the first error stays`() {
        var ledger = ledger([(nil, 2)])
        _ = feed(&ledger, [.failure(refused), .end, .failure(ended), .end])
        #expect(ledger.groups[0].error == refused && ledger.groups[0].failedStatement == 0)
    }

    @Test func `a name in an aborted group is not prepared`() {
        var ledger = ledger([(nil, 1)])
        ledger.beginGroup()
        ledger.sentStatement(index: 0)
        ledger.sentPrepare("s2")
        ledger.sentSync()
        let events: [PipelineLedger.Event] = [fine, .end, .sync, .failure(refused), .end, .aborted, .end, .sync]
        #expect(feed(&ledger, events) == [.notPrepared("s2")])
    }

    @Test func `ends that never stop are noticed`() {
        var ledger = ledger([(nil, 1)])
        #expect(feed(&ledger, [.end, .end, .end]) == [.violation])
        var atSync = self.ledger([(nil, 1)])
        #expect(feed(&atSync, [fine, .end, .end, .end, .end]) == [.violation])
    }

    @Test func `answers nobody asked for are a violation`() {
        var early = ledger([(nil, 1)])
        #expect(feed(&early, [.sync]) == [.violation])
        var late = ledger([(nil, 1)])
        #expect(feed(&late, [fine, .end, .sync, fine]) == [.violation])
        var atSync = ledger([(nil, 1)])
        #expect(feed(&atSync, [fine, .end, fine]) == [.violation])
    }

    @Test func `the server's reason for an end is the one of the open group`() {
        var ledger = ledger([(nil, 1), (nil, 1)])
        _ = feed(&ledger, [.failure(refused), .end, .sync])
        #expect(ledger.lossReason == nil)
        _ = feed(&ledger, [.failure(ended)])
        #expect(ledger.lossReason == ended)
    }
}
