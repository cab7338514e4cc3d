import Basics
import Cryptography
import PipelineEvents
import PlaidAPI
import Testing

@Suite struct WebhookEnvelopeTests {
    private static let receivedAt = Timestamp(microsecondsSinceEpoch: 1_795_230_001_123_456)
    private static let origin = RecordOrigin(
        topic: "plaid.webhooks.check-report",
        partition: 3,
        offset: 41,
        timestamp: Timestamp(millisecondsSinceEpoch: 1_795_230_002_500)
    )

    private static func headers(_ routing: WebhookRouting, trace: TraceParent? = nil) -> [HeaderPair] {
        WebhookEnvelope.headers(
            environment: .sandbox,
            routing: routing,
            bodyDigest: SHA256.hash(Array("{}".utf8)),
            issuedAt: 1_795_230_000,
            receivedAt: receivedAt,
            token: "aaa.bbb.ccc",
            traceParent: trace
        )
    }

    @Test(
        arguments: [
            ("CHECK_REPORT", "usr_1", "item", "link", "usr_1"),
            ("CHECK_REPORT", nil, "item", "link", nil),
            ("CRA_REPORT", "", "item", "link", nil),
            ("ITEM", "usr_1", "item", nil, "item"),
            ("TRANSACTIONS", "usr_1", nil, nil, nil),
            ("LINK", "usr_1", nil, "link", "usr_1"),
            ("LAYER", nil, nil, "link", "link"),
            ("LAYER", nil, "item", nil, nil),
            ("INCOME", nil, "item", nil, "item"),
            ("INCOME", "usr_1", "item", nil, "usr_1"),
            ("PROTECT", nil, nil, nil, nil),
        ] as [(String, String?, String?, String?, String?)]
    )
    func `orders each webhook by what its topic is keyed with`(
        _ type: String,
        _ user: String?,
        _ item: String?,
        _ link: String?,
        _ key: String?
    ) {
        let routing = WebhookRouting(type: type, code: "X", userID: user, itemID: item, linkToken: link)
        #expect(WebhookEnvelope.key(for: routing) == key.map { Array($0.utf8) })
    }

    @Test func `carries the CloudEvents attributes, the token and the time of receipt`() throws {
        let trace = try #require(TraceParent(traceID: 5, spanID: 6, flags: 1))
        let routing = WebhookRouting(type: "CHECK_REPORT", code: "USER_CHECK_REPORT_READY", userID: "usr_1")
        let pairs = Self.headers(routing, trace: trace)
        let texts = Dictionary(
            pairs.map { ($0.name, String(decoding: $0.value ?? [], as: UTF8.self)) },
            uniquingKeysWith: { first, _ in first }
        )
        #expect(texts.count == pairs.count)
        #expect(texts["ce_specversion"] == "1.0")
        #expect(
            texts["ce_id"]
                == EventIdentity.webhook(
                    environment: .sandbox,
                    bodyDigest: SHA256.hash(Array("{}".utf8)),
                    issuedAt: 1_795_230_000
                )
        )
        #expect(texts["ce_type"] == "com.plaid.webhook.CHECK_REPORT.USER_CHECK_REPORT_READY")
        #expect(texts["ce_source"] == "/plaid/sandbox/webhooks")
        #expect(texts["ce_subject"] == "usr_1")
        #expect(texts["ce_time"] == "2026-11-21T03:00:01.123456Z")
        #expect(texts["content-type"] == "application/json")
        #expect(texts["traceparent"] == trace.rendered)
        #expect(texts["plaid-verification"] == "aaa.bbb.ccc")
        #expect(texts["received-at"] == "2026-11-21T03:00:01.123456Z")
    }

    @Test func `reads back what it wrote, to the microsecond`() {
        let pairs = Self.headers(WebhookRouting(type: "CHECK_REPORT", code: "X", userID: "usr_1"))
        let facts = WebhookEnvelope.read(pairs, origin: Self.origin)
        #expect(facts.receivedAt == Self.receivedAt)
        #expect(facts.receivedAtIsMeasured)
        #expect(facts.token == "aaa.bbb.ccc")
        #expect(facts.original == Self.origin)
        #expect(CloudEventHeaders(pairs)?.id == facts.eventID)
    }

    @Test func `leaves out a subject when there is nothing to order by`() {
        let pairs = Self.headers(WebhookRouting(type: "CHECK_REPORT", code: "X"))
        #expect(!pairs.contains { $0.name == "ce_subject" })
        #expect(CloudEventHeaders(pairs)?.subject == nil)
    }

    @Test func `takes a bare record by its Kafka timestamp and coordinates`() {
        let facts = WebhookEnvelope.read([], origin: Self.origin)
        #expect(facts.receivedAt == Self.origin.timestamp)
        #expect(!facts.receivedAtIsMeasured)
        #expect(facts.eventID == "plaid.webhooks.check-report/3/41")
        #expect(facts.token == nil)
    }

    @Test func `a bare record keeps its first time and name through a retry`() {
        let provenance = FailureProvenance(
            group: "base-report-consumer",
            original: Self.origin,
            attempts: 1,
            firstFailedAt: Self.receivedAt,
            lastFailedAt: Self.receivedAt,
            errorType: "timeout"
        )
        let retried = RecordOrigin(
            topic: "base-report-consumer.retry",
            partition: 0,
            offset: 7,
            timestamp: Self.origin.timestamp + .seconds(3600)
        )
        let facts = WebhookEnvelope.read(provenance.added(to: []), origin: retried)
        #expect(facts.receivedAt == Self.origin.timestamp)
        #expect(facts.eventID == "plaid.webhooks.check-report/3/41")
        #expect(facts.original == Self.origin)
    }

    @Test(
        arguments: [
            [("received-at", Array("yesterday".utf8))],
            [("received-at", [0xFF, 0xFE])],
            [("received-at", nil)],
            [("ce_id", Array("".utf8)), ("received-at", Array("".utf8))],
            [("original-topic", Array("t".utf8)), ("original-partition", Array("-1".utf8))],
            [("traceparent", Array("00-zz".utf8))],
        ] as [[HeaderPair]]
    )
    func `falls back instead of failing on headers it cannot read`(_ pairs: [HeaderPair]) {
        let facts = WebhookEnvelope.read(pairs, origin: Self.origin)
        #expect(facts.receivedAt == Self.origin.timestamp)
        #expect(facts.eventID == Self.origin.eventID)
        #expect(facts.original == Self.origin)
        #expect(facts.traceParent == nil)
    }
}
