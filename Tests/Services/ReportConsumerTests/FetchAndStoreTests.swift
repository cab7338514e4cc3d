// From a READY to a stored and announced report, on a real database.

import Basics
import Cryptography
import HTTPClient
import JSON
import Kafka
import PipelineEvents
import PlaidAPI
import ReportStore
import TestSupport
import Testing
import WorkerKit

@testable import ReportConsumer

@Suite struct FetchAndStoreTests {
    @Test(arguments: ReportProduct.allCases)
    func `a READY's report is stored as received, its request marked, its event announced`(
        product: ReportProduct
    ) async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database, ScriptedPlaid(.report(product: product)), product: product)
            let ready = Body.webhook(more: "\"successful_products\": [\"\(product.rawValue)\"]")
            #expect(await rig.handle(rig.event(ready, at: moment(-5))).short == "done")

            let request = try #require(rig.plaid.requests.first)
            #expect(request.url == "https://plaid.test" + product.path)
            #expect(rig.plaid.asked.first?["user_id"]?.stringValue == "usr_1")
            let body = Body.report(product: product)
            let facts = try await database.sql(
                """
                select environment, user_id, product, report_id, client_report_id, generated_at_text, byte_count,
                       strict_json, fraud_alert, body_sha256 = sha256(convert_to(body, 'UTF8')),
                       fetch_started_at <= fetched_at
                  from reports
                """
            )
            #expect(
                facts == [
                    "sandbox|usr_1|\(product.rawValue)|r1|loan-88231|2026-11-20T03:04:05.123456789Z|\(body.count)|t|f|t|t"
                ]
            )
            #expect(try await database.sql("select body from reports") == [body.string()])
            #expect(try await database.requestStates() == ["usr_1|\(product.rawValue)|stored"])
            let announced = try #require(rig.announcer.announced.withLock { $0.first })
            #expect(announced.userID == "usr_1")
            #expect(announced.clientReportID == "loan-88231")
            #expect(announced.coversReceivedAt == moment(-5))
            #expect(announced.bodySHA256 == SHA256.hash(body).hex)
            #expect(rig.metric("reports_stored_total{kind=\"new\"}") == 1)
            #expect(rig.metric("webhook_to_row_seconds_count") == 1)
        }
    }

    @Test func `the request is pending with its deadline while the report is fetched`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(
                database,
                ScriptedPlaid(.error("API_ERROR", "INTERNAL_SERVER_ERROR", status: 500), .report())
            )
            #expect(await rig.handle([rig.event(at: moment(0))], attempt: 3).short == "retry transient")
            let row = try await database.sql(
                """
                select state, attempts, last_error_type, last_error_code, deadline - received_at
                  from report_requests
                """
            )
            #expect(row == ["pending|3|API_ERROR|INTERNAL_SERVER_ERROR|1 day"])
            #expect(await rig.handle(rig.event(at: moment(0))).short == "done")
            #expect(
                try await database.sql("select state, last_error_type, report_id from report_requests")
                    == ["stored||r1"]
            )
        }
    }

    @Test func `the announcement comes after the commit`() async throws {
        try await TestDatabase.with { database in
            let rows = Locked<[[String]]>([])
            let announcer = ScriptedAnnouncer { _ in
                let seen = try await database.sql(
                    "select report_id, state from reports join report_requests using (report_id)"
                )
                rows.withLock { $0.append(seen) }
            }
            let rig = try Rig(database, announcer: announcer)
            #expect(await rig.handle(rig.event()).short == "done")
            #expect(rows.withLock { $0 } == [["r1|stored"]])
        }
    }

    @Test func `the body's room is free before the announcement is awaited`() async throws {
        try await TestDatabase.with { database in
            let released = Locked(false)
            let text = Array((Body.report().string() ?? "").utf8)
            let memory = UnsafeMutableRawPointer.allocate(byteCount: text.count + 64, alignment: 16)
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: text.count + 64)
            text.withUnsafeBytes { memory.copyMemory(from: $0.baseAddress!, byteCount: text.count) }
            let answer = Locked<Bytes?>(
                Bytes(adopting: memory, count: text.count, readablePadding: 64) {
                    $0.deallocate()
                    released.withLock { $0 = true }
                }
            )
            let seen = Locked<Bool?>(nil)
            let announcer = ScriptedAnnouncer { _ in seen.withLock { $0 = released.withLock { $0 } } }
            let plaid = ScriptedPlaid { _, _ in
                .answer(
                    200,
                    answer.withLock { body in
                        defer { body = nil }
                        return body ?? .empty
                    }
                )
            }
            let rig = try Rig(database, plaid, announcer: announcer)
            #expect(await rig.handle(rig.event()).short == "done")
            #expect(seen.withLock { $0 } == true)
        }
    }

    @Test func `an idle connection that closed on the request is repeated once, on a fresh one`() async throws {
        try await TestDatabase.with { database in
            let gone = ScriptedPlaid.Answer.answer(408, Bytes(utf8: ""), type: "text/plain")
            let rig = try Rig(database, ScriptedPlaid(gone, .report()))
            #expect(await rig.handle(rig.event()).short == "done")
            #expect(rig.plaid.requests.map(\.needsFreshConnection) == [false, true])
            let twice = try Rig(database, ScriptedPlaid(gone, gone))
            #expect(await twice.handle(twice.event(at: moment(1))).short == "retry stale_connection")
        }
    }

    @Test func `a fetch ends with its event's time`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            let context = rig.context()
            _ = await rig.handler.handle(LaneWork(first: rig.event()), context: context)
            #expect(rig.plaid.requests.first?.deadline == context.deadline)
        }
    }

    @Test func `partitions given up cost no fetch`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database)
            #expect(await rig.handle([rig.event()], isCurrent: false).short == "retry cancelled")
            #expect(rig.plaid.requests.isEmpty)
        }
    }

    // MARK: Bodies

    @Test func `a body with U+0000 escapes is stored byte for byte and flagged`() async throws {
        try await TestDatabase.with { database in
            let body = Body.report(more: ",\"note\":\"a\\u0000b \\ud800 é\"")
            let rig = try Rig(database, ScriptedPlaid(.answer(200, body)))
            #expect(await rig.handle(rig.event()).short == "done")
            #expect(try await database.sql("select body from reports") == [body.string()])
            #expect(
                try await database.sql(
                    "select strict_json, encode(body_sha256, 'hex') = '\(SHA256.hash(body).hex)' from reports"
                ) == ["f|t"]
            )
            #expect(try await database.sql("select count(*) from report_documents") == ["0"])
        }
    }

    @Test func `a body of 12 MB is stored whole`() async throws {
        try await TestDatabase.with { database in
            let filler = String(repeating: "{\"amount\":12.34,\"description\":\"Grocery é\"},", count: 12_000_000 / 44)
            let body = Body.report(more: ",\"items\":[\(filler)0]")
            #expect(body.count > 11_500_000)
            let rig = try Rig(database, ScriptedPlaid(.answer(200, body)))
            #expect(await rig.handle(rig.event()).short == "done")
            #expect(
                try await database.sql(
                    "select byte_count, octet_length(body), encode(sha256(convert_to(body, 'UTF8')), 'hex') from reports"
                ) == ["\(body.count)|\(body.count)|\(SHA256.hash(body).hex)"]
            )
        }
    }

    @Test(arguments: [
        (Bytes(utf8: "<html>busy</html>"), "text/html", "retry transient"),
        (Bytes(utf8: "<html>busy</html>"), "application/json", "retry transient"),
        (Bytes(utf8: #"{"report":{"report_id":"r1","#), "application/json", "retry transient"),
        (Bytes(utf8: ""), "application/json", "retry transient"),
        (Bytes([0x7B, 0xFF, 0x7D]), "application/json", "retry transient"),
        (Bytes(utf8: "[]"), "application/json", "retry transient"),
        (Bytes(utf8: "{}"), "application/json", "retry not_ready"),
        (Bytes(utf8: #"{"report":null}"#), "application/json", "retry not_ready"),
        (
            Bytes(utf8: #"{"report":{"date_generated":"2026-11-20T03:04:05Z"}}"#), "application/json",
            "park report/unidentified"
        ),
        (
            Body.report(more: ",\"x\":" + String(repeating: "[", count: 2000) + String(repeating: "]", count: 2000)),
            "application/json", "park answer/unusable_report"
        ),
    ])
    func `what is no report is not stored`(body: Bytes, type: String, wanted: String) async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database, ScriptedPlaid(.answer(200, body, type: type)))
            #expect(await rig.handle(rig.event()).short == wanted)
            #expect(try await database.sql("select count(*) from reports") == ["0"])
            #expect(rig.announcer.reportIDs.isEmpty)
            let state = wanted.hasPrefix("park") ? "dead" : "pending"
            #expect(try await database.requestStates() == ["usr_1|cra_base_report|\(state)"])
        }
    }

    @Test func `a report that stands under another user is an alarm and changes nothing`() async throws {
        try await TestDatabase.with { database in
            let rig = try Rig(database, ScriptedPlaid(.report(), .report(more: ",\"other\":1")))
            #expect(await rig.handle(rig.event()).short == "done")
            let other = rig.event(Body.webhook(user: "usr_2"), at: moment(1))
            #expect(await rig.handle(other).short == "park report/foreign_report")
            #expect(
                try await database.sql("select user_id, covers_received_at = '\(moment(0).rfc3339)' from reports") == [
                    "usr_1|t"
                ]
            )
            #expect(
                try await database.requestStates() == ["usr_1|cra_base_report|stored", "usr_2|cra_base_report|dead"]
            )
            #expect(rig.announcer.reportIDs == ["r1"])
            #expect(rig.logs.withLock { $0.contains { $0.contains("\"critical\"") } })
        }
    }

    @Test func `a fraud alert is told with the report`() async throws {
        try await TestDatabase.with { database in
            let body = Body.report(more: #","warnings":[{"warning_code":"USER_FRAUD_ALERT"}]"#)
            let rig = try Rig(database, ScriptedPlaid(.answer(200, body)))
            #expect(await rig.handle(rig.event()).short == "done")
            #expect(rig.announcer.announced.withLock { $0.first?.fraudAlert } == true)
            #expect(try await database.sql("select fraud_alert from reports") == ["t"])
        }
    }
}
