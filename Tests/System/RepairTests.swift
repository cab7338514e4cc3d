// What a person must mend: an old-style user nobody told us of becomes a dead letter, and is fetched after a replay.

import Basics
import Kafka
import PipelineEvents
import PlaidAPI
import TestSupport
import Testing

extension SystemTests {
    @Suite struct RepairTests {
        @Test func `an unknown old-style user is a dead letter until it is added and replayed`() async throws {
            try await Pipeline.run { pipeline in
                let user = try await pipeline.sandbox.makeReports(
                    of: ["old-style~60kb"],
                    webhook: pipeline.webhookURL,
                    isLegacy: true
                )[0]
                let token = try #require(user.token)
                let products = ReportProduct.allCases
                try await eventually("three dead letters") { () -> Bool? in
                    try await pipeline.count("dead_letters") == products.count ? true : nil
                }
                #expect(try await pipeline.count("reports") == 0)
                let rows = try await pipeline.rows(
                    "select consumer_group, error_type, error_code, attempts from dead_letters order by 1"
                )
                let groups = products.map { pipeline.topics.groupID(pipeline.group($0)) }.sorted()
                #expect(rows == groups.map { [$0, "user", "unknown_user", "1"] })

                let topics = products.map { pipeline.topics.deadLetters(group: pipeline.group($0)) }
                let letters = try await pipeline.reader.records(of: topics)
                let webhook = try #require(
                    try await pipeline.reader.records(of: pipeline.topics.checkReport).first
                )
                for topic in topics {
                    let letter = try #require(letters[topic]?.first)
                    #expect(letters[topic]?.count == 1)
                    #expect(letter.value == webhook.value)
                    #expect(letter.key == webhook.key)
                    #expect(letter.header("error-code") == "unknown_user")
                    #expect(letter.header("plaid-verification") == webhook.header("plaid-verification"))
                }
                if await MessageSchemas.areAvailable {
                    let all = letters.values.flatMap { $0 }
                    let complaints = try await MessageSchemas.complaints(
                        about: all,
                        values: "webhooks/check-report.schema.json",
                        headers: "failureHeaders"
                    )
                    #expect(complaints == [])
                }
                for product in products { try await pipeline.untilNoLag(product) }

                try await pipeline.checkctl(["users", "add", "--user-id", user.id], input: token + "\n")
                try await pipeline.checkctl(["dead-letters", "replay", "--all"])
                try await pipeline.untilStored(products.count)
                for product in products { try await pipeline.untilNoLag(product) }
                #expect(try await pipeline.count("dead_letters", where: "replayed_at is not null") == products.count)
                #expect(try await pipeline.count("dead_letters") == products.count)
                #expect(try await pipeline.count("reports", where: "user_id = '\(user.id)'") == products.count)
                #expect(try await pipeline.count("report_requests", where: "state = 'stored'") == products.count)

                // The token is sealed, and in no log.
                #expect(
                    try await pipeline.count("plaid_users", where: "position('\(token)' in user_token::text) > 0") == 0
                )
                for product in products {
                    let log = try pipeline.consumer(product).child.text
                    #expect(!log.contains(token))
                }
            }
        }
    }
}
