import Kafka
import Testing
import WorkerKit

@Suite struct AssignmentLedgerTests {
    private let p0 = TopicPartition(topic: "t", partition: 0)
    private let p1 = TopicPartition(topic: "t", partition: 1)

    private func ledger(epoch: UInt64 = 1) -> AssignmentLedger {
        var ledger = AssignmentLedger()
        ledger.assign([p0, p1], epoch: epoch)
        return ledger
    }

    /// Outside the macros, which take no mutating calls.
    private func begin(
        _ ledger: inout AssignmentLedger,
        _ partition: TopicPartition,
        _ offset: Int64
    ) throws -> AssignmentLedger.Begun {
        let begun = ledger.begin(partition, offset: offset)
        return try #require(begun)
    }

    @Test func `partitions are kept apart, and what is not ours is not begun`() throws {
        var ledger = ledger()
        let first = try begin(&ledger, p0, 5)
        #expect(first.isFirst)
        let second = try begin(&ledger, p0, 6)
        #expect(!second.isFirst)
        let foreign = ledger.begin(TopicPartition(topic: "u", partition: 0), offset: 5)
        #expect(foreign == nil)
        ledger.finish(first.ticket)
        #expect(ledger.marks(of: [p0, p1]) == [p0: 6])
        #expect(ledger.unfinishedCounts == [p0: 1, p1: 0])
    }

    @Test func `a completion of an older epoch changes nothing`() throws {
        var ledger = ledger(epoch: 1)
        let old = try begin(&ledger, p0, 5).ticket
        ledger.assign([p0], epoch: 2)
        let new = try begin(&ledger, p0, 5).ticket
        #expect(old != new)
        #expect(!ledger.isUnfinished(old))
        #expect(!ledger.isStartable(old))
        let took = ledger.finish(old)
        #expect(!took)
        #expect(ledger.marks(of: [p0]) == [p0: 5])
        #expect(ledger.isUnfinished(new))
    }

    @Test func `a completion after clear is a no-op`() throws {
        var ledger = ledger()
        let ticket = try begin(&ledger, p0, 5).ticket
        ledger.clear([p0])
        let took = ledger.finish(ticket)
        #expect(!took)
        #expect(ledger.marks(of: [p0]).isEmpty)
        #expect(ledger[p0] == nil, "and does not bring the partition back")
    }

    @Test func `while it is given up nothing begins or starts, and what runs may finish`() throws {
        var ledger = ledger()
        let ticket = try begin(&ledger, p0, 5).ticket
        ledger.close([p0])
        let refused = ledger.begin(p0, offset: 6)
        #expect(refused == nil)
        #expect(!ledger.isStartable(ticket))
        #expect(ledger.isUnfinished(ticket))
        let took = ledger.finish(ticket)
        #expect(took)
        #expect(ledger.marks(of: [p0]) == [p0: 6])
        ledger.assign([p0], epoch: 2)
        _ = try begin(&ledger, p0, 6)
    }

    @Test func `clearing one partition leaves the others`() throws {
        var ledger = ledger()
        let other = try begin(&ledger, p1, 1).ticket
        ledger.clear([p0])
        #expect(ledger.isUnfinished(other))
        #expect(Array(ledger.partitions) == [p1])
    }
}
