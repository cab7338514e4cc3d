// Plaid's error answers.

import JSON

/// An error as Plaid words it: type and code are for programs, the message for people.
struct PlaidRefusal: Error, Hashable, Sendable {
    let status: Int
    let type: String
    let code: String
    let message: String

    init(_ type: String, _ code: String, _ message: String, status: Int = 400) {
        self.status = status
        self.type = type
        self.code = code
        self.message = message
    }

    func body(requestID: String) -> [UInt8] {
        var writer = JSONWriter(pretty: true)
        writer.object { writer in
            writer.name("display_message")
            writer.null()
            writer.field("documentation_url", "https://plaid.com/docs/errors/")
            writer.field("error_code", code)
            writer.field("error_message", message)
            writer.field("error_type", type)
            writer.field("request_id", requestID)
            writer.name("suggested_action")
            writer.null()
        }
        return writer.bytes
    }

    static func invalidRequest(_ code: String, _ message: String) -> PlaidRefusal {
        PlaidRefusal("INVALID_REQUEST", code, message)
    }
    static func invalidInput(_ code: String, _ message: String) -> PlaidRefusal {
        PlaidRefusal("INVALID_INPUT", code, message)
    }
    static func consumerReport(_ code: String, _ message: String = "") -> PlaidRefusal {
        PlaidRefusal("CONSUMER_REPORT_ERROR", code, message)
    }

    static func missingFields(_ names: [String]) -> PlaidRefusal {
        invalidRequest(
            "MISSING_FIELDS",
            "the following required fields are missing: \(names.joined(separator: ", "))"
        )
    }
    static func unknownFields(_ names: [String]) -> PlaidRefusal {
        invalidRequest(
            "UNKNOWN_FIELDS",
            "the following fields are not recognized by this endpoint: \(names.joined(separator: ", "))"
        )
    }
    static func invalidField(_ name: String, _ why: String) -> PlaidRefusal {
        invalidRequest("INVALID_FIELD", "\(name): \(why)")
    }
    static func internalError(_ why: String) -> PlaidRefusal {
        PlaidRefusal("API_ERROR", "INTERNAL_SERVER_ERROR", why, status: 500)
    }

    static let invalidBody = invalidRequest("INVALID_BODY", "request body must be a JSON object")
    static let invalidAPIKeys = invalidInput("INVALID_API_KEYS", "invalid client_id or secret provided")
    static let invalidAccessToken = invalidInput("INVALID_ACCESS_TOKEN", "could not find matching access token")
    static let invalidPublicToken = invalidInput("INVALID_PUBLIC_TOKEN", "could not find matching public token")
    static let invalidUserToken = invalidInput("INVALID_USER_TOKEN", "could not find matching user token")
    static let userNotFound = PlaidRefusal("USER_ERROR", "USER_NOT_FOUND", "user not found")
    static let unknownKey = invalidInput(
        "INVALID_WEBHOOK_VERIFICATION_KEY_ID",
        "invalid key_id provided. note that key_ids are specific to Plaid environments"
    )
    static let productNotReady = consumerReport("PRODUCT_NOT_READY", "the report is still being generated")
    static let reportExpired = consumerReport("CONSUMER_REPORT_EXPIRED")
    static let reportNotFound = consumerReport("CONSUMER_REPORT_NOT_FOUND", "no such report was created for this user")
    static let itemNotFound = PlaidRefusal("ITEM_ERROR", "ITEM_NOT_FOUND", "the report has no such Item")
    static let noItems = PlaidRefusal("CHECK_REPORT_ERROR", "NO_ACCOUNTS", "the user has no eligible accounts")
    static let generationFailed = PlaidRefusal(
        "CHECK_REPORT_ERROR",
        "DATA_UNAVAILABLE",
        "the report could not be made from the data of the user's Items"
    )
}
