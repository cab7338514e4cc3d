import Basics
import Cryptography
import HTTPClient
import JSON
import Testing
import WorkerKit

@testable import Kafka
@testable import PlaidAPI
@testable import Postgres
@testable import ReportConsumer
@testable import ReportStore

@Suite struct OutcomeTableTests {
    private let table = OutcomeTable(notReadySchedule: [.seconds(300), .seconds(900), .seconds(3600)])

    private func outcome(_ failure: StepFailure, age: Duration = .zero) -> String {
        table.outcome(failure, age: age).short
    }

    private func answer(_ type: String, _ code: String, status: Int) -> PlaidFailure {
        PlaidFailure(
            class: PlaidErrorTable.classify(type: type, code: code, status: status),
            errorType: type,
            errorCode: code,
            status: status,
            message: "\(type) \(code)"
        )
    }

    /// Every row of Plaid's table, by what it must come to here.
    @Test func `each of Plaid's errors has its outcome`() {
        for row in PlaidErrorTable.rows {
            let type = row.type ?? "ANY_TYPE"
            let code = row.code ?? "ANY_CODE"
            let status = type == "RATE_LIMIT_EXCEEDED" ? 429 : 400
            let wanted =
                switch row.failureClass {
                case .retry where status == 429: "retry rate_limited"
                case .retry(slow: true): "retry slow"
                case .retry(slow: false): "retry transient"
                case .retryAtOnceFresh: "retry stale_connection"
                case .wait: "retry not_ready"
                case .regenerate where code == "CONSUMER_REPORT_EXPIRED": "expired"
                case .regenerate, .permanent: "park \(type)/\(code)"
                case .global: "pause"
                }
            #expect(outcome(.plaid(answer(type, code, status: status))) == wanted)
        }
        #expect(PlaidErrorTable.rows.count > 50)
    }

    /// The rows that matter most, spelled out: the walk above would follow a wrong table.
    @Test(arguments: [
        ("CONSUMER_REPORT_ERROR", "PRODUCT_NOT_READY", 400, "retry not_ready"),
        ("CONSUMER_REPORT_ERROR", "CONSUMER_REPORT_EXPIRED", 400, "expired"),
        (
            "CONSUMER_REPORT_ERROR", "CONSUMER_REPORT_NOT_FOUND", 400,
            "park CONSUMER_REPORT_ERROR/CONSUMER_REPORT_NOT_FOUND"
        ),
        ("CHECK_REPORT_ERROR", "DATA_UNAVAILABLE", 400, "park CHECK_REPORT_ERROR/DATA_UNAVAILABLE"),
        ("INSTITUTION_ERROR", "INSTITUTION_DOWN", 400, "retry slow"),
        ("RATE_LIMIT_EXCEEDED", "ANYTHING", 429, "retry rate_limited"),
        ("API_ERROR", "INTERNAL_SERVER_ERROR", 500, "retry transient"),
        ("API_ERROR", "PLANNED_MAINTENANCE", 503, "retry slow"),
        ("INVALID_INPUT", "INVALID_API_KEYS", 400, "pause"),
        ("INVALID_INPUT", "UNAUTHORIZED_ENVIRONMENT", 400, "pause"),
        ("INVALID_INPUT", "INVALID_USER_TOKEN", 400, "park INVALID_INPUT/INVALID_USER_TOKEN"),
        ("NEW_TYPE", "NEW_CODE", 400, "park NEW_TYPE/NEW_CODE"), ("NEW_TYPE", "NEW_CODE", 500, "retry transient"),
        ("NEW_TYPE", "NEW_CODE", 429, "retry rate_limited"), ("NEW_TYPE", "NEW_CODE", 408, "retry stale_connection"),
    ])
    func `the errors that matter`(type: String, code: String, status: Int, wanted: String) {
        #expect(outcome(.plaid(answer(type, code, status: status))) == wanted)
    }

    @Test(arguments: [
        (HTTPClientError.Kind.nameResolution, "retry transient"), (.connect, "retry transient"),
        (.tls, "pause"), (.certificate, "pause"), (.local, "pause"), (.timeout(.connect), "retry transient"),
        (.timeout(.firstByte), "retry transient"), (.timeout(.stall), "retry transient"),
        (.timeout(.whole), "retry transient"), (.timeout(.deadline), "retry transient"),
        (.emptyAnswer, "retry transient"), (.cutAnswer, "retry transient"), (.malformedAnswer, "retry transient"),
        (.encoded, "retry transient"), (.closed, "retry transient"), (.overloaded, "retry transient"),
        (.tooLarge, "park transport/too_large"), (.invalidRequest, "park transport/invalid_request"),
        (.cancelled, "retry cancelled"),
    ])
    func `each end of a request without an answer`(kind: HTTPClientError.Kind, wanted: String) {
        #expect(outcome(.plaid(PlaidFailure(HTTPClientError(kind, message: "m")))) == wanted)
    }

    @Test func `an unusable answer parks under a name that says so`() {
        let deep = PlaidFailure(class: .permanent, status: 200, message: "m")
        #expect(outcome(.plaid(deep)) == "park answer/unusable_report")
        let page = PlaidFailure(class: .permanent, status: 404, message: "m")
        #expect(outcome(.plaid(page)) == "park answer/http_404")
    }

