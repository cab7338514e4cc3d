// Every call that must fail, and how Plaid says so.

import Basics
import HTTPClient
import JSON
import PlaidAPI
import Testing

@testable import PlaidSandbox

@Suite struct RefusalTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let path: String
        let body: JSONValue
        let refusal: String
        let mention: String

        init(_ path: String, _ body: JSONValue, _ refusal: String, _ mention: String = "") {
            self.path = path
            self.body = body
            self.refusal = refusal
            self.mention = mention
        }
        var testDescription: String { "\(path) \(refusal) \(mention)" }
    }

    private static let create: JSONValue = [
        "user_id": "usr_nobody", "webhook": "http://127.0.0.1:1/", "days_requested": 365,
        "consumer_report_permissible_purpose": "EXTENSION_OF_CREDIT",
    ]
    private static func create(_ name: String, _ value: JSONValue?) -> JSONValue {
        var members = (create.objectValue ?? []).filter { $0.key != name }
        if let value { members.append(JSONMember(key: name, value: value)) }
        return .object(members)
    }

    static let cases = [
        Case("/user/create", [:], "400 INVALID_REQUEST/MISSING_FIELDS", "client_user_id"),
        Case("/user/create", ["client_user_id": 7], "400 INVALID_REQUEST/INVALID_FIELD", "client_user_id"),
        Case("/user/create", ["client_user_id": ""], "400 INVALID_REQUEST/INVALID_FIELD", "client_user_id"),
        Case(
            "/user/create",
            ["client_user_id": "a", "nickname": "b"],
            "400 INVALID_REQUEST/UNKNOWN_FIELDS",
            "nickname"
        ),
        Case(
            "/user/create",
            ["client_user_id": "a", "identity": ["name": ["given_name": "A"]]],
            "400 INVALID_REQUEST/MISSING_FIELDS",
            "identity.name.family_name"
        ),
        Case(
            "/user/create",
            ["client_user_id": "a", "identity": ["date_of_birth": "12 April"]],
            "400 INVALID_REQUEST/INVALID_FIELD",
            "date_of_birth"
        ),
        Case(
            "/user/create",
            ["client_user_id": "a", "identity": [:], "consumer_report_user_identity": ["first_name": "A"]],
            "400 INVALID_REQUEST/MISSING_FIELDS",
            "last_name"
        ),
        Case("/user/items/get", [:], "400 INVALID_REQUEST/MISSING_FIELDS", "user_id"),
        Case("/user/items/get", ["user_id": "usr_nobody"], "400 USER_ERROR/USER_NOT_FOUND"),
        Case("/user/items/get", ["user_token": "user-sandbox-x"], "400 INVALID_INPUT/INVALID_USER_TOKEN"),
        Case(
            "/user/items/get",
            ["user_id": "usr_a", "user_token": "user-sandbox-x"],
            "400 INVALID_REQUEST/INVALID_FIELD"
        ),
        Case(
            "/sandbox/public_token/create",
            ["institution_id": "ins_0", "initial_products": ["cra_base_report"]],
            "400 INVALID_INPUT/INVALID_INSTITUTION"
        ),
        Case(
            "/sandbox/public_token/create",
            ["institution_id": "ins_109508", "initial_products": ["cra_horoscope"]],
            "400 INVALID_REQUEST/INVALID_FIELD",
            "initial_products[0]"
        ),
        Case(
            "/sandbox/public_token/create",
            ["institution_id": "ins_109508", "initial_products": []],
            "400 INVALID_REQUEST/INVALID_FIELD",
            "initial_products"
        ),
        Case(
            "/sandbox/public_token/create",
            [
                "institution_id": "ins_109508", "initial_products": ["cra_base_report"],
                "options": ["username": "a"],
            ],
            "400 INVALID_REQUEST/UNKNOWN_FIELDS",
            "options.username"
        ),
        Case("/item/public_token/exchange", ["public_token": "x"], "400 INVALID_INPUT/INVALID_PUBLIC_TOKEN"),
        Case("/accounts/get", ["access_token": "x"], "400 INVALID_INPUT/INVALID_ACCESS_TOKEN"),
        Case("/cra/check_report/create", create, "400 USER_ERROR/USER_NOT_FOUND"),
        Case(
            "/cra/check_report/create",
            create("webhook", nil),
            "400 INVALID_REQUEST/MISSING_FIELDS",
            "webhook"
        ),
        Case("/cra/check_report/create", create("webhook", "ftp://x"), "400 INVALID_REQUEST/INVALID_FIELD", "webhook"),
        Case(
            "/cra/check_report/create",
            create("days_requested", 732),
            "400 INVALID_REQUEST/INVALID_FIELD",
            "days_requested"
        ),
        Case(
            "/cra/check_report/create",
            create("days_requested", 1.5),
            "400 INVALID_REQUEST/INVALID_FIELD",
            "days_requested"
        ),
        Case(
            "/cra/check_report/create",
            create("consumer_report_permissible_purpose", "CURIOSITY"),
            "400 INVALID_REQUEST/INVALID_FIELD",
            "consumer_report_permissible_purpose"
        ),
        Case("/cra/check_report/create", create("products", []), "400 INVALID_REQUEST/INVALID_FIELD", "products"),
        Case(ReportProduct.baseReport.path, [:], "400 INVALID_REQUEST/MISSING_FIELDS", "user_id"),
        Case(
            ReportProduct.baseReport.path,
            ["user_id": "usr_x", "format": "xml"],
            "400 INVALID_REQUEST/UNKNOWN_FIELDS"
        ),
        Case(ReportProduct.incomeInsights.path, ["user_id": "usr_x"], "400 USER_ERROR/USER_NOT_FOUND"),
        Case(ReportProduct.partnerInsights.path, ["user_id": ["usr_x"]], "400 INVALID_REQUEST/INVALID_FIELD"),
        Case(
            "/webhook_verification_key/get",
            ["key_id": "6c5516e1-92dc-479e-a8ff-5a51992e0001"],
            "400 INVALID_INPUT/INVALID_WEBHOOK_VERIFICATION_KEY_ID"
        ),
        Case(
            "/sandbox/user/fire_webhook",
            [
                "user_id": "usr_x", "webhook": "http://x/", "webhook_type": "CHECK_REPORT",
                "webhook_code": "USER_CHECK_REPORT_LOST",
            ],
            "400 INVALID_REQUEST/INVALID_FIELD",
            "webhook_code"
        ),
        Case(
            "/link/token/create",
            [
                "client_name": "a", "language": "en", "country_codes": ["US"], "user": ["client_user_id": "a"],
                "products": ["cra_base_report"],
            ],
            "400 INVALID_REQUEST/MISSING_FIELDS",
            "consumer_report_permissible_purpose"
        ),
        Case("/session/token/create", ["user_id": "usr_x"], "400 INVALID_REQUEST/MISSING_FIELDS", "template_id"),
        Case(
            "/session/token/create",
            ["template_id": "t", "user_id": "usr_x"],
            "400 USER_ERROR/USER_NOT_FOUND"
        ),
    ]

    @Test func `refuses each with Plaid's type, code and status, and names the field`() async throws {
        try await Fixture.with { fixture in
            for wrong in Self.cases {
                let response = try await fixture.post(wrong.path, wrong.body)
                #expect(try Fixture.refusal(response) == wrong.refusal, "\(wrong.testDescription)")
                let message = try JSON.parse(response.body)["error_message"]?.stringValue ?? ""
                #expect(message.contains(wrong.mention), "\(wrong.testDescription): \(message)")
                #expect(response.header("plaid-request-id") != nil)
            }
        }
    }

    @Test(arguments: ["", "[]", "7", "{", "null", "\"text\"", #"{"user_id": "a"} x"#])
    func `refuses a body that is no JSON object`(_ body: String) async throws {
        try await Fixture.with { fixture in
            let response = try await fixture.send("POST", "/user/create", body)
            #expect(try Fixture.refusal(response) == "400 INVALID_REQUEST/INVALID_BODY")
        }
    }

    private typealias Headers = [(name: String, value: HeaderValue)]

    /// What becomes of `/user/create`.
    private func creation(_ fixture: Fixture, _ body: String, _ headers: Headers) async throws -> String {
        let response = try await fixture.send("POST", "/user/create", body, headers: headers)
        return response.status == 201 ? "taken" : try Fixture.refusal(response)
    }

    @Test func `takes credentials from headers or body, and only the right ones`() async throws {
        let id: (name: String, value: HeaderValue) = ("PLAID-CLIENT-ID", .plain(Fixture.clientID))
        let secret: (name: String, value: HeaderValue) = ("PLAID-SECRET", .plain(Fixture.secret))
        let missing = "400 INVALID_REQUEST/MISSING_FIELDS"
        let wrong = "400 INVALID_INPUT/INVALID_API_KEYS"
        let inBody = """
            {"client_user_id": "a", "client_id": "\(Fixture.clientID)", "secret": "\(Fixture.secret)"}
            """
        let plain = #"{"client_user_id": "b"}"#
        let cases: [(body: String, headers: Headers, expected: String)] = [
            (inBody, [], "taken"),
            (plain, [id, secret, ("Plaid-Version", "2020-09-14")], "taken"),
            (plain, [], missing),
            (plain, [id], missing),
            (plain, [secret], missing),
            (plain, [id, ("PLAID-SECRET", "wrong")], wrong),
            (plain, [("PLAID-CLIENT-ID", "other"), secret], wrong),
            (plain, [id, secret, ("Plaid-Version", "2019-05-29")], "400 INVALID_REQUEST/INCOMPATIBLE_API_VERSION"),
        ]
        try await Fixture.with { fixture in
            for (body, headers, expected) in cases {
                let seen = try await creation(fixture, body, headers)
                #expect(seen == expected, "\(headers.map(\.name))")
            }
        }
    }

    @Test func `an unknown path is not found, another method not allowed`() async throws {
        try await Fixture.with { fixture in
            let unknown = try await fixture.post("/cra/horoscope/get", [:])
            #expect(unknown.status == 404)
            #expect(try await fixture.send("GET", "/user/create", "").status == 405)
        }
    }

    @Test func `a user without an Item gets no report`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user()
            #expect(
                try await fixture.refusal("/cra/check_report/create", fixture.order(user))
                    == "400 CHECK_REPORT_ERROR/NO_ACCOUNTS"
            )
        }
    }

    @Test func `a current user is created once, a legacy one refused the second time`() async throws {
        try await Fixture.with { fixture in
            let first = try await fixture.user("a")
            let second = try await fixture.user("a")
            #expect(first.id == second.id)
            let legacy = try await fixture.user("a", .legacy)
            #expect(legacy.id != first.id)
            await #expect(throws: TestFailure.self) { try await fixture.user("a", .legacy) }
            // The older id itself is no user_id of a request; a migrated user's token is.
            #expect(
                try await fixture.refusal("/user/items/get", ["user_id": .string(legacy.id)])
                    == "400 USER_ERROR/USER_NOT_FOUND"
            )
            let token = try #require(legacy.token)
            try await fixture.good("/user/items/get", ["user_id": .string(token)])
        }
    }

    @Test func `a public token is good for one exchange within half an hour`() async throws {
        try await Fixture.with { fixture in
            let user = try await fixture.user()
            let token = try await fixture.item(user)
            let body: JSONValue = ["public_token": .string(token)]
            let made = try await fixture.good("/item/public_token/exchange", body)
            let access = try #require(made["access_token"]?.stringValue)
            #expect(
                try await fixture.refusal("/item/public_token/exchange", body)
                    == "400 INVALID_INPUT/INVALID_PUBLIC_TOKEN"
            )
            let accounts = try await fixture.plaid.accounts(accessToken: Secret(access))
            #expect(accounts.item?.itemID == made["item_id"]?.stringValue)
            #expect((2...4).contains(accounts.accounts.count))
            let one = try await fixture.good(
                "/accounts/get",
                [
                    "access_token": .string(access),
                    "options": ["account_ids": [.string(accounts.accounts[0].accountID)]],
                ]
            )
            #expect(one["accounts"]?.arrayValue?.count == 1)
            #expect(
                try await fixture.refusal(
                    "/accounts/get",
                    ["access_token": .string(access), "options": ["account_ids": ["x"]]]
                ) == "400 INVALID_INPUT/INVALID_ACCOUNT_ID"
            )
            let late = try await fixture.item(user)
            fixture.clock.advance(by: .seconds(30 * 60))
            #expect(
                try await fixture.refusal("/item/public_token/exchange", ["public_token": .string(late)])
                    == "400 INVALID_INPUT/INVALID_PUBLIC_TOKEN"
            )
        }
    }
}
