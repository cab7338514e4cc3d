// Whom a webhook is about, what its request's row says, and what logs never say.

import Basics
import Cryptography
import HTTPClient
import JSON
import Kafka
import PipelineEvents
import PlaidAPI
import ReportStore
import ServiceKit
import Testing
import WorkerKit

@testable import ReportConsumer

@Suite struct UsersAndRequestsTests {
    private static let legacy = "8f14e45fceea167a5a36dedd4bea2543"

    @Test func `a legacy user is fetched by token and stored under the canonical id`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database, ScriptedPlaid { _, _ in .report() })
            try await rig.addUser(Self.legacy, client: "c1", token: "user-sandbox-0b0e")
            let event = rig.event(Body.webhook("CHECK_REPORT_READY", user: Self.legacy))
            #expect(await rig.handle(event).short == "done")
            #expect(rig.plaid.asked[0]["user_token"]?.stringValue == "user-sandbox-0b0e")
            #expect(rig.plaid.asked[0]["user_id"] == nil)
            #expect(rig.announcer.announced.withLock { $0.first?.userID } == Self.legacy)

            // The user gets a new id: webhooks under either name are the same user's.
            try await rig.addUser("usr_9", client: "c1")
            #expect(await rig.handle(rig.event(Body.webhook(user: "usr_9"))).short == "done")
            #expect(rig.plaid.requests.count == 1)
            #expect(await rig.handle(rig.event(Body.webhook(user: Self.legacy), at: moment(1))).short == "done")
            #expect(rig.plaid.requests.count == 2)
            #expect(try await database.sql("select user_id from reports") == ["usr_9"])
            #expect(try await database.requestStates() == ["usr_9|cra_base_report|stored"])
            #expect(rig.announcer.announced.withLock { $0.last?.userID } == "usr_9")
        }
    }

    @Test func `a report stored before the user's ids were known as one still answers`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            #expect(await rig.handle(rig.event(Body.webhook(user: "usr_1"))).short == "done")
            try await database.sql(
                """
                insert into plaid_users (environment, user_id, aliases) values ('sandbox', 'usr_7', '{usr_7,usr_1}');
                insert into plaid_user_aliases (environment, alias, plaid_user)
                select 'sandbox', a, id from plaid_users, unnest(aliases) a
                """
            )
            #expect(await rig.handle(rig.event(Body.webhook(user: "usr_7"))).short == "done")
            #expect(rig.plaid.requests.count == 1)
            #expect(rig.announcer.announced.withLock { $0.map(\.userID) } == ["usr_1", "usr_7"])
        }
    }

    @Test(arguments: ["usr_unheard_of", "user-sandbox-0b0e6c1e"])
    func `an id that calls take is fetched without a row`(id: String) async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            #expect(await rig.handle(rig.event(Body.webhook(user: id))).short == "done")
            #expect(rig.plaid.asked[0]["user_id"]?.stringValue == id)
            #expect(try await database.sql("select user_id from reports") == [id])
        }
    }

    @Test func `another id without a row is a dead letter, and a replay after the user was added is not`() async throws
    {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            let event = rig.event(Body.webhook(user: Self.legacy))
            #expect(await rig.handle(event).short == "park user/unknown_user")
            #expect(rig.plaid.requests.isEmpty)
            #expect(try await database.requestStates() == ["\(Self.legacy)|cra_base_report|dead"])
            let failed = rig.event(Body.webhook("CHECK_REPORT_FAILED", user: "another"))
            #expect(await rig.handle(failed).short == "park user/unknown_user")

            try await rig.addUser(Self.legacy, token: "user-sandbox-0b0e")
            try await rig.addUser("another")
            #expect(await rig.handle(event).short == "done")
            #expect(await rig.handle(failed).short == "done")
            #expect(
                try await database.requestStates()
                    == ["\(Self.legacy)|cra_base_report|stored", "another|cra_base_report|failed"]
            )
        }
    }

    @Test func `a replayed dead letter is pending again while it is tried`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(
                database,
                ScriptedPlaid(
                    .error("USER_ERROR", "USER_NOT_FOUND"),
                    .error("API_ERROR", "INTERNAL_SERVER_ERROR", status: 500)
                )
            )
            #expect(await rig.handle(rig.event()).short == "park USER_ERROR/USER_NOT_FOUND")
            #expect(
                try await database.sql("select state, last_error_type, last_error_code from report_requests")
                    == ["dead|USER_ERROR|USER_NOT_FOUND"]
            )
            #expect(await rig.handle(rig.event()).short == "retry transient")
            #expect(try await database.requestStates() == ["usr_1|cra_base_report|pending"])
        }
    }

    @Test func `a user row without a token that calls could take is a dead letter too`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            try await rig.addUser(Self.legacy)
            #expect(await rig.handle(rig.event(Body.webhook(user: Self.legacy))).short == "park user/unknown_user")
        }
    }

    @Test func `a user id that no text column holds is a dead letter`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            #expect(await rig.handle(rig.event(Body.webhook(user: "x\\u0000y"))).short == "park user/unknown_user")
            let usable = await rig.handle(rig.event(Body.webhook(user: "usr_\\u0000y")))
            #expect(usable.short.hasPrefix("park database/"))
            #expect(rig.plaid.requests.isEmpty)
        }
    }

    @Test func `a token sealed with a key that is not configured pauses everything`() async throws {
        try await TestDatabase.with { database in
            try await Rig(database).addUser(Self.legacy, token: "user-sandbox-0b0e")
            let rig = try Rig(database, ring: try TestDatabase.ring("k2"))
            #expect(await rig.handle(rig.event(Body.webhook(user: Self.legacy))).short == "pause")
            #expect(try await database.requestStates().isEmpty)
        }
    }

    // MARK: Failures

    @Test func `FAILED sets all of the user's products, else the expected ones`() async throws {
        try await TestDatabase.with { database in
            let income = try Rig(database, ScriptedPlaid(.report(product: .incomeInsights)), product: .incomeInsights)
            let named = Body.webhook(more: "\"successful_products\": [\"cra_income_insights\"]")
            #expect(await income.handle(income.event(named, at: moment(0))).short == "done")
            // A user nobody heard of: the expected products, though another consumer sees it first.
            let unheard = Body.webhook("USER_CHECK_REPORT_FAILED", user: "usr_2")
            #expect(await income.handle(income.event(unheard, at: moment(1))).short == "done")
            let all = Body.webhook(
                "USER_CHECK_REPORT_FAILED",
                more: #""failed_products": [], "error": {"error_type": "CHECK_REPORT_ERROR", "error_code": "#
                    + #""DATA_UNAVAILABLE", "error_message": "x", "display_message": null}"#
            )
            let base = try Rig(database)
            #expect(await base.handle(base.event(all, at: moment(1))).short == "done")
            #expect(
                try await database.requestStates()
                    == ["usr_1|cra_income_insights|failed", "usr_2|cra_base_report|failed"]
            )
            #expect(
                try await database.sql(
                    "select last_error_type, last_error_code from report_requests where user_id = 'usr_1'"
                ) == ["CHECK_REPORT_ERROR|DATA_UNAVAILABLE"]
            )
            #expect(base.plaid.requests.isEmpty)
            #expect(base.announcer.reportIDs.isEmpty)
        }
    }

    @Test func `a READY's failed product is failed without a fetch, and the newest word by receipt stands`()
        async throws
    {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            let failed = Body.webhook(
                more: #""successful_products": ["cra_income_insights"], "failed_products": ["cra_base_report"]"#
            )
            #expect(await rig.handle(rig.event(failed, at: moment(5))).short == "done")
            #expect(rig.plaid.requests.isEmpty)
            #expect(try await database.requestStates() == ["usr_1|cra_base_report|failed"])
            // An older READY is fetched, since a report may be readable, but its row is older news.
            #expect(await rig.handle(rig.event(at: moment(0))).short == "done")
            #expect(try await database.requestStates() == ["usr_1|cra_base_report|failed"])
            #expect(await rig.handle(rig.event(at: moment(9))).short == "done")
            #expect(try await database.requestStates() == ["usr_1|cra_base_report|stored"])
            #expect(await rig.handle(rig.event(failed, at: moment(5))).short == "done")
            #expect(try await database.requestStates() == ["usr_1|cra_base_report|stored"])
        }
    }

    // MARK: Logs

    @Test func `no log line and no metric names a user, a token or a body`() async throws {
        try await TestDatabase.with { database in
            let answers: [ScriptedPlaid.Answer] = [
                .report(more: #","owner":"Zyx Wvut","warnings":[{"warning_code":"USER_FRAUD_ALERT"}]"#),
                .error("API_ERROR", "INTERNAL_SERVER_ERROR", status: 500), .error("INVALID_INPUT", "INVALID_API_KEYS"),
                .error("USER_ERROR", "USER_NOT_FOUND"), .answer(200, Bytes(utf8: "<p>Zyx Wvut</p>"), type: "text/html"),
                .failure(HTTPClientError(.connect, message: "m")), .report(),
            ]
            let rig = try Rig(
                database,
                ScriptedPlaid { _, index in answers[index % answers.count] }
            )
            try await rig.addUser(Self.legacy, token: "user-sandbox-0b0e")
            for step in 0..<answers.count {
                let user = step == answers.count - 1 ? "usr_secret_2" : Self.legacy
                _ = await rig.handle(rig.event(Body.webhook(user: user), at: moment(Double(step))))
            }
            _ = await rig.handle(rig.event(Body.webhook(user: "nobody-knows-me"), at: moment(50)))
            _ = await rig.expire(rig.event(Body.webhook(user: "usr_secret_3"), at: moment(60)))
            let logs = rig.logs.withLock { $0.joined() }
            #expect(rig.plaid.requests.count == answers.count)
            for part in [
                "a report carries a fraud alert", "tried again later", "cannot be handled", "mixed up", "expired",
            ] {
                #expect(logs.contains(part))
            }
            let said = logs + String(decoding: rig.metrics.render(), as: UTF8.self)
            for secret in [
                Self.legacy, "usr_secret", "nobody-knows-me", "user-sandbox", "Zyx", "hush", "token-as-received",
            ] {
                #expect(!said.contains(secret), "\(secret) was told")
            }
        }
    }
}
