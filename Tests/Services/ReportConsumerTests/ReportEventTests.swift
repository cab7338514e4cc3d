import Basics
import PlaidAPI
import Testing
import WorkerKit

@testable import ReportConsumer

@Suite struct ReportEventTests {
    private func read(
        _ body: String,
        _ product: ReportProduct = .baseReport,
        expected: [String] = ["cra_base_report"]
    ) -> ReportEvent {
        ReportEvent.read(Bytes(utf8: body), product: product, environment: .sandbox, expected: expected)
    }

    private func code(_ event: ReportEvent) -> String? {
        if case .broken(let reason) = event { "\(reason.type)/\(reason.code)" } else { nil }
    }

    @Test(arguments: ["USER_CHECK_REPORT_READY", "CHECK_REPORT_READY"])
    func `both code families ask for a fetch`(code: String) {
        #expect(read(Body.webhook(code)) == .fetch(userID: "usr_1"))
    }

    @Test(arguments: [
        ("\"successful_products\": [\"cra_base_report\"]", true, false),
        ("\"successful_products\": [\"cra_income_insights\"]", false, true),
        ("\"successful_products\": []", true, false),
        ("\"successful_products\": null", true, false),
        ("\"successful_products\": \"cra_income_insights\"", true, false),
        ("\"successful_products\": [7]", true, false),
        ("\"successful_products\": [\"cra_base_report\", \"cra_income_insights\", \"new\"]", true, true),
    ])
    func `READY asks for what it lists, else for what is expected`(members: String, base: Bool, income: Bool) {
        let body = Body.webhook(more: members)
        #expect(read(body) == (base ? .fetch(userID: "usr_1") : .pass(.notListed)))
        #expect(read(body, .incomeInsights) == (income ? .fetch(userID: "usr_1") : .pass(.notListed)))
    }

    @Test func `what failed is not fetched, even where it is listed too`() {
        let body = Body.webhook(
            more: #""successful_products": ["cra_base_report"], "failed_products": ["cra_base_report"]"#
        )
        #expect(read(body) == .notMade(userID: "usr_1", failed: ["cra_base_report"]))
        let other = Body.webhook(more: #""failed_products": ["cra_income_insights"]"#)
        #expect(read(other) == .fetch(userID: "usr_1"))
        #expect(read(other, .incomeInsights) == .notMade(userID: "usr_1", failed: ["cra_income_insights"]))
        #expect(read(other, .partnerInsights) == .pass(.notListed))
    }

    @Test(arguments: ["USER_CHECK_REPORT_FAILED", "CHECK_REPORT_FAILED"])
    func `FAILED concerns the products it names, or all`(code: String) {
        #expect(read(Body.webhook(code)) == .notMade(userID: "usr_1", failed: nil))
        let named = Body.webhook(
            code,
            more: #""failed_products": ["cra_base_report"], "error": {"error_type": "CHECK_REPORT_ERROR", "#
                + #""error_code": "DATA_UNAVAILABLE", "error_message": "m", "display_message": null}"#
        )
        let error = PlaidErrorBody(
            errorType: "CHECK_REPORT_ERROR",
            errorCode: "DATA_UNAVAILABLE",
            errorMessage: "m"
        )
        #expect(read(named) == .notMade(userID: "usr_1", failed: ["cra_base_report"], error: error))
        #expect(read(named, .incomeInsights) == .pass(.notListed))
    }

    @Test(arguments: [
        ("CHECK_REPORT", "UPGRADE_FAILED", ReportEvent.Pass.otherCode),
        ("CHECK_REPORT", "SOMETHING_NEW", .otherCode),
        ("CRA_REPORT", "CRA_REPORT_READY", .otherType),
        ("USER_CHECK_REPORT", "USER_CHECK_REPORT_READY", .otherType),
    ])
    func `what we do not know is passed, with or without a user`(type: String, code: String, pass: ReportEvent.Pass) {
        #expect(read(Body.webhook(code, type: type)) == .pass(pass))
        #expect(read(Body.webhook(code, user: nil, type: type)) == .pass(pass))
    }

    @Test func `what is wrong with the event itself is told by name`() {
        #expect(code(read("")) == "unreadable/not_json")
        #expect(code(read("not json")) == "unreadable/not_json")
        #expect(code(read("[]")) == "unreadable/not_json")
        #expect(code(read(#"{"webhook_type":"CHECK_REPORT"}"#)) == "unreadable/missing_field")
        #expect(code(read(Body.webhook(user: nil))) == "unreadable/missing_field")
        #expect(code(read(Body.webhook("CHECK_REPORT_FAILED", user: nil))) == "unreadable/missing_field")
        #expect(code(read(Body.webhook(environment: "production"))) == "environment/other_environment")
        #expect(read(Body.webhook(environment: nil)) == .fetch(userID: "usr_1"))
    }

    @Test func `a READY without a user that is not ours makes no dead letter of ours`() {
        let body = Body.webhook(user: nil, more: #""successful_products": ["cra_base_report"]"#)
        #expect(code(read(body)) != nil)
        #expect(read(body, .incomeInsights) == .pass(.notListed))
    }

    @Test func `only READYs of one user merge, and only what is passed is overtaken`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            #expect(rig.event().mergeRule == .together("usr_1"))
            #expect(rig.event(Body.webhook("CHECK_REPORT_READY")).mergeRule == .together("usr_1"))
            #expect(rig.event(Body.webhook("NEW")).mergeRule == .overtakable)
            #expect(rig.event(Body.webhook("CHECK_REPORT_FAILED")).mergeRule == .alone)
            #expect(rig.event("{").mergeRule == .alone)
        }
    }
}
