// The blocking session that migrations use.

import Basics
import Postgres
import TestSupport
import Testing

@Suite struct PostgresSessionTests {
    /// Runs `body` with a session of its own on a thread of its own.
    @discardableResult
    private func withSession<Value: Sendable>(
        _ url: String,
        _ body: @escaping @Sendable (PostgresSession) throws -> Value
    ) async throws -> Value {
        try await onThread {
            let session = try PostgresSession(connectionString: url, applicationName: "session", deadline: soon())
            defer { session.close() }
            return try body(session)
        }
    }

    @Test func `runs scripts of several statements, and queries with parameters`() async throws {
        let url = try await PostgresServer.shared().freshSchema()
        let sum = try await withSession(url) { session in
            try session.execute("create table n (v int8); insert into n values (1), (2); select 1", deadline: soon())
            let result = try session.query(SQLStatement("select sum(v)::int8 + $1 from n", .int8(10)), deadline: soon())
            return result.rows[0].int(0)
        }
        #expect(sum == 13)
    }

    @Test func `keeps the first error of a script, whose statements are all undone`() async throws {
        let url = try await PostgresServer.shared().freshSchema()
        try await withSession(url) { session in
            #expect {
                try session.execute("create table n (v int8); select * from absent; select 1/0", deadline: soon())
            } throws: { ($0 as? PostgresError)?.sqlState == "42P01" }
            let result = try session.query(SQLStatement("select to_regclass('n') is null"), deadline: soon())
            #expect(result.rows[0].bool(0) == true)
        }
    }

    @Test func `transactions and advisory locks last from call to call`() async throws {
        let url = try await PostgresServer.shared().freshSchema()
        try await withSession(url) { session in
            _ = try session.query(SQLStatement("select pg_advisory_lock(4711)"), deadline: soon())
            try session.execute("begin", deadline: soon())
            try session.execute("create table n (v int8)", deadline: soon())
            try session.execute("rollback", deadline: soon())
            let sql = "select to_regclass('n') is null and exists (select from pg_locks where objid = 4711)"
            #expect(try session.query(SQLStatement(sql), deadline: soon()).rows[0].bool(0) == true)
            try session.execute("create index concurrently on pg_temp.x (v)", deadline: soon(), expecting: "3F000")
        }
    }

    @Test func `a passed deadline ends the session, not the thread`() async throws {
        let url = try await PostgresServer.shared().freshSchema()
        try await withSession(url) { session in
            #expect {
                try session.execute("select pg_sleep(30)", deadline: soon(.milliseconds(100)))
            } throws: { ($0 as? PostgresError)?.kind == .deadline && ($0 as? PostgresError)?.outcome == .unknown }
            #expect {
                try session.execute("select 1", deadline: soon())
            } throws: { ($0 as? PostgresError)?.outcome == .notSent }
        }
    }

    @Test func `a session that the server ends says why`() async throws {
        let server = try await PostgresServer.shared()
        try await withSession(server.url()) { session in
            #expect {
                try session.execute("select pg_terminate_backend(pg_backend_pid()); select 1", deadline: soon())
            } throws: { ($0 as? PostgresError)?.sqlState == "57P01" }
        }
    }

    @Test func `copy is refused`() async throws {
        let url = try await PostgresServer.shared().freshSchema()
        try await withSession(url) { session in
            #expect {
                try session.execute("copy (select 1) to stdout", deadline: soon())
            } throws: { ($0 as? PostgresError)?.kind == .misuse }
        }
    }
}

extension PostgresSession {
    /// A script that must fail with this SQLSTATE.
    func execute(_ script: String, deadline: MonotonicInstant, expecting sqlState: String) throws {
        #expect { try self.execute(script, deadline: deadline) } throws: {
            ($0 as? PostgresError)?.sqlState == sqlState
        }
    }
}
