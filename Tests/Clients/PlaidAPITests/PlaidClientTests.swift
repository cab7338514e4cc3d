import Basics
import Cryptography
import HTTPClient
import JSON
import PlaidAPI
import Testing

@Suite struct FetchReportTests {
    private let user = UserReference.userID("usr_1")

    @Test func `sends what Plaid wants and hands the bytes on as they came`() async throws {
        let transport = ScriptedTransport(.answer(200, Fixture.baseReport))
        let client = Fixture.client(transport)
        let deadline = MonotonicInstant.distantFuture
        let report = try await client.fetchReport(.baseReport, user: user, deadline: deadline)
        #expect(report.body == Bytes(utf8: Fixture.baseReport))
        #expect(report.requestID == "bQ3")
        #expect(report.silentRepeats == 1)
        #expect(report.facts.reportID == "rB7kQ1zMxT")

        let request = try #require(transport.requests.first)
        #expect(request.method == "POST")
        #expect(request.url == "https://plaid.test/prefix/cra/check_report/base_report/get")
        #expect(try JSON.parse(request.body) == ["user_id": "usr_1"])
        #expect(request.isRepeatable)
        #expect(!request.needsFreshConnection)
        #expect(request.deadline == deadline)
        #expect(request.timeouts == .report)
        let headers = Dictionary(uniqueKeysWithValues: request.headers.map { ($0.name, $0.value.description) })
        #expect(headers["PLAID-CLIENT-ID"] == "client-1")
        #expect(headers["PLAID-SECRET"] == "<redacted>")
        #expect(headers["Plaid-Version"] == "2020-09-14")
        #expect(headers["Content-Type"] == "application/json")
    }

    @Test func `names a legacy user by its token`() async throws {
        let transport = ScriptedTransport(.answer(200, Fixture.baseReport))
        let legacy = UserReference.userToken(Secret("user-sandbox-1"))
        _ = try await Fixture.client(transport).fetchReport(.baseReport, user: legacy)
        #expect(try JSON.parse(transport.requests[0].body) == ["user_token": "user-sandbox-1"])
    }

    @Test func `asks for the income version each time and repeats on a new connection when told`() async throws {
        let body = #"{"report":{"report_id":"i","generated_time":"2026-11-20T03:04:09Z"},"request_id":"q"}"#
        let transport = ScriptedTransport(.answer(200, body))
        _ = try await Fixture.client(transport).fetchReport(.incomeInsights, user: user, fresh: true)
        let request = transport.requests[0]
        #expect(request.url.hasSuffix("/cra/check_report/income_insights/get"))
        #expect(request.needsFreshConnection)
        let expected: JSONValue = ["user_id": "usr_1", "options": ["income_insights_version": "II2"]]
        #expect(try JSON.parse(request.body) == expected)
    }

