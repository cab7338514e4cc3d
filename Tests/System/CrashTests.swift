// What happens to work in hand when a process dies: nothing is lost, nothing is there twice.

import Basics
import JSON
import Kafka
import PipelineEvents
import PlaidAPI
import TestSupport
import Testing

extension SystemTests {
    @Suite struct CrashTests {
        /// Slow enough that a process always has work in hand: few requests at once, each taking its time.
        private static let slowFetches: JSONValue = [
            "endpoint": "/cra/check_report/*", "latency_ms": 150, "latency_to_ms": 300,
        ]

        private static func slow(_ options: PipelineOptions = PipelineOptions()) -> PipelineOptions {
            var options = options
            options.consumerSettings = ["MAX_IN_FLIGHT": "3"]
            return options
        }

        /// What a killed consumer has left behind.
        private struct Remains {
            let product: ReportProduct
            let committed: [TopicPartition: Int64]
            let users: Set<String>
        }

        @Test func `killed five times in mid-run, each consumer loses nothing and repeats nothing`() async throws {
            try await Pipeline.run(Self.slow()) { pipeline in
                try await pipeline.sandbox.setFaults([Self.slowFetches])
                let perRound = 12
                var remains: [Remains] = []
                for round in 1...5 {
                    let names = (1...perRound).map { "round-\(round)-\($0)~60kb" }
                    _ = try await pipeline.sandbox.makeReports(of: names, webhook: pipeline.webhookURL)
                    for product in ReportProduct.allCases {
                        let stored = "product = '\(product.rawValue)'"
                        try await pipeline.untilStored((round - 1) * perRound + 2, where: stored)
                        try await pipeline.consumer(product).kill()
                        remains.append(try await Self.look(at: product, pipeline))
                        try pipeline.startConsumer(product)
                    }
                }
                // A kill that found nothing to do would prove nothing.
                let unfinished = remains.filter { $0.users.count % perRound != 0 }
                #expect(unfinished.count >= 10, "only \(unfinished.count) of \(remains.count) kills met work in hand")
                try await pipeline.expectComplete(5 * perRound * 3)

                let webhooks = try await pipeline.reader.records(of: pipeline.topics.checkReport)
                #expect(webhooks.count >= 5 * perRound)
                for remain in remains {
                    for webhook in webhooks where webhook.offset < remain.committed[webhook.topicPartition] ?? 0 {
                        #expect(
                            remain.users.contains(webhook.keyText ?? ""),
                            "\(remain.product): offset \(webhook.offset) was committed, its report not stored"
                        )
                    }
                }
            }
        }

        /// The offsets first: what is stored after that cannot make them look better.
        private static func look(at product: ReportProduct, _ pipeline: Pipeline) async throws -> Remains {
            let group = pipeline.topics.groupID(pipeline.group(product))
            let users = try await pipeline.rows("select user_id from reports where product = '\(product.rawValue)'")
            let committed = try await pipeline.reader.committed(by: group, in: [pipeline.topics.checkReport])
            return Remains(product: product, committed: committed, users: Set(users.compactMap(\.first)))
        }

        enum Blow: String, CaseIterable, CustomTestStringConvertible {
            case restarted, crashed
            var testDescription: String { rawValue }
        }

        @Test(arguments: Blow.allCases)
        func `Postgres going away in mid-run loses nothing and repeats nothing`(_ blow: Blow) async throws {
            var options = Self.slow()
            options.ownsPostgres = true
            try await Pipeline.run(options) { pipeline in
                try await pipeline.sandbox.setFaults([Self.slowFetches])
                let perRound = 12
                for round in 1...3 {
                    let names = (1...perRound).map { "round-\(round)-\($0)~60kb" }
                    _ = try await pipeline.sandbox.makeReports(of: names, webhook: pipeline.webhookURL)
                    try await pipeline.untilStored((round - 1) * perRound * 3 + 6)
                    switch blow {
                    case .restarted: try await pipeline.postgres.restart()
                    case .crashed:
                        try await pipeline.postgres.crash()
                        try await pipeline.postgres.startAgain()
                    }
                    #expect(try await pipeline.count("reports") < round * perRound * 3)
                }
                try await pipeline.expectComplete(3 * perRound * 3)
                for product in ReportProduct.allCases { try await pipeline.consumer(product).untilReady() }
            }
        }
    }
}
