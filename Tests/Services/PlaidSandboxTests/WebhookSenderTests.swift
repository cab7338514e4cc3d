// Deliveries over real HTTP on a clock that the test moves.

import Basics
import HTTPClient
import HTTPServer
import JSON
import PlaidAPI
import Testing

@testable import PlaidSandbox

@Suite struct WebhookSenderTests {
    private func fire(_ fixture: Fixture, copies: Int = 1, code: String? = nil, url: String? = nil) async throws {
        var members: [JSONMember] = [
            JSONMember(key: "copies", value: .integer(Int64(copies))),
            JSONMember(key: "user_id", value: .string(userID)),
            JSONMember(key: "url", value: .string(url ?? fixture.hook)),
        ]
        if let code { members.append(JSONMember(key: "code", value: .string(code))) }
        let text = String(decoding: JSONValue.object(members).serialized(), as: UTF8.self)
        let response = try await fixture.send("POST", "/_sandbox/webhooks", text)
        guard response.status == 200 else { throw TestFailure(response.body.string() ?? "") }
    }
    /// The id of seed 1's `customer-1`.
    private let userID = "usr_" + Identifiers(seed: 1).token("user", "customer-1", length: 14)

    @Test func `climbs the ladder, signs each attempt anew, and tells the truth of it`() async throws {
        try await Fixture.with { fixture in
            _ = try await fixture.user()
            fixture.answers.withLock { $0 = [.empty(500), .empty(401), .empty(204), .empty(200)] }
            try await fire(fixture)
            var tokens: [VerificationToken] = []
            for gap in [30, 120, 480, 0] {
                let webhook = try await fixture.webhooks.next("an attempt")
                tokens.append(try VerificationToken.parse(webhook.tokens[0]).get())
                let step = try await fixture.steps.next("its end")
                #expect(step.next == (gap == 0 ? .done : .again(after: .seconds(gap))))
                guard gap > 0 else { continue }
                fixture.clock.advance(by: .seconds(gap) - .milliseconds(1))
                #expect(fixture.webhooks.count == 0)
                fixture.clock.advance(by: .milliseconds(1))
            }
            #expect(tokens.map { ($0.claims.issuedAt - Fixture.start).inSeconds.rounded() } == [0, 30, 150, 630])
            let sent = try await fixture.truth()["webhooks"]?.arrayValue?.first
            #expect(sent?["acknowledged"]?.boolValue == true)
            #expect(sent?["attempts"]?.arrayValue?.map { $0["status"]?.intValue } == [500, 401, 204, 200])
        }
    }

    @Test func `waits as long as a 429 asks, at any speed`() async throws {
        try await Fixture.with(speed: 1_000) { fixture in
            _ = try await fixture.user()
            fixture.answers.withLock { $0 = [.empty(429, retryAfter: 12)] }
            try await fire(fixture)
            _ = try await fixture.webhooks.next("the first attempt")
            #expect(try await fixture.steps.next("its end").next == .again(after: .seconds(12)))
            fixture.clock.advance(by: .seconds(11))
            #expect(fixture.webhooks.count == 0)
            fixture.clock.advance(by: .seconds(1))
            _ = try await fixture.webhooks.next("the second attempt")
            #expect(try await fixture.steps.next("its end").next == .done)
        }
    }

    @Test func `gives up while more than nine in ten are refused, per URL`() async throws {
        try await Fixture.with { fixture in
            _ = try await fixture.user()
            fixture.answers.withLock { $0 = Array(repeating: .empty(500), count: 30) }
            try await fire(fixture, copies: 12)
            var steps: [DeliveryLadder.Step] = []
            for _ in 0..<12 { steps.append(try await fixture.steps.next("the end of an attempt").next) }
            #expect(steps.filter { $0 == .lost(.refusesMost) }.count == 3)
            // The rule is looked at again when a retry is due.
            fixture.clock.advance(by: .seconds(31))
            let states =
                try await fixture.truth()["webhooks"]?.arrayValue?.compactMap { $0["state"]?.stringValue } ?? []
            #expect(states == Array(repeating: "lost: refuses_most", count: 12))
            fixture.answers.withLock { $0 = [] }
            let other = fixture.hook.replacing("127.0.0.1", with: "localhost")
            try await fire(fixture, url: other)
            #expect(try await fixture.steps.next("the other URL").next == .done)
        }
    }

    @Test func `a receiver that is not there is an attempt without an answer`() async throws {
        try await Fixture.with { fixture in
            _ = try await fixture.user()
            try await fire(fixture, url: "http://127.0.0.1:1/hook")
            let step = try await fixture.steps.next("the end of the attempt")
            #expect(step.answer == .unanswered("connect"))
            #expect(step.next == .again(after: .seconds(30)))
        }
    }

    @Test func `many webhooks arrive all, under both codes`() async throws {
        try await Fixture.with { fixture in
            _ = try await fixture.readyUser()
            try await fire(fixture, copies: 150, code: "both")
            var codes: [String: Int] = [:]
            var bodies: Set<String> = []
            for _ in 0..<300 {
                let webhook = try await fixture.webhooks.next("one of 300")
                codes[webhook.json["webhook_code"]?.stringValue ?? "", default: 0] += 1
                bodies.insert(webhook.text)
            }
            for _ in 0..<300 { #expect(try await fixture.steps.next("its end").next == .done) }
            #expect(codes == ["USER_CHECK_REPORT_READY": 150, "CHECK_REPORT_READY": 150])
            #expect(bodies.count == 2)
            #expect(try await fixture.truth()["webhooks_acknowledged"]?.intValue == 301)
        }
    }

    @Test func `fire_webhook and any body are signed and sent`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user()
            try await fixture.plaid.fireWebhook(
                code: "USER_CHECK_REPORT_FAILED",
                user: user.reference,
                url: fixture.hook
            )
            let fired = try await fixture.webhooks.next("the fired webhook")
            #expect(fired.json["webhook_code"]?.stringValue == "USER_CHECK_REPORT_FAILED")
            let body = #"{"webhook_type": "ITEM", "webhook_code": "ERROR", "item_id": "i"}"#
            let sent = try await fixture.send(
                "POST",
                "/_sandbox/webhooks",
                "{\"body\": \(body), \"url\": \"\(fixture.hook)\"}"
            )
            #expect(sent.status == 200)
            let other = try await fixture.webhooks.next("the given body")
            #expect(other.json["item_id"]?.stringValue == "i")
            #expect(other.tokens.count == 1)
        }
    }

    @Test func `a silent report is made and never announced`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user("customer-1~silent")
            try await fixture.item(user)
            try await fixture.create(user)
            fixture.clock.advance(by: .seconds(10))
            _ = try await fixture.good(ReportProduct.baseReport.path, user.naming())
            #expect(try await fixture.truth()["webhooks_sent"]?.intValue == 0)
        }
    }
}
