// Webhooks in Kafka to rows in Postgres and events in Kafka, with the client library, its mock brokers and a database.

import Basics
import HTTPClient
import JSON
import Kafka
import PipelineEvents
import PlaidAPI
import ReportStore
import ServiceKit
import TestSupport
import Testing
import WorkerKit

@testable import ReportConsumer

@Suite(.serialized) struct PipelineTests {
    private let quiet = Logger(
        label: "tests",
        destination: LogDestination(format: .json, level: .critical, service: "tests") { _ in }
    )

    /// A Plaid that makes one report for each user.
    private func perUser() -> ScriptedPlaid {
        ScriptedPlaid { request, _ in
            let user = (try? JSON.parse(request.body))?["user_id"]?.stringValue ?? "?"
            return .report("report-of-\(user)")
        }
    }

    private func announcer(_ brokers: Brokers) -> TopicAnnouncer {
        TopicAnnouncer(
            producer: brokers.producer,
            environment: .sandbox,
            group: brokers.group,
            topic: brokers.topics.reports(.baseReport)
        )
    }

    /// Runs a consumer and stops it whatever happens.
    private func running<Value>(
        _ rig: Rig,
        _ brokers: Brokers,
        _ body: (RunningConsumer) async throws -> Value
    ) async throws -> Value {
        let consumer = try RunningConsumer(rig, brokers, logger: quiet)
        do {
            let value = try await body(consumer)
            let isFinished = try await consumer.stop()
            #expect(isFinished)
            return value
        } catch {
            _ = try await consumer.stop()
            throw error
        }
    }

