// The whole way: user, Item, create, webhook, reads; judged by the client and the verifier the system itself uses.

import Basics
import Cryptography
import HTTPClient
import JSON
import PlaidAPI
import Testing

@testable import PlaidSandbox

@Suite struct ReportWayTests {
    @Test(arguments: Fixture.Kind.allCases)
    func `a report is announced by a signed webhook and read with all its products`(_ kind: Fixture.Kind) async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user("customer-1", kind)
            #expect(user.id.hasPrefix("usr_") == (kind == .current))
            #expect((user.token != nil) == (kind == .legacy))
            try await fixture.item(user)
            let items = try await fixture.plaid.userItems(user.reference)
            #expect(items.count == 1)
            try await fixture.create(user)
            let webhook = try await fixture.makeReady()

            #expect(
                webhook.text == """
                    {
                      "environment": "sandbox",
                      "failed_products": [],
                      "successful_products": [
                        "cra_base_report",
                        "cra_income_insights",
                        "cra_partner_insights"
                      ],
                      "user_id": "\(user.id)",
                      "webhook_code": "\(kind == .current ? "USER_" : "")CHECK_REPORT_READY",
                      "webhook_type": "CHECK_REPORT"
                    }
                    """
            )
            #expect(try await verdict(on: webhook, fixture) == "good")
            for product in ReportProduct.allCases {
                let report = try await fixture.plaid.fetchReport(product, user: user.reference)
                #expect(report.facts.strict)
                #expect(report.facts.clientReportID == "loan-1")
                #expect(report.facts.identity(userID: user.id) == report.facts.reportID)
                #expect(report.facts.generatedAt?.nanoseconds ?? 0 != 0)
            }
        }
    }

    /// What the receiver's own verifier says, with the key from the sandbox's key endpoint.
    private func verdict(on webhook: ReceivedWebhook, _ fixture: Fixture) async throws -> String {
        let verifier = WebhookVerifier()
        let now = fixture.clock.wall.now()
        let precheck = verifier.check(
            webhook.tokens,
            bodyDigest: SHA256.hash(webhook.body),
            receivedAt: now,
            clock: .good
        )
        guard case .needsKey(let checked) = precheck else { return "\(precheck)" }
        let answer = await fixture.plaid.verificationKey(id: checked.keyID)
        switch verifier.decide(checked, outcome: answer.outcome, clock: .good) {
        case .good: return "good"
        case .bad(let reason): return reason.rawValue
        case .undecided(let reason): return reason.name
        }
    }

    @Test func `a webhook signed by an expired key is refused, a rotated one verified`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user()
            try await fixture.item(user)
            try await fixture.create(user)
            let first = try await fixture.makeReady()
            let rotated = try await fixture.send("POST", "/_sandbox/keys/rotate", "")
            #expect(rotated.status == 200)
            #expect(try await verdict(on: first, fixture) == "good")
            try await fixture.create(user)
            let second = try await fixture.makeReady()
            #expect(second.body == first.body)
            #expect(try await verdict(on: second, fixture) == "good")
            let keyIDs = [first, second].compactMap { try? VerificationToken.parse($0.tokens[0]).get().keyID }
            #expect(Set(keyIDs).count == 2)
            let expired = try await fixture.send("POST", "/_sandbox/keys/rotate", #"{"expire_older": true}"#)
            #expect(expired.status == 200)
            #expect(try await verdict(on: second, fixture) == BadReason.expiredKey.rawValue)
        }
    }

    @Test func `a report is not ready, then ready, then expired after a day`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user()
            try await fixture.item(user)
            let path = ReportProduct.baseReport.path
            #expect(
                try await fixture.refusal(path, user.naming()) == "400 CONSUMER_REPORT_ERROR/CONSUMER_REPORT_NOT_FOUND"
            )
            try await fixture.create(user)
            #expect(try await fixture.refusal(path, user.naming()) == "400 CONSUMER_REPORT_ERROR/PRODUCT_NOT_READY")
            try await fixture.makeReady()
            _ = try await fixture.good(path, user.naming())
            fixture.clock.advance(by: .seconds(24 * 3_600 - 11))
            _ = try await fixture.good(path, user.naming())
            fixture.clock.advance(by: .seconds(11))
            #expect(
                try await fixture.refusal(path, user.naming()) == "400 CONSUMER_REPORT_ERROR/CONSUMER_REPORT_EXPIRED"
            )
            try await fixture.create(user)
            #expect(try await fixture.refusal(path, user.naming()) == "400 CONSUMER_REPORT_ERROR/PRODUCT_NOT_READY")
        }
    }

    @Test func `speed shortens generation and expiry`() async throws {
        try await Fixture.with(speed: 1_000) { fixture in
            let user = try await fixture.user()
            try await fixture.item(user)
            try await fixture.create(user)
            fixture.clock.advance(by: .milliseconds(10))
            _ = try await fixture.webhooks.next("the webhook")
            _ = try await fixture.good(ReportProduct.baseReport.path, user.naming())
            fixture.clock.advance(by: .seconds(87))
            #expect(
                try await fixture.refusal(ReportProduct.baseReport.path, user.naming())
                    == "400 CONSUMER_REPORT_ERROR/CONSUMER_REPORT_EXPIRED"
            )
        }
    }

    @Test func `a second generation has the same webhook and other reports`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user()
            try await fixture.item(user)
            try await fixture.create(user)
            let first = try await fixture.makeReady()
            let old = try await fixture.plaid.fetchReport(.baseReport, user: user.reference)
            let again = try await fixture.plaid.fetchReport(.baseReport, user: user.reference)
            #expect(old.body == again.body)
            try await fixture.create(user)
            let second = try await fixture.makeReady()
            #expect(first.body == second.body)
            #expect(first.tokens != second.tokens)
            let new = try await fixture.plaid.fetchReport(.baseReport, user: user.reference)
            #expect(new.facts.reportID != old.facts.reportID)
        }
    }

    @Test func `partner insights are there only when somebody named them`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user()
            try await fixture.item(user)
            try await fixture.create(user, products: ["cra_base_report"])
            let webhook = try await fixture.makeReady()
            #expect(webhook.json["successful_products"]?.stringArrayValue == ["cra_base_report"])
            let path = ReportProduct.partnerInsights.path
            #expect(
                try await fixture.refusal(path, user.naming()) == "400 CONSUMER_REPORT_ERROR/CONSUMER_REPORT_NOT_FOUND"
            )
            let asked = user.naming([JSONMember(key: "partner_insights", value: [:])])
            _ = try await fixture.good(path, asked)
            _ = try await fixture.good(ReportProduct.incomeInsights.path, user.naming())
        }
    }

    @Test(arguments: [Fixture.Kind.current, .legacy])
    func `a report that fails is announced as failed`(_ kind: Fixture.Kind) async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user("customer-1~fail", kind)
            try await fixture.item(user)
            try await fixture.create(user)
            let webhook = try await fixture.makeReady()
            let code = (kind == .current ? "USER_" : "") + "CHECK_REPORT_FAILED"
            #expect(webhook.json["webhook_code"]?.stringValue == code)
            #expect(webhook.json["failed_products"]?.stringArrayValue == Fixture.allProducts)
            #expect((webhook.json["error"] != nil) == (kind == .current))
            #expect(
                try await fixture.refusal(ReportProduct.baseReport.path, user.naming())
                    == "400 CHECK_REPORT_ERROR/DATA_UNAVAILABLE"
            )
        }
    }

    @Test func `one product may fail alone`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user("customer-1~failpartner")
            try await fixture.item(user)
            try await fixture.create(user)
            let webhook = try await fixture.makeReady()
            #expect(webhook.json["failed_products"]?.stringArrayValue == ["cra_partner_insights"])
            #expect(
                webhook.json["successful_products"]?.stringArrayValue == ["cra_base_report", "cra_income_insights"]
            )
        }
    }

    @Test func `a base report can be asked for some of its Items`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user()
            try await fixture.item(user)
            try await fixture.item(user)
            try await fixture.create(user)
            try await fixture.makeReady()
            let ids = try await fixture.plaid.userItems(user.reference).map(\.itemID)
            #expect(ids.count == 2)
            func items(_ wanted: [String]) async throws -> [String] {
                let asked = JSONMember(key: "item_ids", value: .array(wanted.map { .string($0) }))
                let json = try await fixture.good(ReportProduct.baseReport.path, user.naming([asked]))
                return json["report"]?["items"]?.arrayValue?.compactMap { $0["item_id"]?.stringValue } ?? []
            }
            let one = try await items([ids[1]])
            #expect(one == [ids[1]])
            let both = try await items(ids)
            #expect(both == ids)
            let unknown = user.naming([JSONMember(key: "item_ids", value: ["x"])])
            #expect(
                try await fixture.refusal(ReportProduct.baseReport.path, unknown) == "400 ITEM_ERROR/ITEM_NOT_FOUND"
            )
        }
    }
}
