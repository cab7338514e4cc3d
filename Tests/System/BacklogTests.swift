// Consumers that were away: webhooks pile up meanwhile, and all of them are worked off.

import Basics
import PipelineEvents
import PlaidAPI
import TestSupport
import Testing

extension SystemTests {
    @Suite struct BacklogTests {
        /// More webhooks than a consumer handles at once wait for it; `CHECK_PIPELINE_ROUNDS` asks for more such waits.
        @Test func `a backlog larger than one process holds in flight is worked off whole`() async throws {
            let rounds = ProcessEnvironment.value("CHECK_PIPELINE_ROUNDS").flatMap { Int($0) } ?? 2
            let perRound = BrokerKind.best == .kafka ? 300 : 60
            var options = PipelineOptions()
            options.consumerSettings = ["MAX_IN_FLIGHT": BrokerKind.best == .kafka ? "256" : "40"]
            try await Pipeline.run(options) { pipeline in
                for round in 1...rounds {
                    for product in ReportProduct.allCases {
                        #expect(try await pipeline.consumer(product).stop() == 0)
                    }
                    let names = (1...perRound).map { "round-\(round)-\($0)" }
                    _ = try await pipeline.sandbox.makeReports(of: names, webhook: pipeline.webhookURL)
                    try await eventually("every webhook is in the topic") { () -> Bool? in
                        let records = try await pipeline.reader.records(of: pipeline.topics.checkReport)
                        return records.count >= round * perRound ? true : nil
                    }
                    for product in ReportProduct.allCases { try pipeline.startConsumer(product) }
                    try await pipeline.untilStored(round * perRound * 3, within: .seconds(60))
                }
                try await pipeline.expectComplete(rounds * perRound * 3)
            }
        }
    }
}