    @Test func `webhooks become rows, announcements and dead letters, and every offset is committed`() async throws {
        try await TestDatabase.with { database in
            try await Brokers.with { brokers in
                let rig = try Rig(database, perUser(), through: announcer(brokers))
                for second in 0..<5 {
                    let code = second % 2 == 0 ? "CHECK_REPORT_READY" : "USER_CHECK_REPORT_READY"
                    try await brokers.publish(Body.webhook(code), user: "usr_1", at: moment(Double(second)))
                }
                for number in 2...40 {
                    try await brokers.publish(Body.webhook(user: "usr_\(number)"), user: "usr_\(number)")
                }
                try await brokers.publish("no json", user: nil)
                try await brokers.publish(Body.webhook(user: "old-id"), user: "old-id")
                try await brokers.publish(Body.webhook(environment: "production"), user: "usr_1")
                try await brokers.publish(Body.webhook("NEW_CODE"), user: "usr_1")
                try await running(rig, brokers) { consumer in try await consumer.committed(brokers.ends) }

                #expect(try await database.sql("select count(*), count(distinct user_id) from reports") == ["40|40"])
                #expect(
                    try await database.sql("select distinct state from report_requests where user_id <> 'old-id'") == [
                        "stored"
                    ]
                )
                #expect(
                    try await database.sql(
                        """
                        select error_type, error_code, topic, convert_from(value, 'UTF8') = 'no json', consumer_group
                          from dead_letters order by 1
                        """
                    ) == [
                        "environment|other_environment|t.plaid.webhooks.check-report|f|t.base-report-consumer",
                        "unreadable|not_json|t.plaid.webhooks.check-report|t|t.base-report-consumer",
                        "user|unknown_user|t.plaid.webhooks.check-report|f|t.base-report-consumer",
                    ]
                )
                let wanted = [brokers.topics.reports(.baseReport), brokers.topics.deadLetters(group: brokers.group)]
                try await brokers.reading(wanted) { downstream in
                    var announced: [String: String] = [:]
                    var dead: [String] = []
                    while announced.count < 40 || dead.count < 3 {
                        let record = try await downstream.next()
                        if record.topic == wanted[0] {
                            let event = try #require(ReportStored(json: record.value.array))
                            #expect(record.key == Array(event.userID.utf8))
                            announced[event.userID] = header("ce_id", record)
                        } else {
                            dead.append(header("error-code", record) ?? "?")
                            #expect(header("plaid-verification", record) == "token-as-received")
                        }
                    }
                    #expect(
                        announced["usr_7"]
                            == ReportStored.ceID(
                                environment: .sandbox,
                                product: "cra_base_report",
                                reportID: "report-of-usr_7"
                            )
                    )
                    #expect(Set(announced.values).count == 40)
                    #expect(dead.sorted() == ["not_json", "other_environment", "unknown_user"])
                }
            }
        }
    }

    private func header(_ name: String, _ record: ConsumerRecord) -> String? {
        record.headers.last { $0.name == name }.flatMap { $0.value.map { String(decoding: $0, as: UTF8.self) } }
    }

    @Test func `a database that goes away and comes back loses nothing`() async throws {
        try await TestDatabase.withOwnServer { database in
            try await Brokers.with { brokers in
                var limits = ReportHandler.Limits()
                limits.lookUp = .seconds(1)
                limits.store = .seconds(1)
                limits.note = .milliseconds(100)
                let rig = try Rig(database, perUser(), through: announcer(brokers), limits: limits)
                try await running(rig, brokers) { consumer in
                    for number in 0..<30 {
                        try await brokers.publish(Body.webhook(user: "usr_\(number)"), user: "usr_\(number)")
                    }
                    try await consumer.committed(brokers.ends)
                    try await database.server.stop()
                    for number in 30..<60 {
                        try await brokers.publish(Body.webhook(user: "usr_\(number)"), user: "usr_\(number)")
                    }
                    try await brokers.publish("no json", user: nil)
                    try await consumer.news { if case .paused = $0 { true } else { false } }
                    let paused = consumer.runtime.snapshot
                    #expect(paused.pauseReason?.contains("Postgres") == true)
                    try await database.server.startAgain()
                    try await consumer.news { if case .resumed = $0 { true } else { false } }
                    try await consumer.committed(brokers.ends)
                }
                #expect(try await database.sql("select count(*), count(distinct user_id) from reports") == ["60|60"])
                #expect(try await database.sql("select error_code from dead_letters") == ["not_json"])
                #expect(try await database.sql("select distinct state from report_requests") == ["stored"])
                // Nothing was fetched for a database that could not have stored it.
                #expect(rig.plaid.requests.count == 60)
            }
        }
    }

    @Test func `credentials that Plaid refuses hold everything and spend nothing`() async throws {
        try await TestDatabase.with { database in
            try await Brokers.with { brokers in
                let refused = ScriptedPlaid { _, _ in .error("INVALID_INPUT", "INVALID_API_KEYS") }
                let rig = try Rig(database, refused, through: announcer(brokers))
                try await running(rig, brokers) { consumer in
                    for number in 0..<200 {
                        try await brokers.publish(Body.webhook(user: "usr_\(number)"), user: "usr_\(number)")
                    }
                    try await consumer.news { if case .paused = $0 { true } else { false } }
                }
                // Only what was in flight when the first answer came.
                #expect((1...32).contains(rig.plaid.requests.count))
                #expect(try await database.sql("select count(*) from dead_letters") == ["0"])
                // The next process, with keys that work, finds everything.
                let next = try Rig(database, perUser(), through: announcer(brokers))
                try await running(next, brokers) { consumer in try await consumer.committed(brokers.ends) }
                #expect(try await database.sql("select count(*) from reports") == ["200"])
            }
        }
    }

    @Test func `stopping in mid-work leaves what is unfinished to the next process`() async throws {
        try await TestDatabase.with { database in
            try await Brokers.with { brokers in
                for number in 0..<300 {
                    try await brokers.publish(Body.webhook(user: "usr_\(number)"), user: "usr_\(number)")
                }
                let first = try Rig(database, perUser(), through: announcer(brokers))
                try await running(first, brokers) { consumer in
                    try await consumer.news { if case .attempt(.done, _, _, _) = $0 { true } else { false } }
                }
                // All that was begun was finished and committed; the rest is the next one's.
                #expect(try await database.sql("select count(*) from reports") == ["\(first.plaid.requests.count)"])
                #expect(first.plaid.requests.count < 300)

                let next = try Rig(database, perUser(), through: announcer(brokers))
                try await running(next, brokers) { consumer in
                    // At least one for each partition, so that each has something to commit.
                    for number in 300..<360 {
                        try await brokers.publish(Body.webhook(user: "usr_\(number)"), user: "usr_\(number)")
                    }
                    try await consumer.committed(brokers.ends)
                }
                #expect(try await database.sql("select count(*), count(distinct user_id) from reports") == ["360|360"])
                // Nothing that was committed came again, and what came again cost no fetch.
                #expect(first.plaid.requests.count + next.plaid.requests.count == 360)
            }
        }
    }
}
