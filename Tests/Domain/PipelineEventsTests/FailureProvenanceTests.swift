import Basics
import PipelineEvents
import Testing

@Suite struct FailureProvenanceTests {
    private static let first = RecordOrigin(
        topic: "plaid.webhooks.check-report",
        partition: 11,
        offset: 9_000_000_000,
        timestamp: Timestamp(millisecondsSinceEpoch: 1_795_230_002_503)
    )
    private static let provenance = FailureProvenance(
        group: "base-report-consumer",
        original: first,
        attempts: 4,
        firstFailedAt: Timestamp(microsecondsSinceEpoch: 1_795_230_003_000_001),
        lastFailedAt: Timestamp(microsecondsSinceEpoch: 1_795_230_009_000_002),
        errorType: "INVALID_REQUEST",
        errorCode: "INVALID_FIELD",
        reason: "refused by Plaid"
    )
    /// Repeated names, a null and bytes that are no text: all lawful in Kafka, all to be kept.
    private static let own: [HeaderPair] = [
        (name: "x", value: [0xFF, 0x00]), (name: "x", value: nil), (name: "ce_id", value: Array("7".utf8)),
    ]

    private static func same(_ left: [HeaderPair], _ right: [HeaderPair]) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { $0.name == $1.name && $0.value == $1.value }
    }

    @Test func `reads back what it writes`() {
        #expect(FailureProvenance(Self.provenance.added(to: Self.own)) == Self.provenance)
    }

    @Test func `keeps the event's own headers in their order, repeats and all`() {
        let pairs = Self.provenance.added(to: Self.own)
        #expect(Self.same(Array(pairs.prefix(3)), Self.own))
    }

    @Test func `replaces an earlier life's headers instead of piling them up`() {
        var later = Self.provenance
        later.attempts = 5
        later.errorCode = nil
        let once = Self.provenance.added(to: Self.own)
        let twice = later.added(to: once)
        #expect(FailureProvenance(twice) == later)
        #expect(twice.count == once.count - 1)
    }

    @Test func `a replay starts the count anew but keeps where the event first stood`() {
        let died = RecordOrigin(
            topic: "g.retry",
            partition: 0,
            offset: 1,
            timestamp: Self.first.timestamp + .seconds(9)
        )
        let again = FailureProvenance.replayed(Self.provenance.added(to: Self.own), died: died)
        #expect(FailureProvenance(again) == nil)
        #expect(FailureProvenance.originalRecord(again) == Self.first)
        #expect(Self.same(Array(again.prefix(3)), Self.own))

        let bare = FailureProvenance.replayed([], died: died)
        #expect(FailureProvenance.originalRecord(bare) == died)
    }

    @Test(arguments: [
        "consumer-group", "original-topic", "original-partition", "original-offset", "original-timestamp", "attempts",
        "first-failed-at", "last-failed-at", "error-type",
    ])
    func `is nil without a required header or with one that makes no sense`(_ name: String) {
        let pairs = Self.provenance.added(to: [])
        #expect(FailureProvenance(pairs.filter { $0.name != name }) == nil)
        let broken = pairs.map { $0.name == name ? (name: name, value: [0xC3, 0x28]) : $0 }
        #expect(FailureProvenance(broken) == nil)
    }

    @Test(arguments: ["0", "-3", "4294967296", "99999999999999999999", "1.5", ""])
    func `takes only a sensible number of attempts`(_ attempts: String) {
        let pairs = Self.provenance.added(to: [])
            .map { $0.name == "attempts" ? (name: $0.name, value: Array(attempts.utf8)) : $0 }
        #expect(FailureProvenance(pairs) == nil)
    }
}
