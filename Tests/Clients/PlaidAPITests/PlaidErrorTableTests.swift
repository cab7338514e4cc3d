import HTTPClient
import PlaidAPI
import Testing

@Suite struct PlaidErrorTableTests {
    /// The manual's table, written down a second time: type, code, class.
    static let manual: [(String, String, FailureClass)] = [
        ("CONSUMER_REPORT_ERROR", "PRODUCT_NOT_READY", .wait),
        ("CONSUMER_REPORT_ERROR", "CONSUMER_REPORT_EXPIRED", .regenerate),
        ("CONSUMER_REPORT_ERROR", "CONSUMER_REPORT_NOT_FOUND", .permanent),
        ("CHECK_REPORT_ERROR", "DATA_UNAVAILABLE", .regenerate),
        ("CHECK_REPORT_ERROR", "INSTITUTION_TRANSACTION_HISTORY_NOT_SUPPORTED", .permanent),
        ("CHECK_REPORT_ERROR", "INSUFFICIENT_TRANSACTION_DATA", .permanent),
        ("CHECK_REPORT_ERROR", "NO_ACCOUNTS", .permanent),
        ("CHECK_REPORT_ERROR", "NETWORK_CONSENT_REQUIRED", .permanent),
        ("CHECK_REPORT_ERROR", "DATA_QUALITY_CHECK_FAILED", .regenerate),
        ("CHECK_REPORT_ERROR", "PRODUCT_GENERATION_FAILED", .regenerate),
        ("CRA_REPORT_ERROR", "USER_ON_IDENTITY_THEFT_OR_FRAUD_BLOCK", .permanent),
        ("ANYTHING_ELSE", "USER_ON_IDENTITY_THEFT_OR_FRAUD_BLOCK", .permanent),
        ("ANYTHING_ELSE", "DECISION_STAGE_NOT_ENABLED", .permanent),
        ("CRA_REPORT_ERROR", "CONSUMER_REPORT_EXPIRED", .regenerate),
        ("CRA_REPORT_ERROR", "CONSUMER_REPORT_NOT_FOUND", .permanent),
        ("BASE_REPORT_ERROR", "PRODUCT_NOT_ENABLED", .permanent),
        ("BASE_REPORT_ERROR", "SOMETHING_NEW", .permanent),
        ("USER_ERROR", "USER_NOT_FOUND", .permanent),
        ("ITEM_ERROR", "PRODUCT_NOT_READY", .wait),
        ("ITEM_ERROR", "ITEM_LOGIN_REQUIRED", .wait),
        ("ITEM_ERROR", "ITEM_NOT_FOUND", .permanent),
        ("ITEM_ERROR", "USER_PERMISSION_REVOKED", .permanent),
        ("ITEM_ERROR", "ACCESS_NOT_GRANTED", .permanent),
        ("ITEM_ERROR", "NO_ACCOUNTS", .permanent),
        ("ITEM_ERROR", "PRODUCTS_NOT_SUPPORTED", .permanent),
        ("ITEM_ERROR", "ITEM_LOCKED", .permanent),
        ("ITEM_ERROR", "ITEM_NOT_SUPPORTED", .permanent),
        ("ITEM_ERROR", "INVALID_CREDENTIALS", .permanent),
        ("ITEM_ERROR", "USER_SETUP_REQUIRED", .permanent),
        ("ITEM_ERROR", "PASSWORD_RESET_REQUIRED", .permanent),
        ("INSTITUTION_ERROR", "INSTITUTION_DOWN", .retry(slow: true)),
        ("INSTITUTION_ERROR", "INSTITUTION_NOT_RESPONDING", .retry(slow: true)),
        ("INSTITUTION_ERROR", "INSTITUTION_NOT_AVAILABLE", .retry(slow: true)),
        ("INSTITUTION_ERROR", "INSTITUTION_RATE_LIMIT", .retry(slow: true)),
        ("INSTITUTION_ERROR", "INSTITUTION_NO_LONGER_SUPPORTED", .permanent),
        ("INSTITUTION_ERROR", "UNAUTHORIZED_INSTITUTION", .permanent),
        ("RATE_LIMIT_EXCEEDED", "ACCOUNTS_LIMIT", .retry(slow: false)),
        ("RATE_LIMIT_EXCEEDED", "ACCOUNTS_BALANCE_GET_LIMIT", .retry(slow: false)),
        ("RATE_LIMIT_EXCEEDED", "RATE_LIMIT", .retry(slow: false)),
        ("RATE_LIMIT_EXCEEDED", "SOME_NEW_LIMIT", .retry(slow: false)),
        ("API_ERROR", "INTERNAL_SERVER_ERROR", .retry(slow: false)),
        ("API_ERROR", "plaid-internal-error", .retry(slow: false)),
        ("API_ERROR", "PLANNED_MAINTENANCE", .retry(slow: true)),
        ("INVALID_REQUEST", "MISSING_FIELDS", .permanent),
        ("INVALID_REQUEST", "UNKNOWN_FIELDS", .permanent),
        ("INVALID_REQUEST", "INVALID_FIELD", .permanent),
        ("INVALID_REQUEST", "INVALID_BODY", .permanent),
        ("INVALID_REQUEST", "INVALID_HEADERS", .permanent),
        ("INVALID_REQUEST", "INCOMPATIBLE_API_VERSION", .permanent),
        ("INVALID_REQUEST", "INVALID_CONFIGURATION", .permanent),
        ("INVALID_REQUEST", "SANDBOX_ONLY", .permanent),
        ("INVALID_REQUEST", "NOT_FOUND", .permanent),
        ("INVALID_REQUEST", "NO_LONGER_AVAILABLE", .permanent),
        ("INVALID_INPUT", "INVALID_API_KEYS", .global),
        ("INVALID_INPUT", "UNAUTHORIZED_ENVIRONMENT", .global),
        ("INVALID_INPUT", "UNAUTHORIZED_ROUTE_ACCESS", .global),
        ("INVALID_INPUT", "INVALID_ACCESS_TOKEN", .permanent),
        ("INVALID_INPUT", "INVALID_PUBLIC_TOKEN", .permanent),
        ("INVALID_INPUT", "INVALID_ACCOUNT_ID", .permanent),
        ("INVALID_INPUT", "INVALID_PRODUCT", .permanent),
        ("INVALID_INPUT", "INVALID_USER_TOKEN", .permanent),
        ("INVALID_INPUT", "INVALID_WEBHOOK_VERIFICATION_KEY_ID", .permanent),
        ("INVALID_INPUT", "ADDITIONAL_CONSENT_REQUIRED", .permanent),
        ("INVALID_RESULT", "LAST_UPDATED_DATETIME_OUT_OF_RANGE", .permanent),
        ("INVALID_RESULT", "PLAID_DIRECT_ITEM_IMPORT_RETURNED_INVALID_MFA", .permanent),
        ("PARTNER_ERROR", "ANY", .retry(slow: true)),
        ("OAUTH_ERROR", "INCORRECT_OAUTH_NONCE", .permanent),
        ("OAUTH_ERROR", "OAUTH_STATE_ID_ALREADY_PROCESSED", .permanent),
    ]

