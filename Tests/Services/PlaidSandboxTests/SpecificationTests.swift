// Answers against Plaid's own OpenAPI file, judged by a validator that is not ours.

import Basics
import HTTPClient
import JSON
import PlaidAPI
import TestSupport
import Testing

@testable import PlaidSandbox

/// Plaid's specification: not part of this project, hence only where somebody has put it.
private enum Specification {
    static let root = #filePath.split(separator: "/").dropLast(4).reduce("") { $0 + "/" + $1 }
    static let python = "/usr/bin/python3"

    /// `PLAID_OPENAPI`, or `../shared/reference/plaid-openapi.yml` beside the package.
    static let path: String? = {
        let named = ProcessEnvironment.value("PLAID_OPENAPI").map { [$0] } ?? []
        let beside = ["/../shared", "/../../shared"].map { root + $0 + "/reference/plaid-openapi.yml" }
        return (named + beside).first { TemporaryFolder.read($0) != nil }
    }()

    /// The verdict on each pair of schema name and document.
    static func verdicts(_ documents: [(schema: String, body: Bytes)]) async throws -> [String] {
        let child = try ChildProcess(
            python,
            ["-W", "ignore", root + "/Tests/TestSupport/validate_openapi.py", path ?? ""],
            environment: ["PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"],
            standardInput: true
        )
        defer { child.end() }
        for (schema, body) in documents {
            let line = (body.string() ?? "").split(separator: "\n").joined()
            child.write("\(schema)\t\(line)\n")
        }
        child.closeInput()
        _ = try await child.line(containing: "-- done --", within: .seconds(120))
        return child.lines.filter { $0 != "-- done --" }
    }

    static let isUsable: Bool = {
        guard path != nil, TemporaryFolder.read(python) != nil else { return false }
        return ["jsonschema", "yaml"].allSatisfy { module in
            ["", "/__init__"].contains {
                TemporaryFolder.read("/usr/lib/python3/dist-packages/\(module)\($0).py") != nil
            }
        }
    }()
}

/// Skipped by name where the specification or Debian's python3-jsonschema and python3-yaml are missing.
@Suite(.enabled("Plaid's OpenAPI file and python3-jsonschema are here") { Specification.isUsable })
struct SpecificationTests {
    static let schemas: [ReportProduct: String] = [
        .baseReport: "CraCheckReportBaseReportGetResponse",
        .incomeInsights: "CraCheckReportIncomeInsightsGetResponse",
        .partnerInsights: "CraCheckReportPartnerInsightsGetResponse",
    ]

    @Test func `reports of every product, size and kind hold`() async throws {
        var documents: [(schema: String, body: Bytes)] = []
        for traits in ["", "~fraud", "~noid"] {
            for (size, items, days) in [(12_000, 1, 180), (60_000, 2, 365), (400_000, 1, 731)] {
                let plan = ReportContentTests.plan(
                    bytes: size,
                    traits: traits,
                    days: days,
                    items: items,
                    clientReportID: items == 1 ? nil : "loan"
                )
                for product in ReportProduct.allCases {
                    let body = Bytes(ReportContentTests.bytes(plan, product))
                    documents.append((Self.schemas[product] ?? "", body))
                }
            }
        }
        let verdicts = try await Specification.verdicts(documents)
        #expect(verdicts.count == documents.count)
        for (verdict, document) in zip(verdicts, documents) { #expect(verdict == "ok", "\(document.schema)") }
    }

    @Test func `the validator sees what is wrong`() async throws {
        let body = ReportContentTests.bytes(ReportContentTests.plan(bytes: 12_000), .baseReport)
        let text = String(decoding: body, as: UTF8.self)
        let wrong = ["\"days_requested\":": "\"days_wanted\":", "\"pending\":": "\"pending\":1,\"x\":"]
        let documents = wrong.map {
            (schema: "CraCheckReportBaseReportGetResponse", body: Bytes(utf8: text.replacing($0.key, with: $0.value)))
        }
        let verdicts = try await Specification.verdicts(documents)
        #expect(verdicts.count == 2)
        for verdict in verdicts { #expect(verdict.hasPrefix("error at /report")) }
    }

    @Test func `the other endpoints' answers and errors hold`() async throws {
        try await Fixture.with { fixture in
            var documents: [(schema: String, body: Bytes)] = []
            func note(_ schema: String, _ path: String, _ body: JSONValue) async throws -> JSONValue {
                let response = try await fixture.post(path, body)
                documents.append((schema, response.body))
                return try JSON.parse(response.body)
            }
            let user = try await fixture.user()
            _ = try await note("UserCreateResponse", "/user/create", ["client_user_id": "b"])
            let made = try await note(
                "SandboxPublicTokenCreateResponse",
                "/sandbox/public_token/create",
                user.naming([
                    JSONMember(key: "institution_id", value: "ins_109508"),
                    JSONMember(key: "initial_products", value: ["transactions"]),
                ])
            )
            let token = made["public_token"] ?? .null
            let item = try await note(
                "ItemPublicTokenExchangeResponse",
                "/item/public_token/exchange",
                ["public_token": token]
            )
            _ = try await note("AccountsGetResponse", "/accounts/get", ["access_token": item["access_token"] ?? .null])
            _ = try await note("UserItemsGetResponse", "/user/items/get", user.naming())
            _ = try await note("CraCheckReportCreateResponse", "/cra/check_report/create", fixture.order(user))
            let webhook = try await fixture.makeReady()
            documents.append(("CraUserCheckReportReadyWebhook", webhook.body))
            let key = try VerificationToken.parse(webhook.tokens[0]).get().keyID
            _ = try await note(
                "WebhookVerificationKeyGetResponse",
                "/webhook_verification_key/get",
                ["key_id": .string(key)]
            )
            _ = try await note("PlaidError", "/user/items/get", ["user_id": "usr_nobody"])
            let verdicts = try await Specification.verdicts(documents)
            #expect(verdicts.count == documents.count)
            for (verdict, document) in zip(verdicts, documents) { #expect(verdict == "ok", "\(document.schema)") }
        }
    }
}
