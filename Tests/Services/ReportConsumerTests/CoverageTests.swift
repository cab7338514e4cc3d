import Basics
import ReportStore
import Testing

@testable import ReportConsumer
@testable import ReportStore

@Suite struct CoverageTests {
    private func report(_ id: String, covers: Double) -> StoredReportReference {
        StoredReportReference(
            userID: "usr_1",
            product: "cra_base_report",
            reportID: id,
            clientReportID: nil,
            generatedAtText: nil,
            fetchedAt: moment(covers),
            coversReceivedAt: moment(covers),
            byteCount: 1,
            bodySHA256: "",
            fraudAlert: false,
            strictJSON: true,
            webhookEventID: nil
        )
    }

    private func coverage(_ receipts: [Double], _ reports: [StoredReportReference]) -> (
        answers: [String], newest: String?
    ) {
        let coverage = Coverage(of: receipts.map(moment), by: reports)
        return (coverage.answers.map(\.reportID), coverage.newest?.reportID)
    }

    @Test func `an event is answered by the first report that reaches it`() {
        let reports = [report("a", covers: 10), report("b", covers: 20), report("c", covers: 30)]
        #expect(coverage([10], reports) == (["a"], "a"))
        #expect(coverage([10.000001], reports) == (["b"], "b"))
        #expect(coverage([30], reports) == (["c"], "c"))
        #expect(coverage([30.000001], reports) == ([], nil))
        #expect(coverage([5], []) == ([], nil))
    }

    @Test func `merged events are each answered, and the newest decides about a fetch`() {
        let reports = [report("a", covers: 10), report("b", covers: 20), report("c", covers: 30)]
        #expect(coverage([5, 25], reports) == (["a", "c"], "c"))
        #expect(coverage([5, 8, 40], reports) == (["a"], nil))
    }

    @Test func `two reports of one coverage are both announced`() {
        #expect(coverage([5], [report("a", covers: 10), report("b", covers: 10)]) == (["a", "b"], "a"))
    }

    @Test func `what a column cannot keep of a receipt does not matter`() {
        let received = Timestamp(seconds: 100, nanoseconds: 123_456_789)
        let kept = Timestamp(seconds: 100, nanoseconds: 123_456_000)
        var stored = report("a", covers: 0)
        stored = StoredReportReference(
            userID: stored.userID,
            product: stored.product,
            reportID: stored.reportID,
            clientReportID: nil,
            generatedAtText: nil,
            fetchedAt: kept,
            coversReceivedAt: kept,
            byteCount: 1,
            bodySHA256: "",
            fraudAlert: false,
            strictJSON: true,
            webhookEventID: nil
        )
        #expect(Coverage(of: [received], by: [stored]).newest == stored)
    }
}
