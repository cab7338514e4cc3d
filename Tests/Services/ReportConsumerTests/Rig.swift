// A handler on a real database, with a Plaid and an announcement topic that the test scripts.

import Basics
import Cryptography
import HTTPClient
import JSON
import Kafka
import PipelineEvents
import PlaidAPI
import Postgres
import ReportStore
import ServiceKit
import TestSupport
import WorkerKit

@testable import ReportConsumer

/// A deadline that a healthy machine never meets.
func soon(_ seconds: Int = 30) -> MonotonicInstant { MonotonicClock.system.now() + .seconds(seconds) }

/// Invented moments near now, whole microseconds.
let start = Timestamp(microsecondsSinceEpoch: WallClock.system.now().microsecondsSinceEpoch)
func moment(_ seconds: Double) -> Timestamp {
    Timestamp(microsecondsSinceEpoch: start.microsecondsSinceEpoch + Int64(seconds * 1_000_000))
}

struct TookTooLong: Error {}

/// Waits for something that another thread or task brings about.
func within<Value: Sendable>(
    _ limit: Duration = .seconds(60),
    _ body: @escaping @Sendable () async throws -> Value?
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await TimerQueue.shared.sleep(for: limit)
            throw TookTooLong()
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let value = first else { throw TookTooLong() }
        return value
    }
}

/// Blocking work of a test, away from the shared pool.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    let promise = Promise<Value>()
    let thread = WorkerThread(name: "test") { promise.resolve(Result { try body() }) }
    defer { _ = thread }
    return try await promise.value()
}

// MARK: Plaid

/// Answers fetches by the test's rule and keeps the requests.
final class ScriptedPlaid: PlaidTransport {
    typealias Answer = Result<HTTPClientResponse, HTTPClientError>
    private let kept = Locked<[HTTPClientRequest]>([])
    private let rule: Locked<@Sendable (HTTPClientRequest, Int) -> Answer>

    /// - Parameter rule: Gets the request and how many came before it.
    init(_ rule: @escaping @Sendable (HTTPClientRequest, Int) -> Answer = { _, _ in .report() }) {
        self.rule = Locked(rule)
    }

    convenience init(_ answers: Answer...) {
        self.init { _, index in index < answers.count ? answers[index] : .failure(.init(.connect, message: "the end")) }
    }

    var requests: [HTTPClientRequest] { kept.withLock { $0 } }
    /// The request bodies as JSON.
    var asked: [JSONValue] { requests.map { (try? JSON.parse($0.body)) ?? .null } }

    func send(_ request: HTTPClientRequest) async throws(HTTPClientError) -> HTTPClientResponse {
        let index = kept.withLock {
            $0.append(request)
            return $0.count - 1
        }
        return try rule.withLock { $0 }(request, index).get()
    }

    func begin(
        _ request: HTTPClientRequest,
        completion: @escaping @Sendable (Answer) -> Void
    ) {
        completion(.failure(HTTPClientError(.closed, message: "not scripted")))
    }
}

extension ScriptedPlaid.Answer {
    static func answer(
        _ status: Int,
        _ body: Bytes,
        type: String = "application/json",
        retryAfter: Duration? = nil,
        silentRepeats: Int = 0
    ) -> Self {
        .success(
            HTTPClientResponse(
                status: status,
                body: body,
                headers: [(name: "content-type", value: type)],
                retryAfter: retryAfter,
                silentRepeats: silentRepeats,
                elapsed: .milliseconds(5)
            )
        )
    }

    static func report(_ id: String = "r1", more: String = "", product: ReportProduct = .baseReport) -> Self {
        .answer(200, Body.report(id, more: more, product: product))
    }

    static func error(_ type: String, _ code: String, status: Int = 400) -> Self {
        .answer(
            status,
            Bytes(
                utf8: #"{"error_type":"\#(type)","error_code":"\#(code)","error_message":"x","display_message":null,"#
                    + #""request_id":"q"}"#
            )
        )
    }
}

enum Body {
    static func report(_ id: String = "r1", more: String = "", product: ReportProduct = .baseReport) -> Bytes {
        Bytes(
            utf8: #"{"report":{"report_id":"\#(id)","\#(product.timeField)":"2026-11-20T03:04:05.123456789Z","#
                + #""client_report_id":"loan-88231"\#(more)},"warnings":[],"request_id":"q7"}"#
        )
    }

