import Basics
import ServiceKit
import TestSupport
import Testing

@testable import OperatorCommands

@Suite struct WebhookCommandTests {
    private static let sandbox = [
        "PLAID_CLIENT_ID": "client-1", "PLAID_SECRET": "hush-hush", "PLAID_BASE_URL": "http://127.0.0.1:1",
        "PLAID_WEBHOOK_URL": "http://127.0.0.1:2/webhooks/plaid",
    ]

    private func sends(
        _ arguments: [String],
        without: String? = nil,
        also: [String: String] = [:]
    ) async throws -> (code: Int32, text: String) {
        var variables = Self.sandbox.merging(also) { _, new in new }
        if let without { variables[without] = nil }
        let person = Operator(url: "", database: "", server: try await PostgresServer.shared())
        return try await person.starts(["webhooks", "send"] + arguments, variables: variables)
    }

    @Test func `a sandbox that is away ends with 69 and names the setting`() async throws {
        let (code, text) = try await sends(["--user-id", "usr_1"])
        #expect(code == 69)
        #expect(text.hasPrefix("checkctl: the sandbox cannot be reached, see PLAID_BASE_URL"), "\(text)")
        #expect(!text.contains("\n") && !text.contains("hush"))
    }

    @Test func `says what is missing before it calls anybody`() async throws {
        let noTarget = try await sends(["--user-id", "usr_1"], without: "PLAID_WEBHOOK_URL")
        #expect(noTarget.code == 64)
        #expect(noTarget.text.contains("give --url or set PLAID_WEBHOOK_URL"))
        let noSecret = try await sends(["--user-id", "usr_1"], without: "PLAID_SECRET")
        #expect(noSecret.code == 78)
        #expect(noSecret.text.contains("PLAID_SECRET"))
        let code = try await sends(["--user-id", "usr_1", "--code", "NOPE"])
        #expect(code.code == 64)
        #expect(code.text.contains("USER_CHECK_REPORT_READY"))
        let production = try await sends(
            ["--user-id", "usr_1"],
            also: ["PLAID_ENV": "production", "PLAID_BASE_URL": "https://127.0.0.1:1"]
        )
        #expect(production.code == 64)
        #expect(production.text.contains("only a sandbox sends webhooks on demand"))
    }
}
