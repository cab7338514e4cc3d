// The main job: signed webhooks in, every report in the database as it was served, every message lawful.

import Basics
import Kafka
import PipelineEvents
import PlaidAPI
import TestSupport
import Testing

extension SystemTests {
    @Suite struct EndToEndTests {
        /// The embedded broker holds a few megabytes; `CHECK_PIPELINE_USERS` asks for another number.
        private static func userCount(_ broker: BrokerKind) -> Int {
            ProcessEnvironment.value("CHECK_PIPELINE_USERS").flatMap { Int($0) } ?? (broker == .kafka ? 300 : 40)
        }

        @Test(arguments: BrokerKind.available)
        func `every report of every user is stored as it was served`(_ broker: BrokerKind) async throws {
            var options = PipelineOptions()
            options.broker = broker
            let count = Self.userCount(broker)
            try await Pipeline.run(options) { pipeline in
                // Odd but lawful JSON, a body of 12 MB, and the usual mix.
                let names = ["large~12mb", "odd~60kb~odd", "alert~60kb~fraud"] + (4...count).map { "user-\($0)" }
                let start = MonotonicClock.system.now()
                let users = try await pipeline.sandbox.makeReports(of: names, webhook: pipeline.webhookURL)
                let asked = MonotonicClock.system.now()
                try await pipeline.untilStored(3 * count, within: .seconds(120))
                let stored = MonotonicClock.system.now()
                try await pipeline.expectComplete(3 * count)

                func isLarge(_ bytes: Int) -> String { "user_id = '\(users[0].id)' and byte_count >= \(bytes)" }
                #expect(try await pipeline.count("reports", where: isLarge(12_000_000)) == 1)
                let escaped = "user_id = '\(users[1].id)' and position('\\u0000' in body) > 0"
                #expect(try await pipeline.count("reports", where: escaped + " and not strict_json") >= 1)
                #expect(try await pipeline.count("report_documents") < 3 * count)
                #expect(try await pipeline.count("reports", where: "user_id = '\(users[2].id)' and fraud_alert") >= 1)

                let webhooks = try await pipeline.reader.records(of: pipeline.topics.checkReport)
                #expect(Set(webhooks.map(\.keyText)) == Set(users.map(\.id)))
                if await MessageSchemas.areAvailable { try await pipeline.expectLawfulMessages() }

                let times = try await pipeline.rows(
                    """
                    select round(1000 * percentile_cont(0.5) within group (order by extract(epoch from took))),
                           round(1000 * percentile_cont(0.99) within group (order by extract(epoch from took))),
                           (select sum(byte_count) / 1000000 from reports)
                      from (select stored_at - covers_received_at as took from reports) x
                    """
                )
                print(
                    "\(broker.rawValue): \(count) users asked in \(asked - start), the last of \(3 * count) reports stored",
                    "\(stored - asked) later; webhook to row p50/p99 in ms, MB in all: \(times)"
                )
                for product in ReportProduct.allCases { #expect(try await pipeline.consumer(product).stop() == 0) }
                #expect(try await pipeline.receiver.stop() == 0)
            }
        }
    }
}
