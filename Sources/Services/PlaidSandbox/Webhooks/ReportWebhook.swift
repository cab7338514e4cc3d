// The webhooks about reports, as Plaid prints them: two-space JSON, members in alphabetical order.

import JSON

/// One webhook's content. The same content is the same bytes, as with Plaid.
struct ReportWebhook: Hashable, Sendable {
    let code: String
    let userID: String
    /// Nil: left out, as in older webhooks.
    let successful: [String]?
    let failed: [String]?

    /// What comes of one generation.
    static func outcome(of plan: ReportPlan, family: SandboxWorld.Family) -> ReportWebhook {
        let prefix = family == .current ? "USER_" : ""
        let successful = plan.successfulProducts
        guard !successful.isEmpty else {
            return ReportWebhook(
                code: prefix + "CHECK_REPORT_FAILED",
                userID: plan.userID,
                successful: nil,
                failed: plan.failedProducts
            )
        }
        return ReportWebhook(
            code: prefix + "CHECK_REPORT_READY",
            userID: plan.userID,
            successful: successful,
            failed: plan.failedProducts
        )
    }

    var isFailure: Bool { code.hasSuffix("FAILED") }

    var body: [UInt8] {
        var writer = JSONWriter(pretty: true)
        writer.object { writer in
            writer.field("environment", "sandbox")
            if isFailure, code.hasPrefix("USER_") { error(&writer) }
            if let failed { writer.array("failed_products") { writer in failed.forEach { writer.value($0) } } }
            if isFailure, code.hasPrefix("USER_") { writer.array("repairable_items") { _ in } }
            if let successful {
                writer.array("successful_products") { writer in successful.forEach { writer.value($0) } }
            }
            writer.field("user_id", userID)
            writer.field("webhook_code", code)
            writer.field("webhook_type", "CHECK_REPORT")
        }
        return writer.bytes
    }

    private func error(_ writer: inout JSONWriter) {
        writer.object("error") { writer in
            writer.name("display_message")
            writer.null()
            writer.field("error_code", "PRODUCT_GENERATION_FAILED")
            writer.field("error_message", "none of the requested products could be made")
            writer.field("error_type", "CHECK_REPORT_ERROR")
            writer.field("status", 400)
        }
    }
}
