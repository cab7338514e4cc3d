// `checkctl reports`: what is stored.

import Basics
import PlaidAPI
import ReportStore
import ServiceKit

enum ReportCommands {
    private static let settings = Setting.database + [Setting.plaidEnvironment]
    private static let user = CommandParameter<String>.option("user", .text, help: "only this user's").optional
    private static let products = ReportProduct.allCases.map(\.rawValue)
    private static let productFilter = CommandParameter<String>.option(
        "product",
        .word(products, placeholder: "product"),
        help: "only this product's"
    ).optional
    private static let limit = CommandParameter<Int>.option(
        "limit",
        .integer(1...1_000),
        default: "50",
        help: "rows at most, the newest first"
    )
    private static let reportID = CommandParameter<String>.argument(
        "REPORT_ID",
        .text,
        help: "Plaid's id of the report"
    )
    private static let body = CommandFlag("body", help: "write the bytes as received instead, nothing else")
    private static let verify = CommandFlag("verify", help: "compare the stored bytes with their SHA-256")

    static let all = [
        Command(
            "reports list",
            summary: "lists stored reports",
            parameters: [user, productFilter, limit],
            settings: settings
        ) { invocation in
            try await withReports(invocation) { reports in
                let page = try await reports.list(
                    ReportFilter(
                        userID: invocation.arguments[user],
                        product: invocation.arguments[productFilter],
                        limit: invocation.arguments[limit]
                    ),
                    deadline: invocation.soon()
                )
                var table = OutputTable(columns: [
                    "product", "report_id", "user_id", "generated_at", "fetched_at", "bytes",
                ])
                for report in page {
                    table.add([
                        .text(report.product), .text(report.reportID), .text(report.userID),
                        .optional(report.generatedAtText), .time(report.fetchedAt), .integer(Int64(report.byteCount)),
                    ])
                }
                invocation.output.print(table)
            }
        },
        Command(
            "reports show",
            summary: "shows one stored report",
            parameters: [reportID, productFilter],
            flags: [body, verify],
            settings: settings,
            run: show
        ),
    ]

    private static func show(_ invocation: CommandInvocation) async throws {
        try await withReports(invocation) { reports in
            let id = invocation.arguments[reportID]
            let candidates = invocation.arguments[productFilter].map { [$0] } ?? products
            for product in candidates {
                guard let found = try await reports.show(product: product, reportID: id, deadline: invocation.soon())
                else { continue }
                if invocation.arguments[body] { return invocation.output.print(raw: found.body.array) }
                let report = found.reference
                var record: [(String, OutputValue)] = [
                    ("product", .text(report.product)), ("report_id", .text(report.reportID)),
                    ("user_id", .text(report.userID)), ("client_report_id", .optional(report.clientReportID)),
                    ("generated_at", .optional(report.generatedAtText)), ("fetched_at", .time(report.fetchedAt)),
                    ("covers_received_at", .time(report.coversReceivedAt)),
                    ("bytes", .integer(Int64(report.byteCount))),
                    ("body_sha256", .text(report.bodySHA256)), ("fraud_alert", .bool(report.fraudAlert)),
                    ("strict_json", .bool(report.strictJSON)), ("webhook_event_id", .optional(report.webhookEventID)),
                ]
                if invocation.arguments[verify] {
                    let isWhole = try await reports.verify(product: product, reportID: id, deadline: invocation.soon())
                    record.append(("verified", .bool(isWhole == true)))
                }
                return invocation.output.print(record)
            }
            throw ProgramFailure(.usage, "no stored report has that id; checkctl reports list shows those there are")
        }
    }

    private static func withReports(
        _ invocation: CommandInvocation,
        _ body: (ReportRepository) async throws -> Void
    ) async throws {
        try await invocation.withDatabase { pool in
            try await body(ReportRepository(pool: pool, environment: invocation.settings.plaidEnvironment))
        }
    }
}