    /// A webhook as Plaid spells it, with more members after the first ones.
    static func webhook(
        _ code: String = "USER_CHECK_REPORT_READY",
        user: String? = "usr_1",
        type: String = "CHECK_REPORT",
        environment: String? = "sandbox",
        more: String = ""
    ) -> String {
        var text = "{\n  \"webhook_type\": \"\(type)\",\n  \"webhook_code\": \"\(code)\""
        if let user { text += ",\n  \"user_id\": \"\(user)\"" }
        if let environment { text += ",\n  \"environment\": \"\(environment)\"" }
        return text + (more.isEmpty ? "" : ",\n  " + more) + "\n}"
    }
}

// MARK: Announcements

/// Keeps what is announced; fails as often as the test says.
final class ScriptedAnnouncer: ReportAnnouncer {
    let announced = Locked<[StoredReportReference]>([])
    let failures = Locked<[KafkaError]>([])
    let before: @Sendable (StoredReportReference) async throws -> Void

    init(before: @escaping @Sendable (StoredReportReference) async throws -> Void = { _ in }) { self.before = before }

    var reportIDs: [String] { announced.withLock { $0.map(\.reportID) } }

    func announce(_ report: StoredReportReference, cause: EventRecord) async throws {
        try await before(report)
        let failure = failures.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        if let failure { throw failure }
        announced.withLock { $0.append(report) }
    }
}

// MARK: The database

/// A fresh, migrated database of the tests' common server, with a pool on it.
final class TestDatabase: Sendable {
    let server: PostgresServer
    let name: String
    let pool: PostgresPool

    private init(server: PostgresServer, url: String) throws {
        self.server = server
        name = String(url.split(separator: "/").last ?? "")
        pool = try PostgresPool(settings: PoolSettings(connectionString: url, applicationName: "consumer-tests"))
    }

    static func ring(_ id: String) throws -> KeyRing {
        try KeyRing(parsing: "\(id):" + Base64.encode(SHA256.hash(Array(id.utf8)).bytes))
    }

    static func with<Value>(_ body: (TestDatabase) async throws -> Value) async throws -> Value {
        let server = try await PostgresServer.shared()
        let template = try await template.value
        let number = copies.withLock { count in
            count += 1
            return count
        }
        try await server.sql("create database consumer_\(number) template \(template) strategy file_copy")
        return try await with(server, server.url(database: "consumer_\(number)"), body)
    }

    /// On a server of the test's own, which the test may stop.
    static func withOwnServer<Value>(_ body: (TestDatabase) async throws -> Value) async throws -> Value {
        let server = try await PostgresServer.start()
        let url = try await server.freshDatabase()
        try await migrate(url)
        return try await with(server, url, body)
    }

    private static func with<Value>(
        _ server: PostgresServer,
        _ url: String,
        _ body: (TestDatabase) async throws -> Value
    ) async throws -> Value {
        let database = try TestDatabase(server: server, url: url)
        let pool = database.pool
        pool.start()
        do {
            let value = try await body(database)
            try await onThread { pool.close(until: soon(5)) }
            return value
        } catch {
            try await onThread { pool.close(until: soon(5)) }
            throw error
        }
    }

    private static let copies = Locked(0)
    /// Migrated once, then copied.
    private static let template = Task {
        let url = try await PostgresServer.shared().freshDatabase()
        try await migrate(url)
        return String(url.split(separator: "/").last ?? "")
    }

    private static func migrate(_ url: String) async throws {
        let folder = #filePath.split(separator: "/").dropLast(4).reduce("") { $0 + "/" + $1 } + "/schemas/postgres"
        let migrator = try Migrator.load(from: folder)
        try await onThread {
            let session = try PostgresSession(connectionString: url, applicationName: "tests", deadline: soon())
            defer { session.close() }
            _ = try migrator.apply(session, deadline: soon())
        }
    }

    /// Unaligned lines of `psql`.
    @discardableResult
    func sql(_ statements: String) async throws -> [String] { try await server.sql(statements, database: name) }

    /// `state` of each request as `user|product|state`.
    func requestStates() async throws -> [String] {
        try await sql("select user_id, product, state from report_requests order by 1, 2")
    }

    func users(_ ring: KeyRing? = nil) throws -> UserRepository {
        UserRepository(pool: pool, keyRing: try ring ?? TestDatabase.ring("k1"), environment: .sandbox)
    }
}

// MARK: The handler

/// One handler and what it works with.
struct Rig: Sendable {
    let database: TestDatabase
    let plaid: ScriptedPlaid
    let announcer: ScriptedAnnouncer
    let handler: ReportHandler
    let product: ReportProduct
    let logs = Locked<[String]>([])
    let metrics: MetricsRegistry

