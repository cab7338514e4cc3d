import Basics
import Cryptography
import JSON
import PlaidAPI
import ReportStore
import ServiceKit
import TestSupport
import Testing

@testable import OperatorCommands

@Suite struct DatabaseCommandTests {
    // MARK: migrate

    @Test func `migrates once, and says that it is up to date the second time`() async throws {
        let person = try await Operator.arrives(migrated: false)
        let plan = try await person.runs("migrate", "--schemas", Operator.schemas, "--plan", "--output", "json")
            .succeeded()
        let planned = try JSON.parse(plan.output).arrayValue ?? []
        #expect(planned.count >= 5)
        #expect(planned.allSatisfy { $0["done"]?.stringValue == "to apply" })
        #expect(try await person.sql("select to_regclass('reports') is null") == ["t"])

        let first = try await person.runs("migrate", "--schemas", Operator.schemas, "--output", "json").succeeded()
        let applied = try JSON.parse(first.output).arrayValue ?? []
        #expect(applied.map { $0["version"]?.intValue } == (1...Int64(planned.count)).map { $0 })
        #expect(applied.allSatisfy { $0["done"]?.stringValue == "applied" })
        #expect(try await person.sql("select to_regclass('reports') is null") == ["f"])

        let second = try await person.runs("migrate", "--schemas", Operator.schemas).succeeded()
        #expect(second.text == "The schema is up to date (\(planned.count)).\n")
        let third = try await person.runs("migrate", "--schemas", Operator.schemas, "--output", "json").succeeded()
        #expect(third.text == "[]\n")
    }

    @Test func `the built program finds its SQL files by itself`() async throws {
        let person = try await Operator.arrives(migrated: false)
        let (code, text) = try await person.starts(["migrate"])
        #expect(code == 0)
        #expect(text.contains("applied"))
    }

    @Test func `looks beside an installed program, in a source tree and in the current folder`() {
        let found = SchemaFolder.candidates(executable: "/opt/check/bin/checkctl")
        #expect(found.first == "schemas/postgres")
        #expect(found.contains("/opt/check/share/check-pipeline/schemas/postgres"))
        #expect(SchemaFolder.candidates(executable: "/src/.build/x86/debug/checkctl").contains("/src/schemas/postgres"))
    }

    @Test func `every command on a database without a schema says to run migrate`() async throws {
        let person = try await Operator.arrives(migrated: false)
        for arguments in [
            ["users", "list"], ["reports", "list"], ["status"], ["trace", "u"], ["dead-letters", "list"],
        ] {
            let failure = await person.runs(arguments).failure
            #expect(failure == ProgramFailure(.unavailable, "the database has no schema yet: run checkctl migrate"))
        }
    }

    // MARK: reports, trace

    private static let body = #"{"report": {"report_id":"r-1"},"amount":1.10,"text":"é\u0000"}"#

    private func personWithReport() async throws -> Operator {
        let person = try await Operator.arrives()
        let then = Timestamp(microsecondsSinceEpoch: 1_795_230_000_000_000)
        let event = RequestEvent(userID: "usr_1", receivedAt: then, webhookEventID: "event-1")
        let body = Bytes(utf8: Self.body)
        try await person.withPool { pool in
            let requests = RequestRepository(pool: pool, environment: .sandbox)
            _ = try await requests.readySeen(
                event,
                products: ["cra_base_report"],
                lifetimeEnd: then + .seconds(86_400),
                deadline: Operator.soon
            )
            let report = NewReport(
                userID: "usr_1",
                product: .baseReport,
                reportID: "r-1",
                clientReportID: "loan-1",
                generatedAt: then,
                generatedAtText: "2026-11-20T03:04:05.123456789Z",
                fetchStartedAt: then + .seconds(1),
                fetchedAt: then + .seconds(2),
                coversReceivedAt: then,
                body: body,
                bodySHA256: SHA256.hash(body),
                strictJSON: false,
                webhookEventID: "event-1"
            )
            _ = try await ReportRepository(pool: pool, environment: .sandbox).store(report, deadline: Operator.soon)
        }
        return person
    }

    @Test func `reports are listed and shown, and their bodies written byte for byte`() async throws {
        let person = try await personWithReport()
        let list = try await person.runs("reports", "list", "--output", "json").succeeded()
        let row = try JSON.parse(list.output).arrayValue?.first
        #expect(row?["report_id"]?.stringValue == "r-1")
        #expect(row?["bytes"]?.intValue == Int64(Self.body.utf8.count))
        #expect(row?["generated_at"]?.stringValue == "2026-11-20T03:04:05.123456789Z")
        for filter in [["--user", "usr_2"], ["--product", "cra_income_insights"]] {
            #expect(await person.runs(["reports", "list", "--output", "json"] + filter).text == "[]\n")
        }
        let shown = try await person.runs("reports", "show", "r-1", "--verify", "--output", "json").succeeded()
        let json = try JSON.parse(shown.output)
        #expect(json["verified"]?.boolValue == true)
        #expect(json["strict_json"]?.boolValue == false)
        #expect(json["body_sha256"]?.stringValue == SHA256.hash(Bytes(utf8: Self.body)).hex)
        #expect(!shown.text.contains("amount"))
        let body = try await person.runs("reports", "show", "r-1", "--body").succeeded()
        #expect(body.output == Array(Self.body.utf8))
        let missing = await person.runs("reports", "show", "r-2")
        #expect(missing.failure?.code == .usage)
        #expect(missing.failure?.message.contains("reports list") == true)
    }

    @Test func `a trace tells one user's story in order of time, and nobody else's`() async throws {
        let person = try await personWithReport()
        let trace = try await person.runs("trace", "usr_1", "--output", "json").succeeded()
        let rows = try JSON.parse(trace.output).arrayValue ?? []
        let what = rows.compactMap { $0["what"]?.stringValue }
        #expect(what.prefix(4) == ["ready-received", "request-set", "fetch-started", "report-stored"])
        let times = rows.compactMap { $0["at"]?.stringValue }.compactMap { Timestamp(rfc3339: $0) }
        #expect(times.count == rows.count && times == times.sorted())
        let nobody = await person.runs("trace", "usr_2")
        #expect(nobody.failure?.code == .usage)
    }

    // MARK: status

    @Test func `status shows what Postgres knows also when Kafka is away, and ends with 69`() async throws {
        let person = try await personWithReport()
        try await person.withPool { pool in
            let worker = WorkerRow(
                id: "w1",
                consumerGroup: "base-report-consumer",
                host: "h",
                processID: 7,
                version: "1",
                startedAt: WallClock.system.now(),
                assignment: ["t:0", "t:1"],
                inFlight: 5,
                openBreakers: ["base_report"]
            )
            try await WorkerRepository(pool: pool).heartbeat(worker, deadline: Operator.soon)
        }
        let status = await person.runs("status", "--output", "json")
        #expect(status.failure?.code == .unavailable)
        let json = try JSON.parse(status.output)
        let group = json["groups"]?.arrayValue?.first
        #expect(group?["group"]?.stringValue == "base-report-consumer")
        #expect(group?["lag"] == .null)
        #expect(group?["partitions"]?.intValue == 2)
        #expect(group?["in_flight"]?.intValue == 5)
        #expect(group?["paused_by"]?.arrayValue?.first?.stringValue == "base_report")
        #expect(json["requests"]?["stored"]?.intValue == 1)
        let table = await person.runs("status")
        #expect(table.text.contains("PAUSED BY"))
        #expect(table.text.contains("Requests: pending 0, stored 1, failed 0, expired 0, dead 0."))
    }
}
