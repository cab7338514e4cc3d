// The fields of each request, as Plaid's specification names them.

typealias Field = FieldShape.Field

enum RequestShapes {
    static let user: [Field] = [Field("user_id", .text(1...256)), Field("user_token", .text(1...256))]

    /// Every product that Plaid knows by name.
    static let productNames = [
        "cra_base_report", "cra_income_insights", "cra_partner_insights", "cra_network_insights",
        "cra_cashflow_insights", "cra_lend_score", "cra_monitoring", "cra_plaid_credit_score", "cra_qualify",
        "cra_home_lending", "assets", "auth", "balance", "balance_plus", "beacon", "identity", "identity_match",
        "investments", "investments_auth", "liabilities", "payment_initiation", "identity_verification", "transactions",
        "credit_details", "income", "income_verification", "standing_orders", "transfer", "employment",
        "recurring_transactions", "transactions_refresh", "signal", "statements", "processor_payments",
        "processor_identity", "profile", "layer", "pay_by_bank", "protect_linked_bank", "protect_transactions",
    ]
    static let product = FieldShape.word(productNames)

    static let purposes = [
        "ACCOUNT_REVIEW_CREDIT", "ACCOUNT_REVIEW_NON_CREDIT", "EXTENSION_OF_CREDIT",
        "LEGITIMATE_BUSINESS_NEED_TENANT_SCREENING", "LEGITIMATE_BUSINESS_NEED_OTHER",
        "WRITTEN_INSTRUCTION_PREQUALIFICATION", "WRITTEN_INSTRUCTION_OTHER", "ELIGIBILITY_FOR_GOVT_BENEFITS",
    ]

    static let userCreate: [Field] = [
        Field("client_user_id", .text(1...128), required: true),
        Field("identity", .nullable(.object(identity))),
        Field("consumer_report_user_identity", .nullable(.object(legacyIdentity))),
        Field("with_upgraded_user", .flag),
        Field("end_customer", .text(1...128)),
    ]

    private static let identity: [Field] = [
        Field(
            "name",
            .nullable(
                .object([
                    Field("given_name", .text(1...200), required: true),
                    Field("family_name", .text(1...200), required: true),
                ])
            )
        ),
        Field("date_of_birth", .nullable(.date)),
        Field("emails", .array(of: contact)),
        Field("phone_numbers", .array(of: contact)),
        Field(
            "addresses",
            .array(
                of: .object([
                    Field("street_1", .nullable(.text())), Field("street_2", .nullable(.text())),
                    Field("city", .nullable(.text())), Field("region", .nullable(.text())),
                    Field("country", .text(), required: true), Field("postal_code", .nullable(.text())),
                    Field("primary", .flag, required: true),
                ])
            )
        ),
        Field(
            "id_numbers",
            .array(
                of: .object([
                    Field("value", .text(), required: true), Field("type", .text(), required: true),
                ])
            )
        ),
    ]
    private static let contact = FieldShape.object([
        Field("data", .text(1...500), required: true), Field("primary", .flag, required: true),
    ])
    private static let legacyIdentity: [Field] = [
        Field("first_name", .text(1...200), required: true),
        Field("last_name", .text(1...200), required: true),
        Field("phone_numbers", .array(of: .text()), required: true),
        Field("emails", .array(of: .text()), required: true),
        Field("date_of_birth", .nullable(.date), required: true),
        Field(
            "primary_address",
            .object([
                Field("street", .text(), required: true), Field("city", .nullable(.text()), required: true),
                Field("region", .nullable(.text()), required: true),
                Field("postal_code", .nullable(.text()), required: true),
                Field("country", .nullable(.text()), required: true),
            ]),
            required: true
        ),
        Field("ssn_full", .nullable(.text(11...11))),
        Field("ssn_last_4", .nullable(.text(4...4))),
    ]

    static let publicTokenCreate: [Field] =
        user + [
            Field("institution_id", .text(1...100), required: true),
            Field("initial_products", .array(of: product, atLeast: 1), required: true),
            Field(
                "options",
                .object([
                    Field("webhook", .url),
                    Field("override_username", .nullable(.text(0...200))),
                    Field("override_password", .nullable(.text(0...200))),
                    Field("transactions", .anyObject), Field("statements", .anyObject),
                    Field("income_verification", .anyObject),
                ])
            ),
        ]

    static let reportCreate: [Field] =
        user + [
            Field("webhook", .url, required: true),
            Field("days_requested", .integer(1...731), required: true),
            Field("days_required", .nullable(.integer(1...184))),
            Field("client_report_id", .nullable(.text(0...500))),
            Field("products", .nullable(.array(of: product, atLeast: 1))),
            Field("consumer_report_permissible_purpose", .word(purposes), required: true),
            Field("base_report", .nullable(.anyObject)), Field("income_insights", .nullable(.anyObject)),
            Field("partner_insights", .nullable(.anyObject)), Field("cashflow_insights", .nullable(.anyObject)),
            Field("lend_score", .nullable(.anyObject)), Field("network_insights", .nullable(.anyObject)),
            Field("include_investments", .nullable(.flag)),
        ]

    private static let reportReader: [Field] = user + [Field("third_party_user_token", .text(1...256))]
    /// For servicing; the report named must be the user's.
    private static let oneReport: [Field] = [
        Field("report_id", .nullable(.text(1...256))),
        Field("consumer_report_permissible_purpose", .nullable(.word(purposes))),
    ]
    static let baseReportGet: [Field] =
        reportReader + oneReport + [
            Field("item_ids", .nullable(.array(of: .text(1...256)))), Field("user_tier", .nullable(.text())),
        ]
    static let incomeInsightsGet: [Field] = reportReader + oneReport + [Field("options", .nullable(.anyObject))]
    static let partnerInsightsGet: [Field] =
        reportReader + [
            Field("partner_insights", .nullable(.anyObject)), Field("options", .nullable(.anyObject)),
            Field("user_tier", .nullable(.text())),
        ]

    static let reportCodes = [
        "USER_CHECK_REPORT_READY", "USER_CHECK_REPORT_FAILED", "CHECK_REPORT_READY", "CHECK_REPORT_FAILED",
    ]
    static let fireWebhook: [Field] =
        user + [
            Field("webhook_type", .word(["CHECK_REPORT"]), required: true),
            Field("webhook_code", .word(reportCodes), required: true),
            Field("webhook", .url, required: true),
        ]
    static let accountsGet: [Field] = [
        Field("access_token", .text(1...256), required: true),
        Field("options", .nullable(.object([Field("account_ids", .array(of: .text()))]))),
    ]
}
