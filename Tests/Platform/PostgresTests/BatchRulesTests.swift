// What follows from an error of a batch.

import Basics
import Testing

@testable import Postgres

@Suite struct BatchRulesTests {
    private func decide(
        _ kind: SQLStateClass,
        members: Int = 3,
        lockRepeats: Int = 0,
        hasPreparedAgain: Bool = false
    ) -> BatchDecision {
        BatchRules.decide(
            PostgresError(kind, outcome: .notApplied, message: ""),
            members: members,
            lockRepeats: lockRepeats,
            hasPreparedAgain: hasPreparedAgain,
            jitter: 0.5
        )
    }

    @Test(arguments: [
        SQLStateClass.row, .unique, .schema, .credentials, .cancelled, .misuse, .corruption, .unknown,
    ])
    func `a statement's own error isolates, then hits the guilty one`(_ kind: SQLStateClass) {
        #expect(decide(kind) == .apart)
        #expect(decide(kind, members: 1) == .fail)
    }

    @Test func `locks repeat at once, then after a growing wait, then no more`() {
        #expect(decide(.lockOrSerialization) == .again(after: .zero))
        #expect(decide(.lockOrSerialization, lockRepeats: 1) == .again(after: .milliseconds(20)))
        #expect(decide(.lockOrSerialization, lockRepeats: 3) == .again(after: .milliseconds(80)))
        #expect(decide(.lockOrSerialization, lockRepeats: BatchRules.maxLockRepeats) == .fail)
    }

    @Test func `lost connections and standbys lead elsewhere`() {
        #expect(decide(.connection) == .elsewhere)
        #expect(decide(.readOnly) == .elsewhereAfterCondemningAll)
    }

    @Test func `prepared statements are prepared again once`() {
        #expect(decide(.preparedStatement) == .prepareAgain)
        #expect(decide(.preparedStatement, hasPreparedAgain: true) == .apart)
        #expect(decide(.preparedStatement, members: 1, hasPreparedAgain: true) == .fail)
    }

    @Test(arguments: [SQLStateClass.resources, .tooManyConnections, .deadline, .overloaded, .closed])
    func `what is wrong with the server is told to all`(_ kind: SQLStateClass) { #expect(decide(kind) == .fail) }
}
