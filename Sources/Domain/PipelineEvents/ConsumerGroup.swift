// The consumer groups: one for each consuming executable, with a retry and a dead-letter topic of its own.

package import PlaidAPI

/// A consumer group without the deployment's prefix: the name of its executable.
package struct ConsumerGroup: RawRepresentable, Hashable, Sendable {
    package let rawValue: String

    package init(rawValue: String) { self.rawValue = rawValue }

    package static let baseReport = ConsumerGroup(rawValue: "base-report-consumer")
    package static let incomeInsights = ConsumerGroup(rawValue: "income-insights-consumer")
    package static let partnerInsights = ConsumerGroup(rawValue: "partner-insights-consumer")
    package static let reportPDF = ConsumerGroup(rawValue: "report-pdf-consumer")
    package static let reportLifecycle = ConsumerGroup(rawValue: "report-lifecycle")
    package static let layerToken = ConsumerGroup(rawValue: "layer-token-consumer")
    package static let onboarding = ConsumerGroup(rawValue: "onboarding-consumer")

    /// Every group of the pipeline, in the order of the contract's table.
    package static let all: [ConsumerGroup] = [
        .baseReport, .incomeInsights, .partnerInsights, .reportPDF, .reportLifecycle, .layerToken, .onboarding,
    ]

    /// The group that fetches a product's reports.
    package init(fetching product: ReportProduct) {
        switch product {
        case .baseReport: self = .baseReport
        case .incomeInsights: self = .incomeInsights
        case .partnerInsights: self = .partnerInsights
        }
    }
}
