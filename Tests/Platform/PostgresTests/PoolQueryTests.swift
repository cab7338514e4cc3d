// Queries and transactions of the pool on a server in good health.

import Basics
import Postgres
import TestSupport
import Testing

@Suite struct PoolQueryTests {
    private struct Refusal: Error, Equatable {}

    private func withSchema<Value: Sendable>(
        configure: (inout PoolSettings) -> Void = { _ in },
        _ body: (PostgresPool, EventLog) async throws -> Value
    ) async throws -> Value {
        let server = try await PostgresServer.shared()
        let url = try await server.freshSchema()
        return try await withPool(url, configure: configure) { pool, events in
            _ = try await pool.query(SQLStatement("create table t (id int8 primary key, note text)"), deadline: soon())
            return try await body(pool, events)
        }
    }

    private func expectStored(_ expected: Int64, _ pool: PostgresPool) async throws {
        let count = try await pool.query(.reading("select count(*) from t"), deadline: soon()).rows.first?.int(0)
        #expect(count == expected)
    }

    @Test func `sets up its sessions`() async throws {
        let server = try await PostgresServer.shared()
        try await withPool(server.url()) { pool, _ in
            let sql = """
                select current_setting('application_name'), current_setting('statement_timeout'),
                    current_setting('lock_timeout'), current_setting('TimeZone'), current_setting('client_encoding'),
                    current_setting('default_transaction_isolation'), current_setting('client_connection_check_interval')
                """
            let row = try await pool.query(.reading(sql), deadline: soon()).rows[0]
            let texts = (0..<row.count).map { row.text($0) ?? "" }
            #expect(texts == ["postgres-tests", "15s", "5s", "UTC", "UTF8", "read committed", "1s"])
        }
    }

    @Test func `obeys the connection string before its own settings, except for the encoding`() async throws {
        let server = try await PostgresServer.shared()
        let url = server.url(parameters: [
            "options=-cstatement_timeout%3D7s", "application_name=theirs", "client_encoding=LATIN1",
        ])
        try await withPool(url) { pool, _ in
            let sql = """
                select current_setting('application_name'), current_setting('statement_timeout'),
                    current_setting('client_encoding'), current_setting('lock_timeout')
                """
            let row = try await pool.query(.reading(sql), deadline: soon()).rows[0]
            #expect((0..<row.count).map { row.text($0) ?? "" } == ["theirs", "7s", "UTF8", "5s"])
        }
    }

