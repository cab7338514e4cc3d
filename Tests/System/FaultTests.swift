// Plaid answering badly: what cannot be a report is never stored, and the report is fetched all the same.

import Basics
import JSON
import PlaidAPI
import Testing

extension SystemTests {
    @Suite struct FaultTests {
        @Test func `HTML, cut bodies, closed connections, 5xx and 429 are tried again and nothing is lost`()
            async throws
        {
            try await Pipeline.run { pipeline in
                func get(_ product: String) -> JSONValue { .string("/cra/check_report/\(product)/get") }
                let rules: [JSONValue] = [
                    ["endpoint": get("base_report"), "count": 4, "html": true],
                    ["endpoint": get("base_report"), "count": 4, "cut_after": 20_000],
                    ["endpoint": get("base_report"), "count": 4, "drop": true],
                    ["endpoint": get("income_insights"), "count": 4, "truncate_to": 3_000],
                    ["endpoint": get("income_insights"), "count": 4, "overpromise": 512],
                    ["endpoint": get("income_insights"), "count": 4, "status": 500],
                    ["endpoint": get("partner_insights"), "count": 4, "retry_after": 1],
                    [
                        "endpoint": get("partner_insights"), "count": 4, "error_type": "CONSUMER_REPORT_ERROR",
                        "error_code": "PRODUCT_NOT_READY",
                    ],
                    ["endpoint": get("partner_insights"), "count": 4, "status": 502, "latency_ms": 300],
                ]
                try await pipeline.sandbox.setFaults(rules)
                let names = (1...8).map { "user-\($0)~60kb" }
                _ = try await pipeline.sandbox.makeReports(of: names, webhook: pipeline.webhookURL)
                try await pipeline.expectComplete(names.count * ReportProduct.allCases.count)
                #expect(try await pipeline.sandbox.faultHits() == rules.map { _ in 4 })
            }
        }
    }
}
