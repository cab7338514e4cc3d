// READY is a level: what is fetched, what is not, and what is announced again; crashes between any two effects.

import Basics
import HTTPClient
import Kafka
import PipelineEvents
import PlaidAPI
import ReportStore
import Testing
import WorkerKit

@testable import Kafka
@testable import ReportConsumer

@Suite struct RepetitionTests {
    @Test func `five READYs that stood in the lane are one fetch and one row`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            let events = [3.0, 1, 5, 2, 4].enumerated().map { index, second in
                rig.event(
                    Body.webhook(index % 2 == 0 ? "CHECK_REPORT_READY" : "USER_CHECK_REPORT_READY"),
                    at: moment(second),
                    offset: Int64(index)
                )
            }
            #expect(await rig.handle(events).short == "done")
            #expect(rig.plaid.requests.count == 1)
            #expect(
                try await database.sql("select report_id, covers_received_at = '\(moment(5).rfc3339)' from reports")
                    == ["r1|t"]
            )
            for event in events { #expect(await rig.handle(event).short == "done") }
            #expect(rig.plaid.requests.count == 1)
            #expect(Set(rig.announcer.reportIDs) == ["r1"])
            #expect(rig.metric("events_satisfied_total") == 5)
        }
    }

    @Test func `a second generation announced by identical bytes is fetched`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database, ScriptedPlaid(.report("r1"), .report("r2")))
            #expect(await rig.handle(rig.event(at: moment(0))).short == "done")
            #expect(await rig.handle(rig.event(at: moment(0.000001))).short == "done")
            #expect(rig.announcer.reportIDs == ["r1", "r2"])
            #expect(try await database.sql("select report_id from reports order by 1") == ["r1", "r2"])
            #expect(try await database.sql("select state, report_id from report_requests") == ["stored|r2"])
        }
    }

    @Test func `the same report again raises its coverage and keeps its first body`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database, ScriptedPlaid(.report(), .report(more: ",\"later\":true")))
            #expect(await rig.handle(rig.event(at: moment(0))).short == "done")
            #expect(await rig.handle(rig.event(at: moment(9))).short == "done")
            #expect(
                try await database.sql("select body, covers_received_at = '\(moment(9).rfc3339)' from reports")
                    == [(Body.report().string() ?? "") + "|t"]
            )
            #expect(rig.announcer.announced.withLock { Set($0.map(\.bodySHA256)).count } == 1)
            #expect(rig.metric("reports_stored_total{kind=\"again\"}") == 1)
        }
    }

    // MARK: Crashes

    @Test func `a crash between row and announcement: announced when the event comes again, nothing twice`()
        async throws
    {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            rig.announcer.failures.withLock { $0 = [KafkaError(.timedOut, "m")] }
            let event = rig.event()
            #expect(await rig.handle(event).short == "retry kafka")
            #expect(try await database.sql("select count(*) from reports") == ["1"])
            #expect(rig.announcer.reportIDs.isEmpty)
            #expect(await rig.handle(event).short == "done")
            #expect(rig.announcer.reportIDs == ["r1"])
            #expect(rig.plaid.requests.count == 1)
            #expect(try await database.sql("select count(*) from reports") == ["1"])
        }
    }

    @Test func `a crash between announcement and offset: the same event again under the same id`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            let event = rig.event()
            #expect(await rig.handle(event).short == "done")
            // A new process knows nothing but the tables.
            let next = try Rig(database, ScriptedPlaid(), announcer: rig.announcer)
            #expect(await next.handle(event).short == "done")
            #expect(next.plaid.requests.isEmpty)
            let announced = rig.announcer.announced.withLock { $0 }
            #expect(announced.count == 2)
            #expect(Set(announced).count == 1)
        }
    }

    @Test func `a report left unannounced is announced although a newer READY merged with its own`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database, ScriptedPlaid(.report("r1"), .report("r2")))
            rig.announcer.failures.withLock { $0 = [KafkaError(.timedOut, "m")] }
            let first = rig.event(at: moment(0), offset: 0)
            #expect(await rig.handle(first).short == "retry kafka")
            #expect(await rig.handle(first, rig.event(at: moment(5), offset: 1)).short == "done")
            #expect(rig.announcer.reportIDs == ["r1", "r2"])
        }
    }

    @Test func `a report left unannounced is announced although a newer one is stored`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database, ScriptedPlaid(.report("r1"), .report("r2")))
            rig.announcer.failures.withLock { $0 = [KafkaError(.timedOut, "m")] }
            let first = rig.event(at: moment(0))
            #expect(await rig.handle(first).short == "retry kafka")
            #expect(await rig.handle(rig.event(at: moment(5))).short == "done")
            #expect(rig.announcer.reportIDs == ["r2"])
            #expect(await rig.handle(first).short == "done")
            #expect(rig.announcer.reportIDs == ["r2", "r1"])
            #expect(rig.plaid.requests.count == 2)
        }
    }

    @Test func `a report left unannounced past its READY's time is announced, not expired`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            rig.announcer.failures.withLock { $0 = [KafkaError(.timedOut, "m"), KafkaError(.timedOut, "m")] }
            let event = rig.event()
            #expect(await rig.handle(event).short == "retry kafka")
            #expect(await rig.expire(event).short == "retry kafka")
            #expect(await rig.expire(event).short == "done")
            #expect(rig.announcer.reportIDs == ["r1"])
            #expect(try await database.requestStates() == ["usr_1|cra_base_report|stored"])
        }
    }

    // MARK: Time

    @Test func `a report that Plaid calls expired is recorded once, whatever comes again`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database, ScriptedPlaid(.error("CONSUMER_REPORT_ERROR", "CONSUMER_REPORT_EXPIRED")))
            let event = rig.event()
            #expect(await rig.handle(event).short == "expired")
            #expect(await rig.expire(event).short == "done")
            #expect(await rig.expire(event).short == "done")
            #expect(try await database.requestStates() == ["usr_1|cra_base_report|expired"])
            #expect(rig.plaid.requests.count == 1)
        }
    }

    @Test func `a READY that nobody fetched in time is expired without a fetch, and a newer one is not touched`()
        async throws
    {
        try await TestDatabase.with { database in
            let rig = try Rig(database, ScriptedPlaid(.report("r1")))
            let old = rig.event(at: moment(-90_000))
            #expect(await rig.expire(old).short == "done")
            #expect(rig.plaid.requests.isEmpty)
            #expect(try await database.requestStates() == ["usr_1|cra_base_report|expired"])
            #expect(rig.metric("reports_expired_total") == 1)
            #expect(await rig.handle(rig.event(at: moment(0))).short == "done")
            #expect(await rig.expire(old).short == "done")
            #expect(try await database.requestStates() == ["usr_1|cra_base_report|stored"])
        }
    }

    @Test func `time ends only fetching: failures are recorded and broken events buried all the same`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            let failed = rig.event(Body.webhook("CHECK_REPORT_FAILED"), at: moment(-90_000))
            #expect(await rig.expire(failed).short == "done")
            #expect(try await database.requestStates() == ["usr_1|cra_base_report|failed"])
            #expect(await rig.expire(rig.event("{", at: moment(-90_000))).short == "park unreadable/not_json")
            #expect(await rig.expire(rig.event(Body.webhook("NEW"), at: moment(-90_000))).short == "done")
        }
    }

    @Test func `what is not ready is looked at by the age of its webhook`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(
                database,
                ScriptedPlaid { _, _ in .error("CONSUMER_REPORT_ERROR", "PRODUCT_NOT_READY") },
                wall: WallClock { moment(0) }
            )
            let young = await rig.handle(rig.event(at: moment(-10)))
            #expect(young.short == "retry not_ready")
            #expect(young.wait == .seconds(300))
            #expect(await rig.handle(rig.event(Body.webhook(user: "usr_2"), at: moment(-301))).wait == .seconds(900))
            #expect(
                try await database.sql(
                    "select next_attempt_at = '\(moment(300).rfc3339)', attempts from report_requests order by user_id limit 1"
                ) == ["t|1"]
            )
        }
    }
}
