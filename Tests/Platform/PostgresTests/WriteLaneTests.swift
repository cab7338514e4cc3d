// Batches through the lanes: shared transactions, guilty rows, large bodies.

import Basics
import Postgres
import TestSupport
import Testing

@Suite struct WriteLaneTests {
    private func insert(_ key: String, _ body: String) -> SQLStatement {
        SQLStatement(
            "insert into docs (key, body) values ($1, $2) on conflict (key) do update set writes = docs.writes + 1",
            .text(key),
            .text(body)
        )
    }

    private func withTable<Value: Sendable>(
        configure: (inout PoolSettings) -> Void = { _ in },
        _ body: (PostgresPool, EventLog) async throws -> Value
    ) async throws -> Value {
        let server = try await PostgresServer.shared()
        let url = try await server.freshSchema()
        return try await withPool(url, configure: configure) { pool, events in
            let table = """
                create table docs (key text primary key, body text not null check (body <> 'bad'),
                    writes int not null default 1, transaction xid8 not null default pg_current_xact_id())
                """
            _ = try await pool.query(SQLStatement(table), deadline: soon())
            return try await body(pool, events)
        }
    }

    private func count(_ pool: PostgresPool, _ sql: String) async throws -> Int64? {
        try await pool.query(.reading(sql), deadline: soon()).rows.first?.int(0)
    }

    @Test func `500 concurrent batches are all stored, many to a transaction`() async throws {
        try await withTable { pool, _ in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<500 {
                    group.addTask {
                        let key = "key-\(number)"
                        return try await pool.write([insert(key, "x")], sortKey: key, deadline: soon(.seconds(30)))[0]
                            .affected
                    }
                }
                for try await affected in group { #expect(affected == 1) }
            }
            #expect(try await count(pool, "select count(*) from docs where writes = 1") == 500)
            let transactions = try #require(try await count(pool, "select count(distinct transaction) from docs"))
            #expect(transactions < 400)
            #expect(
                try await count(pool, "select max(n) from (select count(*) n from docs group by transaction) t") ?? 0
                    <= 16
            )
        }
    }

    @Test func `a refused value hits its own batch alone`() async throws {
        try await withTable { pool, _ in
            let batches = (0..<10).map { number in
                let body = number == 3 ? "bad" : number == 6 ? "a\u{0}" : "good"
                return (key: "\(number)", statements: [insert("key-\(number)", body)])
            }
            let (outcomes, events) = try await writeTogether(batches, beside: pool)
            #expect(Set(outcomes.keys) == ["3", "6"])
            let check = try #require(outcomes["3"])
            #expect(check.sqlState == "23514" && check.kind == .row && check.constraint == "docs_body_check")
            #expect(check.table == "docs" && !check.description.contains("bad"))
            #expect(outcomes["6"]?.sqlState == "22021")
            #expect(try await count(pool, "select count(*) from docs where writes = 1") == 8)
            #expect(
                events.all.contains {
                    if case .isolated(let operations, _) = $0 { operations == 10 } else { false }
                }
            )
        }
    }

    @Test func `all statements of a batch are applied, or none`() async throws {
        try await withTable { pool, _ in
            let error = await failure {
                _ = try await pool.write(
                    [insert("a", "good"), insert("b", "bad"), insert("c", "good")],
                    sortKey: "a",
                    deadline: soon()
                )
            }
            #expect(error?.kind == .row && error?.outcome == .notApplied)
            #expect(try await count(pool, "select count(*) from docs") == 0)
            let results = try await pool.write(
                [insert("a", "x"), SQLStatement("update docs set body = body || $1 returning body", .text("y"))],
                sortKey: "a",
                deadline: soon()
            )
            #expect(results.count == 2 && results[1].rows.first?.text(0) == "xy")
        }
    }

    @Test func `a commit that fails is an error of the batch, and of the guilty one only`() async throws {
        try await withTable { pool, _ in
            let table = """
                create table late (key text, parent text references docs (key) deferrable initially deferred)
                """
            _ = try await pool.query(SQLStatement(table), deadline: soon())
            let batches = [
                (key: "orphan", statements: [SQLStatement("insert into late values ('a', 'nobody')")]),
                (key: "fine", statements: [insert("p", "x"), SQLStatement("insert into late values ('b', 'p')")]),
            ]
            let (outcomes, _) = try await writeTogether(batches, beside: pool)
            #expect(outcomes["orphan"]?.sqlState == "23503" && outcomes["orphan"]?.kind == .unique)
            #expect(outcomes["fine"] == nil)
            #expect(try await count(pool, "select count(*) from late") == 1)
        }
    }

    @Test func `a body of 64 MB takes the large lane and comes back as it was`() async throws {
        try await withTable { pool, events in
            var bytes = [UInt8](repeating: 0x61, count: 64 * 1024 * 1024)
            for index in stride(from: 0, to: bytes.count, by: 4_093) { bytes[index] = UInt8(0x30 + index % 75) }
            let body = Bytes(bytes)
            let statement = SQLStatement("insert into docs (key, body) values ('big', $1)", .body(body))
            _ = try await pool.write([statement], sortKey: "big", deadline: soon(.seconds(60)))
            let row = try #require(
                try await pool.query(.reading("select body from docs"), deadline: soon(.seconds(60))).rows.first
            )
            #expect(row.body(0) == body)
            // Connections with swollen buffers are replaced, which is no outage.
            #expect(!events.all.contains { if case .unavailable = $0 { true } else { false } })
        }
    }

    @Test func `a batch over the bound is refused before anything is sent`() async throws {
        try await withTable(configure: { $0.maxBatchBytes = 1_000 }) { pool, _ in
            let error = await failure {
                _ = try await pool.write(
                    [insert("a", String(repeating: "x", count: 2_000))],
                    sortKey: "a",
                    deadline: soon()
                )
            }
            #expect(error?.kind == .row && error?.outcome == .notSent)
        }
    }

    /// Writes batches that all wait before a pool of its own, in the same schema, starts: they share a transaction.
    /// Returns the errors by key.
    private func writeTogether(_ batches: [(key: String, statements: [SQLStatement])], beside pool: PostgresPool)
        async throws -> ([String: PostgresError], EventLog)
    {
        let schema = try await pool.query(.reading("select current_schema()"), deadline: soon()).rows.first?.text(0)
        let server = try await PostgresServer.shared()
        let url = server.url(parameters: ["options=-csearch_path%3D\(schema ?? "")"])
        return try await withPool(url, isStarted: false) { pool, events in
            let errors = await withTaskGroup(of: (String, PostgresError?).self) { group in
                for batch in batches {
                    // Immediate: the batch stands in the queue before the next is made.
                    group.addImmediateTask {
                        (
                            batch.key,
                            await failure {
                                _ = try await pool.write(batch.statements, sortKey: batch.key, deadline: soon())
                            }
                        )
                    }
                }
                pool.start()
                return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            return (errors, events)
        }
    }
}
