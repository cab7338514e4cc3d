// A database of its own for each test, and what the tests put into it.

import Basics
import Cryptography
import PlaidAPI
import Postgres
import ReportStore
import TestSupport

/// A fresh database of the tests' common server, with a pool on it.
final class TestDatabase: Sendable {
    let server: PostgresServer
    let url: String
    let name: String
    let pool: PostgresPool

    private init(server: PostgresServer, url: String) throws {
        self.server = server
        self.url = url
        name = String(url.split(separator: "/").last ?? "")
        var settings = PoolSettings(connectionString: url, applicationName: "report-store-tests")
        settings.largeLane = true
        pool = try PostgresPool(settings: settings)
    }

    /// Runs `body` on a database and closes the pool whatever happens.
    static func with<Value>(
        migrated: Bool = true,
        _ body: (TestDatabase) async throws -> Value
    ) async throws -> Value {
        let server = try await PostgresServer.shared()
        let url = try await migrated ? copyOfMigrated(server) : server.freshDatabase()
        return try await with(TestDatabase(server: server, url: url), body)
    }

    /// The same on a server of the test's own, which the test may crash.
    static func withOwnServer<Value>(_ body: (TestDatabase) async throws -> Value) async throws -> Value {
        let server = try await PostgresServer.start()
        let database = try TestDatabase(server: server, url: try await server.freshDatabase())
        _ = try await database.migrate(try Migrator.load(from: SchemaFolder.path))
        return try await with(database, body)
    }

    private static func with<Value>(
        _ database: TestDatabase,
        _ body: (TestDatabase) async throws -> Value
    ) async throws -> Value {
        database.pool.start()
        do {
            let value = try await body(database)
            try await database.close()
            return value
        } catch {
            try await database.close()
            throw error
        }
    }

    /// Migrated once, then copied: a copy takes a tenth of the time.
    private static let template = Task {
        let server = try await PostgresServer.shared()
        let database = try TestDatabase(server: server, url: try await server.freshDatabase())
        _ = try await database.migrate(try Migrator.load(from: SchemaFolder.path))
        return database.name
    }
    private static let copies = Locked(0)

    private static func copyOfMigrated(_ server: PostgresServer) async throws -> String {
        let template = try await template.value
        let number = copies.withLock { count in
            count += 1
            return count
        }
        try await server.sql("create database report_store_\(number) template \(template) strategy file_copy")
        return server.url(database: "report_store_\(number)")
    }

    private func close() async throws {
        let pool = pool
        try await onThread { pool.close(until: soon(5)) }
    }

    func migrate(_ migrator: Migrator) async throws -> MigrationReport {
        try await session { session in try migrator.apply(session, deadline: soon()) }
    }

    /// Runs `body` with a session of its own on a thread of its own.
    func session<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresSession) throws -> Value
    ) async throws -> Value {
        let url = url
        return try await onThread {
            let session = try PostgresSession(
                connectionString: url,
                applicationName: "report-store-tests",
                deadline: soon()
            )
            defer { session.close() }
            return try body(session)
        }
    }

    /// Unaligned lines of `psql`.
    @discardableResult
    func sql(_ statements: String) async throws -> [String] { try await server.sql(statements, database: name) }

    func count(_ table: String) async throws -> Int {
        Int(try await sql("select count(*) from \(table)").first ?? "") ?? -1
    }
}

/// Blocking work of a test, away from the shared pool.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    let promise = Promise<Value>()
    let thread = WorkerThread(name: "test") { promise.resolve(Result { try body() }) }
    defer { _ = thread }
    return try await promise.value()
}

/// A deadline that a healthy machine never meets.
func soon(_ seconds: Int = 30) -> MonotonicInstant { MonotonicClock.system.now() + .seconds(seconds) }

/// Invented moments, in seconds after a fixed one, microseconds kept.
func moment(_ seconds: Double) -> Timestamp {
    Timestamp(microsecondsSinceEpoch: 1_795_230_000_000_000 + Int64(seconds * 1_000_000))
}

func keyRing(_ ids: String...) throws -> KeyRing {
    let keys = ids.map { id in "\(id):" + Base64.encode(SHA256.hash(Array(id.utf8)).bytes) }
    return try KeyRing(parsing: keys.joined(separator: ","))
}

func report(
    _ reportID: String = "r1",
    user: String = "usr_1",
    product: ReportProduct = .baseReport,
    covers: Timestamp = moment(0),
    body: Bytes = Bytes(utf8: #"{"report":{"report_id":"r1"}}"#),
    strict: Bool = true
) -> NewReport {
    NewReport(
        userID: user,
        product: product,
        reportID: reportID,
        clientReportID: "loan-88231",
        generatedAt: Timestamp(rfc3339: "2026-11-20T03:04:05.123456789Z"),
        generatedAtText: "2026-11-20T03:04:05.123456789Z",
        fetchStartedAt: covers + .seconds(1),
        fetchedAt: covers + .seconds(2),
        coversReceivedAt: covers,
        body: body,
        bodySHA256: SHA256.hash(body),
        strictJSON: strict,
        webhookEventID: "event-\(reportID)"
    )
}