    static let noReports: [(Int, String, String?, FailureClass)] = [
        (200, "<html>maintenance</html>", "text/html", .retry(slow: false)),
        (200, Fixture.baseReport, "text/html", .retry(slow: false)),
        (200, Fixture.baseReport, nil, .retry(slow: false)),
        (200, "<html>maintenance</html>", "application/json", .retry(slow: false)),
        (200, "", "application/json", .retry(slow: false)),
        (200, String(Fixture.baseReport.dropLast()), "application/json", .retry(slow: false)),
        (200, String(Fixture.baseReport.prefix(40)), "application/json", .retry(slow: false)),
        (200, Fixture.baseReport + "{}", "application/json", .retry(slow: false)),
        (200, "[]", "application/json", .retry(slow: false)),
        (200, "null", "application/json", .retry(slow: false)),
        (200, #"{"request_id":"q"}"#, "application/json", .wait),
        (200, #"{"report":null,"request_id":"q"}"#, "application/json", .wait),
        (200, #"{"report":[],"request_id":"q"}"#, "application/json", .wait),
        (200, Fixture.error("CONSUMER_REPORT_ERROR", "CONSUMER_REPORT_EXPIRED"), "application/json", .regenerate),
        (200, Fixture.error("NEW", "NEW"), "application/json", .wait),
        (204, "", nil, .retry(slow: false)),
        (302, "", nil, .retry(slow: false)),
        (400, Fixture.error("CONSUMER_REPORT_ERROR", "PRODUCT_NOT_READY"), "application/json", .wait),
        (400, Fixture.error("NEW", "NEW"), "application/json", .permanent),
        (400, "<html>blocked</html>", "text/html", .retry(slow: false)),
        (400, "", nil, .retry(slow: false)),
        (400, "{}", "application/json", .retry(slow: false)),
        (403, "<html>blocked</html>", "text/html", .retry(slow: false)),
        (408, "", nil, .retryAtOnceFresh),
        (429, "", nil, .retry(slow: false)),
        (500, Fixture.error("API_ERROR", "INTERNAL_SERVER_ERROR"), "application/json", .retry(slow: false)),
        (502, "bad gateway", "text/plain", .retry(slow: false)),
        (503, "", nil, .retry(slow: false)),
        (504, "", nil, .retry(slow: false)),
    ]

    @Test(arguments: noReports)
    func `classifies every answer that is no report`(
        _ status: Int,
        _ body: String,
        _ type: String?,
        _ expected: FailureClass
    ) async throws {
        let client = Fixture.client(ScriptedTransport(.answer(status, body, type: type)))
        let failure = try #require(
            await failure { () throws(PlaidFailure) in try await client.fetchReport(.baseReport, user: user) }
        )
        #expect(failure.class == expected)
        #expect(failure.status == status)
        #expect(failure.sent == .answeredInPart)
    }

    @Test func `a report too deep to read is not asked for again`() async throws {
        let deep = #"{"report":"# + String(repeating: "[", count: 1_100) + String(repeating: "]", count: 1_100) + "}"
        let client = Fixture.client(ScriptedTransport(.answer(200, deep)))
        let failure = try #require(
            await failure { () throws(PlaidFailure) in try await client.fetchReport(.baseReport, user: user) }
        )
        #expect(failure.class == .permanent)
    }

    @Test func `tells everything about a failure but bodies and secrets`() async throws {
        let answer = Fixture.error("RATE_LIMIT_EXCEEDED", "RATE_LIMIT")
        let client = Fixture.client(ScriptedTransport(.answer(429, answer, retryAfter: .seconds(7))))
        let failure = try #require(
            await failure { () throws(PlaidFailure) in try await client.fetchReport(.baseReport, user: user) }
        )
        #expect(failure.errorType == "RATE_LIMIT_EXCEEDED")
        #expect(failure.errorCode == "RATE_LIMIT")
        #expect(failure.requestID == "e1")
        #expect(failure.retryAfter == .seconds(7))
        #expect(failure.message == "RATE_LIMIT_EXCEEDED RATE_LIMIT (HTTP 429)")
        #expect("\(failure)" == failure.message)
        #expect(failure.body?.errorMessage == "words")
    }

    @Test func `takes no names from an answer that are none`() async throws {
        let answer = #"{"error_type":"A\nB","error_code":"x y","request_id":"\u0000"}"#
        let headers = [(name: "plaid-request-id", value: "abc 123\u{1b}[0m")]
        let client = Fixture.client(ScriptedTransport(.answer(400, answer, headers: headers)))
        let failure = try #require(
            await failure { () throws(PlaidFailure) in try await client.fetchReport(.baseReport, user: user) }
        )
        #expect(failure.errorType == nil)
        #expect(failure.requestID == nil)
        #expect(failure.class == .retry(slow: false))
    }

    @Test func `passes on what the transport knows`() async throws {
        let error = HTTPClientError(.timeout(.firstByte), sent: .maybe, message: "slow")
        let client = Fixture.client(ScriptedTransport(.failure(error)))
        let failure = try #require(
            await failure { () throws(PlaidFailure) in try await client.fetchReport(.baseReport, user: user) }
        )
        #expect(failure.class == .retry(slow: false))
        #expect(failure.sent == .maybe)
        #expect(failure.transport == error)
        #expect(failure.isUpstreamTrouble)
        #expect(failure.status == nil)
    }
}

