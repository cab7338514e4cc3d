// The recorded truth: what was served to whom, what was sent, what was acknowledged.

import Basics
import JSON
import PlaidAPI

/// Written as JSON so that a test can compare without trusting the system under test.
struct Truth {
    let users: [SandboxWorld.User]
    let deliveries: [WebhookDelivery]
    let seed: UInt64
    let speed: Double
    let now: MonotonicInstant

    func json() -> [UInt8] {
        var writer = JSONWriter(pretty: true)
        writer.object { writer in
            writer.field("seed", seed)
            writer.field("speed", .double(speed))
            writer.field("users", users.count)
            writer.field("webhooks_sent", deliveries.count)
            writer.field("webhooks_acknowledged", deliveries.count { $0.outcome == .done })
            writer.array("reports") { writer in
                for user in users {
                    for generation in user.generations { reports(user, generation, &writer) }
                }
            }
            writer.array("webhooks") { writer in
                for delivery in deliveries { Self.write(delivery, &writer) }
            }
        }
        return writer.bytes
    }

    private func reports(
        _ user: SandboxWorld.User,
        _ generation: SandboxWorld.Generation,
        _ writer: inout JSONWriter
    ) {
        let plan = generation.plan
        let names = Set(plan.products).union(generation.served.keys.map(\.rawValue))
        let state = now < generation.readyAt ? "generating" : now < generation.expiresAt ? "ready" : "expired"
        for product in ReportProduct.allCases where names.contains(product.rawValue) {
            let served = generation.served[product]
            let isMade = !plan.traits.fails && !plan.traits.failedProducts.contains(product.rawValue)
            writer.object { writer in
                writer.field("user_id", user.id)
                writer.field("client_user_id", user.clientUserID)
                writer.field("family", user.family == .current ? "current" : "legacy")
                writer.field("product", product.rawValue)
                writer.field("generation", plan.generation)
                writer.field("report_id", plan.reportID(product))
                writer.field("client_report_id", orNull: plan.clientReportID)
                writer.field("state", isMade ? state : "failed")
                writer.field("sha256", orNull: served?.sha256)
                writer.name("byte_count")
                if let served { writer.value(served.byteCount) } else { writer.null() }
                writer.field("times_served", served?.times ?? 0)
            }
        }
    }

    private static func write(_ delivery: WebhookDelivery, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("serial", delivery.serial)
            writer.field("webhook_code", delivery.code)
            writer.field("user_id", delivery.userID)
            writer.name("generation")
            if let generation = delivery.generation { writer.value(generation) } else { writer.null() }
            writer.field("url", delivery.url)
            writer.field("body_sha256", delivery.bodySHA256)
            writer.field("acknowledged", delivery.outcome == .done)
            switch delivery.outcome {
            case .done: writer.field("state", "acknowledged")
            case .lost(let reason): writer.field("state", "lost: \(reason.rawValue)")
            case .again, nil: writer.field("state", "pending")
            }
            writer.array("attempts") { writer in
                for attempt in delivery.attempts { write(attempt, &writer) }
            }
        }
    }

    private static func write(_ attempt: WebhookDelivery.Attempt, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("at", attempt.at.rfc3339(fractionDigits: 6))
            writer.field("answered_at", orNull: attempt.answeredAt?.rfc3339(fractionDigits: 6))
            writer.name("status")
            switch attempt.answer {
            case .accepted: writer.value(200)
            case .refused(let status, _): writer.value(status)
            case .unanswered, nil: writer.null()
            }
            if case .unanswered(let why) = attempt.answer { writer.field("error", why) }
            if case .refused(_, let wait?) = attempt.answer { writer.field("retry_after", .double(wait.inSeconds)) }
        }
    }
}
