// Faults on demand, seen from a client.

import Basics
import Cryptography
import HTTPClient
import JSON
import PlaidAPI
import Testing

@testable import PlaidSandbox

@Suite struct FaultTests {
    private func put(_ fixture: Fixture, _ rules: String) async throws {
        let response = try await fixture.send("PUT", "/_sandbox/faults", "{\"rules\": [\(rules)]}")
        guard response.status == 200 else { throw TestFailure(response.body.string() ?? "") }
    }

    /// How reading the base report ends.
    private func read(_ fixture: Fixture, _ user: Fixture.User) async -> String {
        do {
            let response = try await fixture.post(ReportProduct.baseReport.path, user.naming())
            let isWhole = (try? JSON.parse(response.body)) != nil
            return "\(response.status) \(isWhole ? "JSON" : response.contentType ?? "")"
        } catch let error as HTTPClientError {
            return error.kind.name
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [
        (#"{"drop": true}"#, "empty_answer"),
        (#"{"cut_after": 1000}"#, "cut_answer"),
        (#"{"overpromise": 7}"#, "cut_answer"),
        (#"{"truncate_to": 1000}"#, "200 application/json"),
        (#"{"html": true}"#, "200 text/html"),
        (#"{"error_type": "API_ERROR", "error_code": "INTERNAL_SERVER_ERROR", "status": 500}"#, "500 JSON"),
        (#"{"retry_after": 7}"#, "429 JSON"),
    ])
    func `each kind is what the client meets, once, and then all is well`(_ rule: String, _ seen: String) async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.readyUser()
            try await put(fixture, rule.dropLast() + #", "count": 1, "endpoint": "/cra/*"}"#)
            #expect(await read(fixture, user) == seen)
            #expect(await read(fixture, user) == "200 JSON")
            let report = try await fixture.truth()["reports"]?.arrayValue?.first
            #expect(report?["times_served"]?.intValue == 1)
            let rules = try JSON.parse(try await fixture.send("GET", "/_sandbox/faults", "").body)
            #expect(rules["rules"]?.arrayValue?.first?["hits"]?.intValue == 1)
            #expect(rules["rules"]?.arrayValue?.first?["left"]?.intValue == 0)
        }
    }

    @Test func `a 429 carries its Retry-After, an error its type and code`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.readyUser()
            try await put(fixture, #"{"retry_after": 7}"#)
            let response = try await fixture.post(ReportProduct.baseReport.path, user.naming())
            #expect(response.retryAfter == .seconds(7))
            #expect(try Fixture.refusal(response) == "429 RATE_LIMIT_EXCEEDED/RATE_LIMIT")
            try await put(fixture, #"{"error_type": "ITEM_ERROR", "error_code": "ITEM_LOCKED"}"#)
            let error = try await fixture.post(ReportProduct.baseReport.path, user.naming())
            #expect(try Fixture.refusal(error) == "400 ITEM_ERROR/ITEM_LOCKED")
            #expect(try await fixture.send("DELETE", "/_sandbox/faults", "").status == 200)
            #expect(await read(fixture, user) == "200 JSON")
        }
    }

    @Test func `rules choose by user and product, and skip`() async throws {
        try await Fixture.with { fixture in
            let one = try await fixture.readyUser("one")
            let two = try await fixture.readyUser("two", .legacy)
            try await put(
                fixture,
                """
                {"user_id": "\(two.id)", "product": "cra_base_report", "skip": 1, "status": 500}
                """
            )
            #expect(await read(fixture, one) == "200 JSON")
            #expect(await read(fixture, two) == "200 JSON")
            #expect(await read(fixture, two) == "500 JSON")
            _ = try await fixture.good(ReportProduct.incomeInsights.path, two.naming())
        }
    }

    @Test func `a share is met by that share of the calls`() throws {
        let json = try JSON.parse(Array(#"[{"share": 0.3, "drop": true}]"#.utf8))
        var rules = FaultRules(seed: 5)
        rules.replace(try FaultRules.parse(json))
        let met = (0..<10_000).count { _ in rules.meet(path: "/x", userID: nil, product: nil).answer != nil }
        #expect((2_800...3_200).contains(met))
    }

    @Test func `latency passes on the sandbox's clock before the answer`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.readyUser()
            try await put(fixture, #"{"latency_ms": 60000, "endpoint": "/cra/check_report/base_report/get"}"#)
            let before = fixture.sandbox.timers.count
            async let answer = read(fixture, user)
            // The clock must not move before the call waits on it.
            let limit = MonotonicClock.system.now() + .seconds(20)
            while fixture.sandbox.timers.count == before, MonotonicClock.system.now() < limit { await Task.yield() }
            fixture.clock.advance(by: .seconds(60))
            #expect(await answer == "200 JSON")
        }
    }

    @Test(arguments: [
        "7", "{}", #"{"rules": 7}"#, #"{"rules": [{}]}"#, #"{"rules": [{"drop": 1}]}"#,
        #"{"rules": [{"drop": true, "html": true}]}"#, #"{"rules": [{"drop": true, "share": 1.5}]}"#,
        #"{"rules": [{"explode": true}]}"#, #"{"rules": [{"drop": true, "count": 0}]}"#,
        #"{"rules": [{"drop": true}], "more": 1}"#, "{",
    ])
    func `rules that make no sense are refused and change nothing`(_ body: String) async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.readyUser()
            try await put(fixture, #"{"status": 503}"#)
            #expect(try await fixture.send("PUT", "/_sandbox/faults", body).status == 400)
            #expect(await read(fixture, user) == "503 JSON")
        }
    }

    @Test func `the truth has the hash and the size of what was served`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.readyUser()
            let response = try await fixture.post(ReportProduct.baseReport.path, user.naming())
            _ = try await fixture.post(ReportProduct.baseReport.path, user.naming())
            let reports = try #require(try await fixture.truth()["reports"]?.arrayValue)
            #expect(reports.count == 3)
            let base = try #require(reports.first { $0["product"]?.stringValue == "cra_base_report" })
            #expect(base["sha256"]?.stringValue == SHA256.hash(response.body).hex)
            #expect(base["byte_count"]?.intValue == Int64(response.body.count))
            #expect(base["times_served"]?.intValue == 2)
            #expect(base["user_id"]?.stringValue == user.id)
            let facts = try ReportFacts.read(.baseReport, response.body)
            #expect(base["report_id"]?.stringValue == facts.reportID)
            let income = try #require(reports.first { $0["product"]?.stringValue == "cra_income_insights" })
            #expect(income["sha256"]?.isNull == true)
            let others = try await fixture.send("GET", "/_sandbox/truth?user_id=usr_nobody", "")
            #expect(try JSON.parse(others.body)["reports"]?.arrayValue?.isEmpty == true)
        }
    }
}
