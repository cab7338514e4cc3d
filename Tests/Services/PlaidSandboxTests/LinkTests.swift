// Played sessions.

import Basics
import HTTPClient
import JSON
import PlaidAPI
import Testing

@testable import PlaidSandbox

@Suite struct LinkTests {
    @Test func `a Link session ends with a webhook, an Item and its report`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user()
            let made = try await fixture.good(
                "/link/token/create",
                user.naming([
                    JSONMember(key: "client_name", value: "Lender"), JSONMember(key: "language", value: "en"),
                    JSONMember(key: "country_codes", value: ["US"]),
                    JSONMember(key: "products", value: ["cra_base_report"]),
                    JSONMember(key: "webhook", value: .string(fixture.hook)),
                    JSONMember(key: "consumer_report_permissible_purpose", value: "EXTENSION_OF_CREDIT"),
                    JSONMember(key: "cra_options", value: ["days_requested": 365]),
                ])
            )
            let linkToken = try #require(made["link_token"]?.stringValue)
            let finished = try await fixture.makeReady()
            #expect(finished.json["webhook_code"]?.stringValue == "SESSION_FINISHED")
            #expect(finished.json["link_token"]?.stringValue == linkToken)
            #expect(finished.json["user_id"]?.stringValue == user.id)
            let token = try #require(finished.json["public_tokens"]?.stringArrayValue?.first)
            try await fixture.good("/item/public_token/exchange", ["public_token": .string(token)])
            let ready = try await fixture.makeReady()
            #expect(ready.json["webhook_code"]?.stringValue == "USER_CHECK_REPORT_READY")
            _ = try await fixture.plaid.fetchReport(.baseReport, user: user.reference)
        }
    }

    @Test func `a Layer session ends with a profile token, and its user has an Item`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user()
            try await fixture.good(
                "/session/token/create",
                ["template_id": "template_1", "user_id": .string(user.id), "webhook": .string(fixture.hook)]
            )
            let finished = try await fixture.makeReady()
            let token = finished.json["public_tokens"]?.stringArrayValue?.first ?? ""
            #expect(token.hasPrefix("profile-sandbox-"))
            try await fixture.create(user)
            let ready = try await fixture.makeReady()
            #expect(ready.json["webhook_code"]?.stringValue == "USER_CHECK_REPORT_READY")
        }
    }
}
