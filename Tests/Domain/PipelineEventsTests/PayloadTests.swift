import Basics
import JSON
import PipelineEvents
import PlaidAPI
import Testing

@Suite struct PayloadTests {
    private static let stored = ReportStored(
        userID: "usr_1",
        product: "cra_base_report",
        reportID: "rB7kQ1zMxT",
        generatedAt: "2026-11-20T03:04:05.123456789Z",
        byteCount: 60_000,
        bodySHA256: String(repeating: "ab", count: 32),
        clientReportID: nil,
        fraudAlert: true
    )

    @Test func `a stored report names exactly the contract's members`() throws {
        let value = try JSON.parse(Self.stored.json)
        guard case .object(let members) = value else {
            Issue.record("not an object")
            return
        }
        #expect(
            members.map(\.key) == [
                "user_id", "product", "report_id", "generated_at", "byte_count", "body_sha256", "client_report_id",
                "fraud_alert",
            ]
        )
        #expect(value["generated_at"]?.stringValue == "2026-11-20T03:04:05.123456789Z")
        #expect(value["client_report_id"] == .null)
        #expect(value["fraud_alert"]?.boolValue == true)
    }

    @Test func `a stored report reads back`() {
        #expect(ReportStored(json: Self.stored.json) == Self.stored)
        var other = Self.stored
        other.clientReportID = "loan \"8\"\n"
        other.generatedAt = nil
        other.fraudAlert = false
        #expect(ReportStored(json: other.json) == other)
    }

    @Test func `repeats of one announcement carry one id, time and subject`() throws {
        let fetchedAt = Timestamp(secondsSinceEpoch: 1_795_230_000)
        let pairs = Self.stored.headers(environment: .sandbox, group: .baseReport, fetchedAt: fetchedAt)
        let event = try #require(CloudEventHeaders(pairs))
        #expect(
            event.id == ReportStored.ceID(environment: .sandbox, product: "cra_base_report", reportID: "rB7kQ1zMxT")
        )
        #expect(event.time == fetchedAt)
        #expect(event.subject == "cra_base_report/rB7kQ1zMxT")
        #expect(event.source == "/check-pipeline/sandbox/base-report-consumer")
        #expect(event.type == "check-pipeline.report.stored")
    }

    @Test(arguments: ["", "[]", "null", #"{"user_id":"u"}"#, "{\"user_id\":1}", "\u{FEFF}{}"])
    func `anything else is no event`(_ text: String) {
        #expect(ReportStored(json: Array(text.utf8)) == nil)
        #expect(LifecycleEvent(json: Array(text.utf8)) == nil)
    }

    @Test(arguments: LifecycleEvent.Kind.allCases)
    func `a lifecycle event reads back`(_ kind: LifecycleEvent.Kind) throws {
        let event = LifecycleEvent(
            kind: kind,
            userID: "usr_1",
            product: kind == .needsRepair ? nil : "cra_base_report",
            occurredAt: Timestamp(microsecondsSinceEpoch: 1_795_230_000_000_009),
            deadline: kind == .expired ? Timestamp(secondsSinceEpoch: 1_795_316_400) : nil,
            errorType: "CHECK_REPORT_ERROR",
            errorCode: "DATA_UNAVAILABLE",
            itemIDs: kind == .needsRepair ? ["kV3mR8xQ"] : []
        )
        #expect(LifecycleEvent(json: event.json) == event)
        let headers = try #require(
            CloudEventHeaders(event.headers(environment: .production, group: .reportLifecycle, cause: "c"))
        )
        #expect(headers.type == "check-pipeline.report.\(kind.rawValue)")
        #expect(headers.source == "/check-pipeline/production/report-lifecycle")
    }
}
