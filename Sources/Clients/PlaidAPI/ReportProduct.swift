// The consumer reports fetched here, and where they differ.

package enum ReportProduct: String, CaseIterable, Sendable {
    case baseReport = "cra_base_report"
    case incomeInsights = "cra_income_insights"
    case partnerInsights = "cra_partner_insights"

    /// The path of the read call.
    package var path: String {
        switch self {
        case .baseReport: "/cra/check_report/base_report/get"
        case .incomeInsights: "/cra/check_report/income_insights/get"
        case .partnerInsights: "/cra/check_report/partner_insights/get"
        }
    }

    /// The last part of the topic that announces stored reports.
    package var topicSuffix: String {
        switch self {
        case .baseReport: "base"
        case .incomeInsights: "income-insights"
        case .partnerInsights: "partner-insights"
        }
    }

    /// The limit's name in `PLAID_RATE_LIMITS`.
    package var limitName: String {
        switch self {
        case .baseReport: "base_report"
        case .incomeInsights: "income_insights"
        case .partnerInsights: "partner_insights"
        }
    }

    /// The member of `report` that says when it was made.
    package var timeField: String {
        switch self {
        case .baseReport: "date_generated"
        case .incomeInsights, .partnerInsights: "generated_time"
        }
    }

    /// Whether Plaid may leave `report_id` out, so that the time of generation identifies the report.
    package var mayLackReportID: Bool { self != .baseReport }
}