    static let expected = ["cra_base_report"]

    init(
        _ database: TestDatabase,
        _ plaid: ScriptedPlaid = ScriptedPlaid(),
        announcer: ScriptedAnnouncer = ScriptedAnnouncer(),
        product: ReportProduct = .baseReport,
        ring: KeyRing? = nil,
        wall: WallClock = .system,
        limits: ReportHandler.Limits = .init()
    ) throws {
        self.database = database
        self.plaid = plaid
        self.announcer = announcer
        self.product = product
        let logs = logs
        let logger = Logger(
            label: "reports",
            destination: LogDestination(format: .json, level: .trace, service: "tests") { line in
                logs.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
            }
        )
        metrics = MetricsRegistry()
        let pool = database.pool
        handler = ReportHandler(
            product: product,
            environment: .sandbox,
            expected: Self.expected,
            plaid: PlaidClient(
                http: plaid,
                baseURL: "https://plaid.test",
                credentials: PlaidCredentials(clientID: "client-1", secret: Secret("hush-hush"))
            ),
            reports: ReportRepository(pool: pool, environment: .sandbox),
            requests: RequestRepository(pool: pool, environment: .sandbox),
            users: try database.users(ring),
            announcer: announcer,
            table: OutcomeTable(notReadySchedule: [.seconds(300), .seconds(900)]),
            report: HandlerReport(
                product: product,
                metrics: ReportConsumerMetrics(metrics, logger: logger),
                logger: logger,
                logHash: LogHash(key: nil)
            ),
            databaseIsAvailable: { pool.state.isAvailable },
            wall: wall,
            clock: .system,
            limits: limits
        )
    }

    var reader: EnvelopeReader {
        EnvelopeReader(product: product, environment: .sandbox, expected: Self.expected, lifetime: .seconds(86_400))
    }

    /// An event as the receiver publishes it.
    func event(_ body: String = Body.webhook(), at received: Timestamp = moment(0), offset: Int64 = 0) -> EventRecord {
        reader.describe(
            ConsumerRecord(
                topic: "plaid.webhooks.check-report",
                partition: 0,
                offset: offset,
                timestamp: received,
                key: Array("usr_1".utf8),
                value: Bytes(utf8: body),
                headers: Self.headers(body, received)
            )
        )
    }

    static func headers(_ body: String, _ received: Timestamp) -> [KafkaHeader] {
        WebhookEnvelope.headers(
            environment: .sandbox,
            routing: WebhookRouting(type: "CHECK_REPORT", code: "USER_CHECK_REPORT_READY", userID: "usr_1"),
            bodyDigest: SHA256.hash(Array(body.utf8)),
            issuedAt: received.seconds,
            receivedAt: received,
            token: "token-as-received"
        ).map { KafkaHeader(name: $0.name, value: $0.value) }
    }

    func context(attempt: Int = 1, isCurrent: Bool = true) -> HandlerContext {
        HandlerContext(attempt: attempt, deadline: soon(3600), isCurrent: { isCurrent })
    }

    func handle(_ events: EventRecord...) async -> Outcome { await handle(events) }

    func handle(_ events: [EventRecord], attempt: Int = 1, isCurrent: Bool = true) async -> Outcome {
        await handler.handle(
            LaneWork(first: events[0], others: Array(events.dropFirst())),
            context: context(attempt: attempt, isCurrent: isCurrent)
        )
    }

    func expire(_ event: EventRecord) async -> Outcome {
        await handler.expire(LaneWork(first: event), context: context())
    }

    func addUser(_ id: String, client: String? = nil, token: String? = nil) async throws {
        _ = try await database.users().add(
            userID: id,
            clientUserID: client,
            userToken: token.map { Secret($0) },
            deadline: soon()
        )
    }

    /// A metric's value, by the start of its line.
    func metric(_ line: String) -> Double? {
        String(decoding: metrics.render(), as: UTF8.self).split(separator: "\n")
            .first { $0.hasPrefix("check_pipeline_\(line) ") }
            .flatMap { Double($0.split(separator: " ").last ?? "") }
    }
}

// MARK: Outcomes in short

extension Outcome {
    /// `done`, `retry transient`, `park type/code`, `pause`, `expired`.
    var short: String {
        switch self {
        case .done: "done"
        case .retry(_, let reason): "retry \(reason.code)"
        case .park(let reason): "park \(reason.type)/\(reason.code)"
        case .pauseAll: "pause"
        case .expired: "expired"
        }
    }

    var wait: Duration? { if case .retry(let after, _) = self { after } else { nil } }
}