    @Test(arguments: manual)
    func `classifies as the manual says, whatever the status`(_ type: String, _ code: String, _ expected: FailureClass)
    {
        for status in [400, 404, 429, 500, 503] {
            #expect(PlaidErrorTable.classify(type: type, code: code, status: status) == expected)
        }
    }

    @Test func `an error printed or dumped shows type and code, not Plaid's free text`() {
        let error = PlaidErrorBody(
            errorType: "ITEM_ERROR",
            errorCode: "NO_ACCOUNTS",
            errorMessage: "no accounts for access-sandbox-hunter2",
            itemID: "hunter2",
            causes: [PlaidErrorBody(errorType: "A", errorCode: "B", errorMessage: "hunter2")]
        )
        var dumped = ""
        dump(error, to: &dumped)
        for shown in ["\(error)", String(reflecting: [error]), dumped] {
            #expect(shown.contains("ITEM_ERROR NO_ACCOUNTS") && !shown.contains("hunter2"), "\(shown)")
        }
    }

    @Test func `has no row that the manual lacks and no row twice`() {
        var seen: Set<String> = []
        for row in PlaidErrorTable.rows {
            #expect(seen.insert("\(row.type ?? "*") \(row.code ?? "*")").inserted)
            let known = Self.manual.contains { type, code, failureClass in
                (row.type ?? type) == type && (row.code ?? code) == code && row.failureClass == failureClass
            }
            #expect(known, "\(row.type ?? "any type") \(row.code ?? "any code")")
        }
    }

    @Test(arguments: [
        (400, FailureClass.permanent), (401, .permanent), (404, .permanent), (408, .retryAtOnceFresh),
        (429, .retry(slow: false)), (500, .retry(slow: false)), (503, .retry(slow: false)),
    ])
    func `takes an unknown code by its status`(_ status: Int, _ expected: FailureClass) {
        #expect(PlaidErrorTable.classify(type: "NEW_ERROR", code: "NEW_CODE", status: status) == expected)
        #expect(PlaidErrorTable.classify(type: "ITEM_ERROR", code: "NEW_CODE", status: status) == expected)
    }

    static let transportErrors: [(HTTPClientError, FailureClass)] = [
        (HTTPClientError(.nameResolution, message: ""), .retry(slow: false)),
        (HTTPClientError(.connect, message: ""), .retry(slow: false)),
        (HTTPClientError(.timeout(.firstByte), sent: .maybe, message: ""), .retry(slow: false)),
        (HTTPClientError(.emptyAnswer, sent: .maybe, message: ""), .retry(slow: false)),
        (HTTPClientError(.cutAnswer, sent: .answeredInPart, message: ""), .retry(slow: false)),
        (HTTPClientError(.encoded, sent: .answeredInPart, message: ""), .retry(slow: false)),
        (HTTPClientError(.overloaded, message: ""), .retry(slow: false)),
        (HTTPClientError(.certificate, message: ""), .global),
        (HTTPClientError(.tls, message: ""), .global),
        (HTTPClientError(.tooLarge, sent: .answeredInPart, message: ""), .permanent),
        (HTTPClientError(.invalidRequest, message: ""), .permanent),
    ]

    @Test(arguments: transportErrors)
    func `takes a missing answer by its kind`(_ error: HTTPClientError, _ expected: FailureClass) {
        #expect(PlaidErrorTable.classify(error) == expected)
    }
}
