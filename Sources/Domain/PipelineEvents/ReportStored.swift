// The announcement of a stored report: a reference and what identifies the bytes, never the report.

package import Basics
import JSON
package import PlaidAPI

/// The data of an event on `check-reports.base` and its siblings.
package struct ReportStored: Hashable, Sendable {
    /// The user's canonical id, or the webhook's where no row names the user. Also the record's key.
    package var userID: String
    /// Plaid's name of the product, `cra_base_report` for one.
    package var product: String
    package var reportID: String
    /// As the report spells it, up to nanoseconds; nil when it names no time.
    package var generatedAt: String?
    package var byteCount: Int
    /// SHA-256 of the stored bytes, 64 lower-case hex digits.
    package var bodySHA256: String
    package var clientReportID: String?
    /// The report carries Plaid's fraud alert: identity must be verified before acting on it.
    package var fraudAlert: Bool

    package init(
        userID: String,
        product: String,
        reportID: String,
        generatedAt: String?,
        byteCount: Int,
        bodySHA256: String,
        clientReportID: String?,
        fraudAlert: Bool
    ) {
        self.userID = userID
        self.product = product
        self.reportID = reportID
        self.generatedAt = generatedAt
        self.byteCount = byteCount
        self.bodySHA256 = bodySHA256
        self.clientReportID = clientReportID
        self.fraudAlert = fraudAlert
    }

    /// `ce_type` of these events.
    package static let eventType = "check-pipeline.report.stored"

    package static func ceID(environment: PlaidEnvironment, product: String, reportID: String) -> String {
        EventIdentity.report(environment: environment, product: product, reportID: reportID)
    }

    /// The record's key.
    package var key: [UInt8] { Array(userID.utf8) }

    /// - Parameter fetchedAt: When the report's bytes had come: the row's, so that a repeat says the same.
    package func headers(
        environment: PlaidEnvironment,
        group: ConsumerGroup,
        fetchedAt: Timestamp,
        traceParent: TraceParent? = nil
    ) -> [HeaderPair] {
        CloudEventHeaders(
            id: Self.ceID(environment: environment, product: product, reportID: reportID),
            type: Self.eventType,
            source: PipelineSource.text(environment, group),
            subject: "\(product)/\(reportID)",
            time: fetchedAt,
            traceParent: traceParent
        ).kafkaPairs
    }

    /// The record's value: one JSON object with all eight members, absent ones null.
    package var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { data in
            data.field("user_id", userID)
            data.field("product", product)
            data.field("report_id", reportID)
            data.field("generated_at", orNull: generatedAt)
            data.field("byte_count", byteCount)
            data.field("body_sha256", bodySHA256)
            data.field("client_report_id", orNull: clientReportID)
            data.field("fraud_alert", fraudAlert)
        }
        return writer.bytes
    }

    /// Reads the data back; members that we do not know are passed over.
    ///
    /// - Returns: nil when it is no such event.
    package init?(json: [UInt8]) {
        guard let value = try? JSON.parse(json),
            let userID = value["user_id"]?.stringValue,
            let product = value["product"]?.stringValue,
            let reportID = value["report_id"]?.stringValue,
            let byteCount = value["byte_count"]?.intValue,
            let bodySHA256 = value["body_sha256"]?.stringValue,
            let fraudAlert = value["fraud_alert"]?.boolValue
        else { return nil }
        self.init(
            userID: userID,
            product: product,
            reportID: reportID,
            generatedAt: value["generated_at"]?.stringValue,
            byteCount: Int(byteCount),
            bodySHA256: bodySHA256,
            clientReportID: value["client_report_id"]?.stringValue,
            fraudAlert: fraudAlert
        )
    }
}

/// `ce_source` of what the pipeline's own programs announce.
package enum PipelineSource {
    package static func text(_ environment: PlaidEnvironment, _ group: ConsumerGroup) -> String {
        "/check-pipeline/\(environment.rawValue)/\(group.rawValue)"
    }
}
