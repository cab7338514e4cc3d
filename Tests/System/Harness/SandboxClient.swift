// A lender's backend in front of the sandbox: makes users, asks for reports; and the sandbox's own levers.

import Basics
import HTTPClient
import JSON
import PlaidAPI

/// A user as Plaid knows it.
struct SandboxUser: Sendable, Hashable {
    let clientUserID: String
    /// What webhooks name.
    let id: String
    /// Of old-style users only.
    let token: String?
}

/// What the sandbox says it gave out: one report of one generation.
struct ServedReport: Sendable, Hashable {
    let userID: String
    let product: String
    let generation: Int
    /// What the sandbox made: Plaid's income and partner reports may leave it out of the body.
    let reportID: String
    let sha256: String
    let byteCount: Int
    let times: Int
}

struct SandboxClient: Sendable {
    let url: String
    private let http = TestHTTP.shared

    static let products = ReportProduct.allCases.map(\.rawValue)

    init(url: String) { self.url = url }

    // MARK: Plaid's calls

    /// - Parameter wishes: Words behind `~` in the user's name choose sizes and oddities of its reports.
    func makeUser(_ clientUserID: String, isLegacy: Bool = false) async throws -> SandboxUser {
        let made = try await plaid(
            "/user/create",
            .object([
                JSONMember(key: "client_user_id", value: .string(clientUserID)),
                isLegacy
                    ? JSONMember(key: "consumer_report_user_identity", value: Self.legacyIdentity)
                    : JSONMember(key: "identity", value: Self.identity),
            ])
        )
        guard let id = made["user_id"]?.stringValue else {
            throw TestHTTP.Refused(description: "/user/create named no user")
        }
        return SandboxUser(clientUserID: clientUserID, id: id, token: made["user_token"]?.stringValue)
    }

    /// Gives the user an Item, without which there is no report.
    func linkItem(_ user: SandboxUser, products: [String] = products) async throws {
        try await plaid(
            "/sandbox/public_token/create",
            .object(
                reference(user) + [
                    JSONMember(key: "institution_id", value: "ins_109508"),
                    JSONMember(key: "initial_products", value: .array(products.map { .string($0) })),
                ]
            )
        )
    }

    /// Asks for a report: a READY webhook to `webhook` comes of it.
    func createReport(_ user: SandboxUser, webhook: String, products: [String] = products) async throws {
        try await plaid(
            "/cra/check_report/create",
            .object(
                reference(user) + [
                    JSONMember(key: "webhook", value: .string(webhook)),
                    JSONMember(key: "days_requested", value: 365),
                    JSONMember(key: "products", value: .array(products.map { .string($0) })),
                    JSONMember(key: "consumer_report_permissible_purpose", value: "EXTENSION_OF_CREDIT"),
                ]
            )
        )
    }

    /// User, Item and report of each, in the order of the names.
    func makeReports(
        of names: [String],
        webhook: String,
        products: [String] = products,
        isLegacy: Bool = false
    ) async throws -> [SandboxUser] {
        try await forEach(names, atOnce: 8) { name in
            let user = try await makeUser(name, isLegacy: isLegacy)
            try await linkItem(user, products: products)
            try await createReport(user, webhook: webhook, products: products)
            return user
        }
    }

    // MARK: The sandbox's levers

    /// Every report that was asked for, and what was given out of it.
    func truth() async throws -> [ServedReport] {
        let answer = try await http.get(url + "/_sandbox/truth")
        return try (JSON.parse(answer.body)["reports"]?.arrayValue ?? []).map { report in
            guard let userID = report["user_id"]?.stringValue, let product = report["product"]?.stringValue,
                let generation = report["generation"]?.intValue, let reportID = report["report_id"]?.stringValue
            else { throw TestHTTP.Refused(description: "the sandbox's truth is not as expected") }
            return ServedReport(
                userID: userID,
                product: product,
                generation: Int(generation),
                reportID: reportID,
                sha256: report["sha256"]?.stringValue ?? "never served",
                byteCount: report["byte_count"]?.intValue.map(Int.init) ?? 0,
                times: report["times_served"]?.intValue.map(Int.init) ?? 0
            )
        }
    }

    /// Rules of what goes wrong from now on, in place of earlier ones.
    func setFaults(_ rules: [JSONValue]) async throws {
        try await http.json("PUT", url + "/_sandbox/faults", ["rules": .array(rules)])
    }

    /// How often each rule was met.
    func faultHits() async throws -> [Int] {
        let answer = try await http.get(url + "/_sandbox/faults")
        return try (JSON.parse(answer.body)["rules"]?.arrayValue ?? []).map { Int($0["hits"]?.intValue ?? 0) }
    }

    /// Sends the user's READY again, each time signed anew.
    /// - Parameter code: `both`: under both code families.
    func resendReady(_ user: SandboxUser, code: String, copies: Int) async throws {
        try await http.json(
            "POST",
            url + "/_sandbox/webhooks",
            ["user_id": .string(user.id), "code": .string(code), "copies": .integer(Int64(copies))]
        )
    }

    private func reference(_ user: SandboxUser) -> [JSONMember] {
        [
            user.token.map { JSONMember(key: "user_token", value: .string($0)) }
                ?? JSONMember(key: "user_id", value: .string(user.id))
        ]
    }

    @discardableResult
    private func plaid(_ path: String, _ body: JSONValue) async throws -> JSONValue {
        try await http.json(
            "POST",
            url + path,
            body,
            headers: [
                ("PLAID-CLIENT-ID", .plain(Pipeline.plaidClientID)), ("PLAID-SECRET", .plain(Pipeline.plaidSecret)),
            ]
        )
    }
}

extension SandboxClient {
    fileprivate static let identity: JSONValue = [
        "name": ["given_name": "Robin", "family_name": "Vance"], "date_of_birth": "1990-04-12",
        "emails": [["data": "robin@example.com", "primary": true]],
        "phone_numbers": [["data": "+14155550100", "primary": true]],
        "addresses": [
            [
                "street_1": "12 Alder Way", "city": "Dayton", "region": "OH", "postal_code": "45402", "country": "US",
                "primary": true,
            ]
        ],
    ]

    fileprivate static let legacyIdentity: JSONValue = [
        "first_name": "Robin", "last_name": "Vance", "phone_numbers": ["+14155550100"],
        "emails": ["robin@example.com"], "date_of_birth": "1990-04-12",
        "primary_address": [
            "street": "12 Alder Way", "city": "Dayton", "region": "OH", "postal_code": "45402", "country": "US",
        ],
    ]
}