    @Test func `waits follow Retry-After and are slow where trouble is`() {
        func wait(_ failure: PlaidFailure, age: Duration = .zero) -> Duration? {
            table.outcome(.plaid(failure), age: age).wait
        }
        func failure(_ class: FailureClass, status: Int = 400, after: Duration? = nil) -> PlaidFailure {
            PlaidFailure(class: `class`, status: status, retryAfter: after, message: "m")
        }
        #expect(wait(failure(.retry(slow: false))) == nil)
        #expect(wait(failure(.retry(slow: false), status: 429, after: .seconds(7))) == .seconds(7))
        #expect(wait(failure(.retry(slow: false), status: 503, after: .seconds(9))) == .seconds(9))
        #expect(wait(failure(.retry(slow: true))) == .seconds(60))
        #expect(wait(failure(.retry(slow: true), after: .seconds(5))) == .seconds(60))
        #expect(wait(failure(.retry(slow: true), after: .seconds(500))) == .seconds(500))
        #expect(wait(failure(.retryAtOnceFresh)) == .zero)
        #expect(wait(failure(.wait), age: .seconds(10)) == .seconds(300))
        #expect(wait(failure(.wait, after: .seconds(1000)), age: .seconds(10)) == .seconds(1000))
    }

    @Test(arguments: [
        (0, 300), (299, 300), (300, 900), (1199, 900), (1200, 3600), (4799, 3600), (4800, 3600), (80_000, 3600),
        (-50, 300),
    ])
    func `not ready is looked at again by the schedule`(age: Int, gap: Int) {
        #expect(table.notReadyGap(.seconds(age)) == .seconds(gap))
    }

    @Test func `an empty schedule still waits`() {
        #expect(OutcomeTable(notReadySchedule: []).notReadyGap(.zero) == OutcomeTable.slowRetry)
    }

    @Test func `what says nothing about the event costs it no attempt`() {
        func costs(_ failure: StepFailure) -> Bool? {
            if case .retry(_, let reason) = table.outcome(failure, age: .zero) { reason.costsAttempt } else { nil }
        }
        #expect(costs(.plaid(answer("API_ERROR", "INTERNAL_SERVER_ERROR", status: 500))) == true)
        #expect(costs(.plaid(answer("INSTITUTION_ERROR", "INSTITUTION_DOWN", status: 400))) == true)
        #expect(costs(.plaid(answer("RATE_LIMIT_EXCEEDED", "X", status: 429))) == false)
        #expect(costs(.plaid(answer("ITEM_ERROR", "PRODUCT_NOT_READY", status: 400))) == false)
        #expect(costs(.postgres(PostgresError(.cancelled, outcome: .notApplied, message: "m"))) == false)
        #expect(costs(.kafka(KafkaError(.timedOut, "m"))) == false)
        #expect(costs(.cancelled) == false)
    }

    @Test func `of the database's errors only refused values are the event's`() {
        for kind in SQLStateClass.allCases {
            let wanted =
                switch kind {
                case .row, .unique: "park database/refused"
                case .lockOrSerialization, .cancelled, .deadline, .preparedStatement: "retry database_busy"
                default: "pause"
                }
            #expect(outcome(.postgres(PostgresError(kind, outcome: .notApplied, message: "m"))) == wanted)
        }
        for row in SQLStateClass.table where row.kind == .row {
            let error = PostgresError(.row, outcome: .notApplied, message: "m", sqlState: row.pattern)
            #expect(outcome(.postgres(error)) == "park database/\(row.pattern)")
        }
    }

    @Test func `a passed deadline means a pause when the database is away`() {
        let error = PostgresError(.deadline, outcome: .notSent, message: "m")
        #expect(outcome(StepFailure(error, databaseIsAvailable: true)) == "retry database_busy")
        #expect(outcome(StepFailure(error, databaseIsAvailable: false)) == "pause")
        let refused = PostgresError(.row, outcome: .notApplied, message: "m")
        #expect(outcome(StepFailure(refused, databaseIsAvailable: false)) == "park database/refused")
    }

    @Test func `of the brokers' errors only a refused record is the event's`() {
        for code in KafkaError.Code.allCases {
            let wanted =
                switch code {
                case .messageTooLarge, .invalidRequest: "park kafka/"
                case .authentication, .authorization, .unknownTopic, .invalidConfiguration, .unsupported: "pause"
                default: "retry kafka"
                }
            #expect(outcome(.kafka(KafkaError(code, "m"))).hasPrefix(wanted))
        }
    }

    @Test func `what a row holds is the row's fault, a missing key the program's`() throws {
        let ring = try TestDatabase.ring("old")
        let sealed = try ring.seal([1], table: "t", column: "c", row: "1")
        let id = try #require(ring.keyID(of: sealed))
        #expect(outcome(.store(.unknownKey(id, table: "t", column: "c"))) == "pause")
        #expect(outcome(.store(.cipherFailed(table: "t", column: "c"))) == "pause")
        #expect(outcome(.store(.tampered(table: "t", column: "c"))) == "park store/unreadable_row")
        #expect(outcome(.store(.unreadable(table: "t", column: "c"))) == "park store/unreadable_row")
    }

    @Test func `every other failure has a name`() {
        #expect(outcome(.unknownUser) == "park user/unknown_user")
        #expect(outcome(.unidentified) == "park report/unidentified")
        #expect(outcome(.foreignReport) == "park report/foreign_report")
        #expect(outcome(StepFailure(CancellationError(), databaseIsAvailable: true)) == "retry cancelled")
        #expect(outcome(StepFailure(LargeBodies.Refusal.overloaded, databaseIsAvailable: true)) == "retry busy")
        #expect(outcome(StepFailure(StepFailure.unknownUser, databaseIsAvailable: true)) == "park user/unknown_user")
    }
}