    @Test func `a transaction is applied whole, and rolled back by whatever its body throws`() async throws {
        try await withSchema { pool, _ in
            let ids = try await pool.transaction(deadline: soon()) { transaction in
                let first = try transaction.execute(SQLStatement("insert into t values ($1) returning id", .int8(1)))
                let more = try transaction.execute([
                    SQLStatement("insert into t values ($1)", .int8(2)), SQLStatement("select count(*) from t"),
                ])
                return [first.rows[0].int(0), more[1].rows[0].int(0)]
            }
            #expect(ids == [1, 2])
            await #expect(throws: Refusal()) {
                try await pool.transaction(deadline: soon()) { transaction in
                    try transaction.execute(SQLStatement("delete from t"))
                    throw Refusal()
                }
            }
            let error = await failure {
                try await pool.transaction(deadline: soon()) { transaction in
                    try transaction.execute(SQLStatement("insert into t values (3)"))
                    try transaction.execute(SQLStatement("insert into t values (1)"))
                }
            }
            #expect(error?.sqlState == "23505" && error?.kind == .unique && error?.constraint == "t_pkey")
            #expect(error?.outcome == .notApplied && error?.description.contains("(1)") == false)
            try await expectStored(2, pool)
        }
    }

    @Test func `a body that swallows an error does not get its transaction committed`() async throws {
        try await withSchema { pool, _ in
            let error = await failure {
                try await pool.transaction(deadline: soon()) { transaction in
                    try transaction.execute(SQLStatement("insert into t values (1)"))
                    _ = try? transaction.execute(SQLStatement("select 1/0"))
                }
            }
            #expect(error?.sqlState == "22012" && error?.outcome == .notApplied)
            try await expectStored(0, pool)
        }
    }

    @Test func `a commit that fails by a deferred constraint is an error`() async throws {
        try await withSchema { pool, _ in
            let sql = "create table child (id int8 references t deferrable initially deferred)"
            _ = try await pool.query(SQLStatement(sql), deadline: soon())
            let error = await failure {
                _ = try await pool.transaction(deadline: soon()) { transaction in
                    try transaction.execute(SQLStatement("insert into child values (9)"))
                }
            }
            #expect(error?.sqlState == "23503" && error?.outcome == .notApplied)
            let alone = await failure {
                _ = try await pool.query(SQLStatement("insert into child values (9)"), deadline: soon())
            }
            #expect(alone?.sqlState == "23503" && alone?.outcome == .notApplied)
        }
    }

    @Test func `statement_timeout ends a statement and keeps the connection`() async throws {
        try await withSchema(configure: { $0.statementTimeout = .milliseconds(100) }) { pool, events in
            let error = await failure {
                _ = try await pool.query(SQLStatement("select pg_sleep(20)"), deadline: soon())
            }
            #expect(error?.sqlState == "57014" && error?.kind == .cancelled && error?.outcome == .notApplied)
            #expect(error?.isRetriable == true)
            try await expectStored(0, pool)
            #expect(!events.all.contains { if case .condemned = $0 { true } else { false } })
        }
    }

    @Test func `lock_timeout is retriable, and a batch repeats by itself until the lock is free`() async throws {
        try await withSchema(configure: {
            $0.lockTimeout = .milliseconds(50)
            $0.generalConnections = 2
        }) { pool, _ in
            _ = try await pool.query(SQLStatement("insert into t values (1, '')"), deadline: soon())
            let isHeld = Promise<Void>()
            let mayGo = Latch()
            let update = SQLStatement("update t set note = note || 'x' where id = 1")
            async let holder: Void = pool.transaction(deadline: soon()) { transaction in
                try transaction.execute(SQLStatement("select 1 from t for update"))
                isHeld.resolve(.success(()))
                _ = mayGo.wait(until: soon())
            }
            try await isHeld.value()
            let error = await failure { _ = try await pool.query(update, deadline: soon()) }
            #expect(error?.sqlState == "55P03" && error?.kind == .lockOrSerialization && error?.isRetriable == true)
            async let written = pool.write([update], sortKey: "1", deadline: soon())
            mayGo.open()
            #expect(try await written[0].affected == 1)
            try await holder
        }
    }

    @Test func `a deadlock is resolved by running one body again`() async throws {
        try await withSchema(configure: { $0.generalConnections = 2 }) { pool, _ in
            _ = try await pool.query(SQLStatement("insert into t values (1, ''), (2, '')"), deadline: soon())
            // Each holds its first row before either asks for its second.
            let latches = [Latch(), Latch()]
            let runs = Locked(0)
            func cross(_ first: Int) async throws {
                try await pool.transaction(deadline: soon(.seconds(20)), attempts: 3) { transaction in
                    runs.withLock { $0 += 1 }
                    let update = "update t set note = note || 'x' where id = $1"
                    try transaction.execute(SQLStatement(update, .int8(Int64(1 + first))))
                    latches[first].open()
                    _ = latches[1 - first].wait(until: soon())
                    try transaction.execute(SQLStatement(update, .int8(Int64(2 - first))))
                }
            }
            async let one: Void = cross(0)
            async let other: Void = cross(1)
            _ = try await (one, other)
            #expect(runs.withLock { $0 } == 3)
            let notes = try await pool.query(.reading("select note from t"), deadline: soon()).rows.map { $0.text(0) }
            #expect(notes == ["xx", "xx"])
        }
    }

    @Test func `a cancelled task is answered at once and its transaction rolled back`() async throws {
        try await withSchema { pool, events in
            let isRunning = Promise<Void>()
            let task = Task {
                try await pool.transaction(deadline: soon(.seconds(30))) { transaction in
                    try transaction.execute(SQLStatement("insert into t values (1)"))
                    isRunning.resolve(.success(()))
                    try transaction.execute(SQLStatement("select pg_sleep(30)"))
                }
            }
            try await isRunning.value()
            let before = MonotonicClock.system.now()
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            #expect(MonotonicClock.system.now() - before < .seconds(5))
            try await events.first { if case .condemned = $0 { true } else { false } }
            try await expectStored(0, pool)
        }
    }

    @Test func `waiting for a connection ends at the caller's deadline, in any place of the queue`() async throws {
        try await withSchema(configure: {
            singleConnection(&$0)
            $0.maxWaiting = 2
        }) { pool, _ in
            let isRunning = Promise<Void>()
            let mayGo = Latch()
            async let holder: Void = pool.transaction(deadline: soon(.seconds(20))) { transaction in
                try transaction.execute(SQLStatement("select 1"))
                isRunning.resolve(.success(()))
                _ = mayGo.wait(until: soon())
            }
            try await isRunning.value()
            let insert = SQLStatement("insert into t values (7)")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addImmediateTask {
                    let error = await failure { _ = try await pool.query(insert, deadline: soon(.milliseconds(200))) }
                    #expect(error?.kind == .deadline && error?.outcome == .notSent)
                }
                group.addImmediateTask {
                    let affected = try await pool.query(insert, deadline: soon()).affected
                    #expect(affected == 1)
                }
                #expect(pool.state.waiting == 2)
                let error = await failure { _ = try await pool.query(insert, deadline: soon()) }
                #expect(error?.kind == .overloaded && error?.outcome == .notSent)
                try await group.next()
                mayGo.open()
                try await group.waitForAll()
            }
            try await holder
            try await expectStored(1, pool)
        }
    }

    @Test func `works without prepared statements, and leaves no setting behind`() async throws {
        try await withSchema(configure: {
            singleConnection(&$0)
            $0.usePreparedStatements = false
        }) { pool, _ in
            let sql = """
                select current_setting('statement_timeout'), (select count(*) from pg_prepared_statements)
                """
            let inside = try await pool.transaction(deadline: soon()) { try $0.execute(SQLStatement(sql)) }.rows[0]
            #expect(inside.text(0) == "15s" && inside.int(1) == 0)
            let batch = [SQLStatement("insert into t values ($1, current_setting('lock_timeout'))", .int8(1))]
            _ = try await pool.write(batch, sortKey: "1", deadline: soon())
            #expect(try await pool.query(.reading("select note from t"), deadline: soon()).rows[0].text(0) == "5s")
            // What a pooler would hand to the next client: the session's own value. Asked in a raw session state.
            let left = "select reset_val, setting from pg_settings where name = 'lock_timeout'"
            let row = try await pool.query(.reading(left), deadline: soon()).rows[0]
            #expect(row.text(0) == "0" && row.text(1) == "5000")
        }
    }

    @Test func `prepares a statement once a connection, and again after the schema changed`() async throws {
        try await withSchema(configure: singleConnection) { pool, _ in
            let read = SQLStatement.reading("select * from t where id = $1", .int8(1))
            for _ in 0..<3 { _ = try await pool.query(read, deadline: soon()) }
            let names = "select count(*) from pg_prepared_statements where statement like 'select * from t%'"
            #expect(try await pool.query(.reading(names), deadline: soon()).rows[0].int(0) == 1)
            _ = try await pool.query(SQLStatement("alter table t add column more int default 5"), deadline: soon())
            _ = try await pool.query(SQLStatement("insert into t values (1)"), deadline: soon())
            #expect(try await pool.query(read, deadline: soon()).rows[0].count == 3)
            _ = try await pool.query(SQLStatement("deallocate all"), deadline: soon())
            #expect(try await pool.query(read, deadline: soon()).rows[0].int(2) == 5)
        }
    }

    @Test func `notices are counted and their text dropped`() async throws {
        try await withSchema { pool, events in
            _ = try await pool.query(SQLStatement("do $$ begin raise warning 'secret'; end $$"), deadline: soon())
            let event = try await events.first { if case .notice = $0 { true } else { false } }
            guard case .notice(let state) = event else { return }
            #expect(state == "01000")
        }
    }

    @Test func `after its end a pool refuses, and what was taken before is finished`() async throws {
        let server = try await PostgresServer.shared()
        let pool = try PostgresPool(
            settings: PoolSettings(connectionString: server.url(), applicationName: "closing")
        )
        pool.start()
        let isRunning = Promise<Void>()
        async let slow: SQLResult = pool.transaction(deadline: soon()) { transaction in
            isRunning.resolve(.success(()))
            return try transaction.execute(SQLStatement("select pg_sleep(0.1)"))
        }
        try await isRunning.value()
        try await onThread { pool.close(until: soon()) }
        #expect(try await slow.rows.count == 1)
        let error = await failure { _ = try await pool.query(.reading("select 1"), deadline: soon()) }
        #expect(error?.kind == .closed && error?.outcome == .notSent)
        #expect(pool.state.connections == 0)
    }

    @Test func `a close whose time is over answers what is left`() async throws {
        let server = try await PostgresServer.shared()
        let pool = try PostgresPool(
            settings: PoolSettings(connectionString: server.url(), applicationName: "closing")
        )
        pool.start()
        let isRunning = Promise<Void>()
        async let slow = failure {
            try await pool.transaction(deadline: soon(.seconds(30))) { transaction in
                try transaction.execute(SQLStatement("select 1"))
                isRunning.resolve(.success(()))
                try transaction.execute(SQLStatement("select pg_sleep(30)"))
            }
        }
        try await isRunning.value()
        try await onThread { pool.close(until: soon(.milliseconds(50))) }
        #expect(await slow?.kind == .closed)
    }
}
