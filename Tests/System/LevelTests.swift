// READY is a level: repeats cost nothing, a new generation is never missed though its webhook has the same bytes.

import Basics
import Kafka
import PipelineEvents
import PlaidAPI
import Testing

extension SystemTests {
    @Suite struct LevelTests {
        @Test func `the same READY five times and under both code families is one row`() async throws {
            try await Pipeline.run { pipeline in
                let user = try await pipeline.sandbox.makeReports(of: ["often~60kb"], webhook: pipeline.webhookURL)[0]
                try await pipeline.sandbox.resendReady(user, code: "USER_CHECK_REPORT_READY", copies: 5)
                try await pipeline.untilStored(ReportProduct.allCases.count)
                try await pipeline.sandbox.resendReady(user, code: "both", copies: 5)
                try await eventually("all webhooks are in the topic") { () -> Bool? in
                    try await pipeline.reader.records(of: pipeline.topics.checkReport).count >= 16 ? true : nil
                }
                try await pipeline.expectComplete(ReportProduct.allCases.count)
                let webhooks = try await pipeline.reader.records(of: pipeline.topics.checkReport)
                #expect(webhooks.count == 16)
                #expect(Set(webhooks.map { $0.header("ce_type") }).count == 2)
            }
        }

        @Test func `a second generation announced by identical bytes is a second row`() async throws {
            try await Pipeline.run { pipeline in
                let products = SandboxClient.products
                let users = try await pipeline.sandbox.makeReports(of: ["twice~60kb"], webhook: pipeline.webhookURL)
                try await pipeline.untilStored(products.count)
                for user in users { try await pipeline.sandbox.createReport(user, webhook: pipeline.webhookURL) }
                try await pipeline.untilStored(2 * products.count)
                try await pipeline.expectComplete(2 * products.count)

                let webhooks = try await pipeline.reader.records(of: pipeline.topics.checkReport)
                #expect(webhooks.count == 2)
                #expect(Set(webhooks.map { $0.value.array }).count == 1)
            }
        }
    }
}