@Suite struct PlaidCallsTests {
    private func order(_ products: [String]) -> ReportOrder {
        ReportOrder(
            user: .userID("usr_1"),
            webhook: "https://hooks.test/plaid",
            daysRequested: 365,
            daysRequired: 90,
            permissiblePurpose: "EXTENSION_OF_CREDIT",
            clientReportID: "loan-1",
            products: products
        )
    }

    @Test func `creates a report in a request that is never repeated`() async throws {
        let transport = ScriptedTransport(.answer(200, #"{"request_id":"Lq0"}"#))
        let id = try await Fixture.client(transport).createReport(order(["cra_base_report", "cra_income_insights"]))
        #expect(id == "Lq0")
        #expect(!transport.requests[0].isRepeatable)
        let expected: JSONValue = [
            "user_id": "usr_1", "webhook": "https://hooks.test/plaid", "days_requested": 365, "days_required": 90,
            "consumer_report_permissible_purpose": "EXTENSION_OF_CREDIT", "client_report_id": "loan-1",
            "products": ["cra_base_report", "cra_income_insights"],
            "income_insights": ["income_insights_version": "II2"],
        ]
        #expect(try JSON.parse(transport.requests[0].body) == expected)
    }

    static let effects: [(Result<HTTPClientResponse, HTTPClientError>, Bool)] = [
        (.failure(HTTPClientError(.connect, sent: .never, message: "")), false),
        (.failure(HTTPClientError(.timeout(.firstByte), sent: .maybe, message: "")), true),
        (.failure(HTTPClientError(.cutAnswer, sent: .answeredInPart, message: "")), true),
        (.answer(500, Fixture.error("API_ERROR", "INTERNAL_SERVER_ERROR")), true),
        (.answer(502, "", type: nil), true),
        (.answer(200, "<html>", type: "text/html"), true),
        (.answer(400, "<html>", type: "text/html"), true),
        (.answer(400, Fixture.error("INVALID_REQUEST", "INVALID_FIELD")), false),
        (.answer(429, Fixture.error("RATE_LIMIT_EXCEEDED", "RATE_LIMIT")), false),
    ]

    @Test(arguments: effects)
    func `says whether a failed creation may have worked`(
        _ answer: Result<HTTPClientResponse, HTTPClientError>,
        _ expected: Bool
    ) async throws {
        let client = Fixture.client(ScriptedTransport(answer))
        let order = order([])
        let failure = try #require(await failure { () throws(PlaidFailure) in try await client.createReport(order) })
        #expect(failure.mayHaveTakenEffect == expected)
    }

    @Test(arguments: [200, 201])
    func `creates a user, new or legacy`(_ status: Int) async throws {
        let body = #"{"user_id":"usr_9","user_token":"user-sandbox-9","request_id":"q"}"#
        let transport = ScriptedTransport(.answer(status, body), .answer(status, #"{"user_id":"usr_9"}"#))
        let client = Fixture.client(transport)
        let legacy = try await client.createUser(clientUserID: "c-1", identity: ["name": ["given_name": "Ines"]])
        #expect(legacy.userID == "usr_9")
        #expect(legacy.userToken?.reveal() == "user-sandbox-9")
        #expect("\(legacy)".contains("user-sandbox-9") == false)
        let new = try await client.createUser(clientUserID: "c-1")
        #expect(new.userToken == nil)
        let expected: JSONValue = ["client_user_id": "c-1", "identity": ["name": ["given_name": "Ines"]]]
        #expect(try JSON.parse(transport.requests[0].body) == expected)
        #expect(!transport.requests[0].isRepeatable)
    }

    @Test func `lists a user's Items with what stops them`() async throws {
        let body = """
            {"items":[{"item_id":"k1","institution_id":"ins_1","institution_name":"First","error":{"error_type":\
            "ITEM_ERROR","error_code":"ITEM_LOGIN_REQUIRED","error_message":"x","display_message":null}},\
            {"item_id":"k2","error":null,"new_field":[1]},{"no_id":true},7],"request_id":"k5"}
            """
        let items = try await Fixture.client(ScriptedTransport(.answer(200, body))).userItems(.userID("usr_1"))
        #expect(items.map(\.itemID) == ["k1", "k2"])
        #expect(items[0].error?.errorCode == "ITEM_LOGIN_REQUIRED")
        #expect(items[1].error == nil)
    }

    @Test func `lists an Item's accounts`() async throws {
        let body = """
            {"accounts":[{"account_id":"a1","name":"Checking","mask":"0417","type":"depository","subtype":"checking",\
            "balances":{}}],"item":{"item_id":"k1"},"request_id":"q"}
            """
        let transport = ScriptedTransport(.answer(200, body))
        let found = try await Fixture.client(transport).accounts(accessToken: Secret("access-1"))
        #expect(found.accounts.map(\.accountID) == ["a1"])
        #expect(found.accounts[0].subtype == "checking")
        #expect(found.item?.itemID == "k1")
        #expect(try JSON.parse(transport.requests[0].body) == ["access_token": "access-1"])
    }

    @Test(arguments: ["{}", "[]", #"{"items":{}}"#, "<html>"])
    func `an answer without what was asked for is asked for again`(_ body: String) async throws {
        let client = Fixture.client(ScriptedTransport(.answer(200, body)))
        let failure = try #require(
            await failure { () throws(PlaidFailure) in try await client.userItems(.userID("usr_1")) }
        )
        #expect(failure.class == .retry(slow: false))
    }

    @Test(arguments: [
        ("usr_7Hq2Lm0RzYtKab", true), ("user-sandbox-0000", true), ("user-production-1", true),
        ("pQ9xWm4TnB7cVd2LrKs81HyzJfGe", false), ("USR_7", false), ("", false),
    ])
    func `knows the ids that requests take`(_ id: String, _ isUsable: Bool) {
        #expect((UserReference(webhookUserID: id) != nil) == isUsable)
    }
}

@Suite struct VerificationKeyAnswerTests {
    static func body(
        kid: String = Genuine.keyID,
        kty: String = "EC",
        crv: String = "P-256",
        alg: String = "ES256",
        use: String = "sig",
        x: String = Genuine.x,
        y: String = Genuine.y,
        expiry: String = "null"
    ) -> String {
        #"{"key":{"alg":"\#(alg)","created_at":1560466143,"crv":"\#(crv)","expired_at":\#(expiry),"kid":"\#(kid)","#
            + #""kty":"\#(kty)","use":"\#(use)","x":"\#(x)","y":"\#(y)"},"request_id":"q"}"#
    }

    private func answer(_ response: Result<HTTPClientResponse, HTTPClientError>) async -> VerificationKeyAnswer {
        await Fixture.client(ScriptedTransport(response)).verificationKey(id: Genuine.keyID)
    }

    @Test func `gives the key and Plaid's clock`() async throws {
        let date = Timestamp(secondsSinceEpoch: Genuine.issuedAt)
        let transport = ScriptedTransport(.answer(200, Self.body(), date: date))
        let answer = await Fixture.client(transport).verificationKey(id: Genuine.keyID)
        guard case .key(let key) = answer.outcome else {
            Issue.record("no key")
            return
        }
        #expect(key.kid == Genuine.keyID)
        #expect(key.expiredAt == nil)
        #expect(key.createdAt == Timestamp(secondsSinceEpoch: 1_560_466_143))
        #expect(answer.serverDate == date)
        #expect(transport.requests[0].timeouts == .keyLookup)
        #expect(try JSON.parse(transport.requests[0].body) == ["key_id": .string(Genuine.keyID)])
    }

    @Test func `completes the callback form too`() async throws {
        let promise = Promise<Bool>()
        Fixture.client(ScriptedTransport(.answer(200, Self.body()))).verificationKey(id: Genuine.keyID) { answer in
            if case .key = answer.outcome { promise.resolve(.success(true)) } else { promise.resolve(.success(false)) }
        }
        #expect(try await promise.value())
    }

    @Test(arguments: [("1612186627", Int64(1_612_186_627)), ("0", 0)])
    func `reads an expiry`(_ text: String, _ seconds: Int64) async {
        guard case .key(let key) = await answer(.answer(200, Self.body(expiry: text))).outcome else {
            Issue.record("no key")
            return
        }
        #expect(key.expiredAt == Timestamp(secondsSinceEpoch: seconds))
    }

    @Test(arguments: [
        body(kty: "RSA"), body(crv: "P-384"), body(alg: "ES384"), body(alg: "none"), body(use: "enc"),
    ])
    func `a key for something else is unfit`(_ body: String) async {
        guard case .unfit = await answer(.answer(200, body)).outcome else {
            Issue.record("fit")
            return
        }
    }

    static let unreadable = [
        body(kid: "another"), body(x: Genuine.y), body(x: ""), body(x: Genuine.x + "AA"), body(y: "not base64!"),
        body(expiry: #""soon""#), body(expiry: "1.5"), body(expiry: "-1"), body(expiry: "99999999999999"),
        #"{"request_id":"q"}"#, #"{"key":null}"#, #"{"key":{}}"#, #"{"key":[]}"#, "{}", "[]", "<html>", "",
    ]

    @Test(arguments: unreadable)
    func `an answer that cannot be read decides nothing`(_ body: String) async {
        guard case .failed(let failure) = await answer(.answer(200, body)).outcome else {
            Issue.record("decided")
            return
        }
        #expect(failure.class == .retry(slow: false))
    }

    @Test func `only Plaid's own word makes a key unknown`() async {
        let unknown = Fixture.error("INVALID_INPUT", "INVALID_WEBHOOK_VERIFICATION_KEY_ID")
        guard case .unknownKey = await answer(.answer(400, unknown)).outcome else {
            Issue.record("not unknown")
            return
        }
        let others: [Result<HTTPClientResponse, HTTPClientError>] = [
            .answer(400, Fixture.error("INVALID_INPUT", "INVALID_API_KEYS")),
            .answer(404, "<html>", type: "text/html"),
            .answer(500, Fixture.error("API_ERROR", "INTERNAL_SERVER_ERROR")),
            .failure(HTTPClientError(.timeout(.whole), sent: .maybe, message: "")),
        ]
        for other in others {
            guard case .failed = await answer(other).outcome else {
                Issue.record("decided by \(other)")
                continue
            }
        }
    }

    @Test func `fills short coordinates up with zeros`() async throws {
        // A pair whose x begins with a zero byte: one in 256.
        for _ in 0..<20_000 {
            let pair = try ES256PrivateKey()
            guard pair.publicX[0] == 0 else { continue }
            let short = Base64URL.encode(Array(pair.publicX.dropFirst()))
            let body = Self.body(x: short, y: Base64URL.encode(pair.publicY))
            guard case .key(let key) = await answer(.answer(200, body)).outcome else {
                Issue.record("no key")
                return
            }
            let digest = SHA256.hash([1, 2, 3])
            #expect(key.publicKey.verify(digest: digest, rawSignature: try pair.sign(digest: digest)) == .good)
            return
        }
        Issue.record("no such pair was made")
    }
}
