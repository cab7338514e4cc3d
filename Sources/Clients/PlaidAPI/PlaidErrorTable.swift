// Every error answer of Plaid's and what it asks for: one table, walked by tests and quoted by the manual.

package import HTTPClient

/// What a failed call asks for.
package enum FailureClass: Hashable, Sendable {
    /// Transient: back off and repeat the same call. `slow`: minutes to hours.
    case retry(slow: Bool)
    /// An idle connection closed on our request: repeat at once on a new one.
    case retryAtOnceFresh
    /// Nothing to do until a webhook comes; look again by schedule in case it is lost.
    case wait
    /// Only a new report helps, sometimes after the user repaired an Item. Creating may cost money: by policy only.
    case regenerate
    /// Stop: a person, or changed input.
    case permanent
    /// Every call will fail until somebody mends it: open the breaker.
    case global
}

package struct PlaidErrorRow: Sendable {
    /// `error_type`; nil: whatever the type.
    package let type: String?
    /// `error_code`; nil: every code of the type without a row of its own.
    package let code: String?
    package let failureClass: FailureClass
}

/// Plaid says: decide by type and code, not by status, since almost everything is a 400.
package enum PlaidErrorTable {
    package static let rows: [PlaidErrorRow] =
        table(
            "CONSUMER_REPORT_ERROR",
            [
                ("PRODUCT_NOT_READY", .wait),
                ("CONSUMER_REPORT_EXPIRED", .regenerate),
                ("CONSUMER_REPORT_NOT_FOUND", .permanent),
            ]
        )
        + table(
            "CHECK_REPORT_ERROR",
            [
                ("DATA_UNAVAILABLE", .regenerate),
                ("INSTITUTION_TRANSACTION_HISTORY_NOT_SUPPORTED", .permanent),
                ("INSUFFICIENT_TRANSACTION_DATA", .permanent),
                ("NO_ACCOUNTS", .permanent),
                ("NETWORK_CONSENT_REQUIRED", .permanent),
                ("DATA_QUALITY_CHECK_FAILED", .regenerate),
                ("PRODUCT_GENERATION_FAILED", .regenerate),
            ]
        )
        + table("BASE_REPORT_ERROR", [(nil, .permanent)])
        + table("USER_ERROR", [("USER_NOT_FOUND", .permanent)])
        + table(
            "ITEM_ERROR",
            [
                ("PRODUCT_NOT_READY", .wait),
                ("ITEM_LOGIN_REQUIRED", .wait),
                ("ITEM_NOT_FOUND", .permanent),
                ("USER_PERMISSION_REVOKED", .permanent),
                ("ACCESS_NOT_GRANTED", .permanent),
                ("NO_ACCOUNTS", .permanent),
                ("PRODUCTS_NOT_SUPPORTED", .permanent),
                ("ITEM_LOCKED", .permanent),
                ("ITEM_NOT_SUPPORTED", .permanent),
                ("INVALID_CREDENTIALS", .permanent),
                ("USER_SETUP_REQUIRED", .permanent),
                ("PASSWORD_RESET_REQUIRED", .permanent),
            ]
        )
        + table(
            "INSTITUTION_ERROR",
            [
                ("INSTITUTION_DOWN", .retry(slow: true)),
                ("INSTITUTION_NOT_RESPONDING", .retry(slow: true)),
                ("INSTITUTION_NOT_AVAILABLE", .retry(slow: true)),
                ("INSTITUTION_RATE_LIMIT", .retry(slow: true)),
                ("INSTITUTION_NO_LONGER_SUPPORTED", .permanent),
                ("UNAUTHORIZED_INSTITUTION", .permanent),
            ]
        )
        // An open set of codes: the type says it all.
        + table("RATE_LIMIT_EXCEEDED", [(nil, .retry(slow: false))])
        + table(
            "API_ERROR",
            [
                ("INTERNAL_SERVER_ERROR", .retry(slow: false)),
                ("plaid-internal-error", .retry(slow: false)),
                ("PLANNED_MAINTENANCE", .retry(slow: true)),
            ]
        )
        + table(
            "INVALID_REQUEST",
            [
                ("MISSING_FIELDS", .permanent),
                ("UNKNOWN_FIELDS", .permanent),
                ("INVALID_FIELD", .permanent),
                ("INVALID_BODY", .permanent),
                ("INVALID_HEADERS", .permanent),
                ("INCOMPATIBLE_API_VERSION", .permanent),
                ("INVALID_CONFIGURATION", .permanent),
                ("SANDBOX_ONLY", .permanent),
                ("NOT_FOUND", .permanent),
                ("NO_LONGER_AVAILABLE", .permanent),
            ]
        )
        + table(
            "INVALID_INPUT",
            [
                ("INVALID_API_KEYS", .global),
                ("UNAUTHORIZED_ENVIRONMENT", .global),
                ("UNAUTHORIZED_ROUTE_ACCESS", .global),
                ("INVALID_ACCESS_TOKEN", .permanent),
                ("INVALID_PUBLIC_TOKEN", .permanent),
                ("INVALID_ACCOUNT_ID", .permanent),
                ("INVALID_PRODUCT", .permanent),
                ("INVALID_USER_TOKEN", .permanent),
                (unknownKeyCode, .permanent),
                ("ADDITIONAL_CONSENT_REQUIRED", .permanent),
            ]
        )
        + table("INVALID_RESULT", [(nil, .permanent)])
        + table("PARTNER_ERROR", [(nil, .retry(slow: true))])
        + table("OAUTH_ERROR", [(nil, .permanent)])
        // Codes that come under several types, or under one that no source names.
        + table(
            nil,
            [
                ("CONSUMER_REPORT_EXPIRED", .regenerate),
                ("CONSUMER_REPORT_NOT_FOUND", .permanent),
                ("USER_ON_IDENTITY_THEFT_OR_FRAUD_BLOCK", .permanent),
                ("DECISION_STAGE_NOT_ENABLED", .permanent),
            ]
        )

    /// Plaid's own "no such key": what makes a webhook bad and not merely undecided.
    package static let unknownKeyCode = "INVALID_WEBHOOK_VERIFICATION_KEY_ID"

    /// The class of an error answer.
    ///
    /// - Parameter status: Decides where the table has no row: 408, 429 and 5xx pass, all else stays.
    package static func classify(type: String, code: String, status: Int) -> FailureClass {
        find(type: type, code: code) ?? byStatus(status)
    }

    /// The class of an answer that is no error object, whatever its status: a proxy's page, a cut body. It says
    /// nothing about our request.
    package static func classifyUnreadable(status: Int) -> FailureClass {
        status == 408 ? .retryAtOnceFresh : .retry(slow: false)
    }

    /// The class of a request without a complete answer.
    package static func classify(_ error: HTTPClientError) -> FailureClass {
        if error.isGlobalFault { return .global }
        switch error.kind {
        case .tooLarge, .invalidRequest: return .permanent
        default: return .retry(slow: false)
        }
    }

    /// The row that holds for a type and code, most particular first; nil: no row.
    package static func find(type: String, code: String) -> FailureClass? {
        index[Key(type: type, code: code)] ?? index[Key(type: type, code: nil)] ?? index[Key(type: nil, code: code)]
    }

    private static func byStatus(_ status: Int) -> FailureClass {
        switch status {
        case 408: .retryAtOnceFresh
        case 429, 500...599: .retry(slow: false)
        default: .permanent
        }
    }

    private struct Key: Hashable {
        let type: String?
        let code: String?
    }

    private static let index = Dictionary(
        rows.map { (Key(type: $0.type, code: $0.code), $0.failureClass) },
        uniquingKeysWith: { first, _ in first }
    )

    private static func table(_ type: String?, _ codes: [(String?, FailureClass)]) -> [PlaidErrorRow] {
        codes.map { PlaidErrorRow(type: type, code: $0.0, failureClass: $0.1) }
    }
}
