// A pool against a server that is ended, stopped, restarted, starved or turned read-only.

import Basics
import Postgres
import TestSupport
import Testing

@Suite struct PoolFaultTests {
    private static let table = "create table docs (key text primary key, body text not null, writes int default 1)"

    private func insert(_ key: String) -> SQLStatement {
        SQLStatement(
            "insert into docs (key, body) values ($1, repeat('x', 1000)) on conflict (key) do nothing",
            .text(key)
        )
    }

    private func isUnavailable(_ event: PoolEvent) -> Bool { if case .unavailable = event { true } else { false } }
    private func isAvailable(_ event: PoolEvent) -> Bool { if case .available = event { true } else { false } }
    private func isCondemned(_ event: PoolEvent) -> Bool { if case .condemned = event { true } else { false } }

    /// The backend that holds the row lock `docs.key = 'held'` lets go when this pool's transaction ends; meanwhile a
    /// batch on that row is in the server's hands.
    private func withHeldRow(
        _ server: PostgresServer,
        _ body: @escaping @Sendable (_ release: @escaping @Sendable () -> Void) async throws -> Void
    ) async throws {
        let isHeld = Promise<Void>()
        let mayGo = Latch()
        try await withPool(server.url()) { pool, _ in
            async let holder: Void = pool.transaction(deadline: soon(.seconds(25))) { transaction in
                try transaction.execute(SQLStatement("select 1 from docs where key = 'held' for update"))
                isHeld.resolve(.success(()))
                _ = mayGo.wait(until: soon(.seconds(20)))
            }
            try await isHeld.value()
            let result = await Result { try await body { mayGo.open() } }
            mayGo.open()
            try await holder
            try result.get()
        }
    }

    /// A server that logs who waits for a lock after 10 ms.
    private static let lockLogger = PostgresServer.Options(
        settings: ["log_lock_waits": "on", "deadlock_timeout": "10ms"]
    )

    /// Returns the process of the first session that was seen waiting for a lock.
    private func blockedSession(_ server: PostgresServer) async throws -> Int32 {
        let words = try await server.logLine(containing: "still waiting for").split(separator: " ")
        let place = try #require(words.firstIndex(of: "process"))
        return try #require(Int32(words[place + 1]))
    }

    private let update = SQLStatement(
        "insert into docs (key, body) values ('held', 'x') on conflict (key) do update set writes = docs.writes + 1"
    )

    @Test func `a batch whose backend is ended in mid-write is repeated, once, elsewhere`() async throws {
        let server = try await PostgresServer.start(PoolFaultTests.lockLogger)
        try await server.sql(PoolFaultTests.table + "; insert into docs values ('held', 'x')")
        try await withHeldRow(server) { release in
            try await withPool(server.url()) { pool, events in
                async let written = pool.write([update], sortKey: "held", deadline: soon(.seconds(20)))
                let pid = try await blockedSession(server)
                try await server.sql("select pg_terminate_backend(\(pid))")
                try await events.first { if case .repeated = $0 { true } else { false } }
                release()
                #expect(try await written[0].affected == 1)
            }
        }
        #expect(try await server.sql("select writes from docs where key = 'held'") == ["2"])
        try await server.stop()
    }

    @Test func `nothing is lost or doubled while backends are ended under load`() async throws {
        let server = try await PostgresServer.start()
        try await server.sql(PoolFaultTests.table)
        try await withPool(server.url()) { pool, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<400 {
                    group.addTask {
                        _ = try await pool.write(
                            [insert("k\(number)")],
                            sortKey: "k\(number)",
                            deadline: soon(.seconds(30))
                        )
                    }
                }
                group.addTask {
                    for _ in 0..<5 {
                        try await server.sql(
                            """
                            select pg_terminate_backend(pid) from pg_stat_activity
                            where application_name = 'postgres-tests'
                            """
                        )
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await pool.query(.reading("select count(*) from docs"), deadline: soon()).rows[0].int(0) == 400)
        }
        try await server.stop()
    }

    @Test func `a killed backend, which takes the whole server through recovery, loses no batch`() async throws {
        let server = try await PostgresServer.start()
        try await server.sql(PoolFaultTests.table + "; insert into docs values ('held', 'x')")
        try await withPool(server.url()) { pool, _ in
            let slow = "do $$ begin raise log 'a batch is in hand'; perform pg_sleep(0.3); end $$"
            async let written = pool.write(
                [SQLStatement(slow), insert("survivor")],
                sortKey: "survivor",
                deadline: soon(.seconds(30))
            )
            _ = try await server.logLine(containing: "a batch is in hand")
            try await server.crash()
            try await server.startAgain()
            #expect(try await written[1].affected == 1)
        }
        #expect(try await server.sql("select key from docs where key = 'survivor'") == ["survivor"])
        try await server.stop()
    }

    @Test func `a stopped backend costs the caller its deadline, then the connection, and nothing else`() async throws {
        let server = try await PostgresServer.start()
        try await server.sql(PoolFaultTests.table + "; insert into docs values ('held', 'x')")
        try await withPool(server.url(), configure: singleConnection) { pool, events in
            let pid = Int32(
                try await pool.query(.reading("select pg_backend_pid()"), deadline: soon()).rows[0].int(0) ?? 0
            )
            server.suspendBackend(pid)
            let before = MonotonicClock.system.now()
            let error = await failure {
                _ = try await pool.query(insert("late"), deadline: soon(.milliseconds(400)))
            }
            let waited = MonotonicClock.system.now() - before
            #expect(error?.kind == .deadline && error?.outcome == .unknown)
            #expect(waited >= .milliseconds(390) && waited < .seconds(3))
            try await events.first(where: isCondemned)
            // Another connection serves on, though the backend stands still.
            #expect(try await pool.query(.reading("select 1"), deadline: soon()).rows[0].int(0) == 1)
            server.resumeBackend(pid)
        }
        try await server.stop()
    }

    @Test func `a lane that hears nothing repeats its batch on another connection`() async throws {
        let server = try await PostgresServer.start()
        try await server.sql(PoolFaultTests.table)
        try await withPool(
            server.url(),
            configure: {
                singleConnection(&$0)
                $0.stallLimit = .milliseconds(500)
            }
        ) { pool, events in
            let statement = SQLStatement("select pg_backend_pid()")
            let pid = Int32(
                try await pool.write([statement], sortKey: "", deadline: soon())[0].rows[0].int(0) ?? 0
            )
            server.suspendBackend(pid)
            _ = try await pool.write([insert("stalled")], sortKey: "stalled", deadline: soon())
            #expect(events.all.contains { if case .repeated(1, _) = $0 { true } else { false } })
            server.resumeBackend(pid)
        }
        #expect(try await server.sql("select key from docs") == ["stalled"])
        try await server.stop()
    }

    @Test func `a stopped postmaster makes callers wait no longer than they said, and is found again`() async throws {
        let server = try await PostgresServer.start()
        server.suspendPostmaster()
        try await withPool(
            server.url(),
            configure: { $0.connectTimeout = .milliseconds(300) }
        ) { pool, events in
            let error = await failure {
                _ = try await pool.query(.reading("select 1"), deadline: soon(.milliseconds(200)))
            }
            #expect(error?.kind == .deadline && error?.outcome == .notSent)
            try await events.first(where: isUnavailable)
            #expect(!pool.state.isAvailable && pool.state.lastError?.kind == .connection)
            server.resumePostmaster()
            #expect(try await pool.query(.reading("select 1"), deadline: soon()).rows[0].int(0) == 1)
            #expect(pool.state.isAvailable && pool.state.lastError == nil)
        }
        try await server.stop()
    }

    @Test func `a server that comes later is waited for, and one that restarts is found again`() async throws {
        let server = try await PostgresServer.start()
        try await server.sql(PoolFaultTests.table)
        try await server.stop()
        try await withPool(server.url()) { pool, events in
            try await events.first(where: isUnavailable)
            async let written = pool.write([insert("early")], sortKey: "early", deadline: soon(.seconds(20)))
            try await server.startAgain()
            #expect(try await written[0].affected == 1)
            try await events.first(where: isAvailable)
            try await server.restart()
            #expect(try await pool.query(.reading("select count(*) from docs"), deadline: soon()).rows[0].int(0) == 1)
            #expect(try await pool.write([insert("late")], sortKey: "late", deadline: soon())[0].affected == 1)
        }
        try await server.stop()
    }

    @Test func `a pool that gets fewer connections than it wants does all its work on them`() async throws {
        let server = try await PostgresServer.start(.init(maxConnections: 3))
        try await server.sql(PoolFaultTests.table)
        try await withPool(server.url(), configure: { $0.generalConnections = 2 }) { pool, events in
            try await events.first { if case .connectFailed = $0 { true } else { false } }
            let large = SQLStatement(
                "insert into docs values ('large', $1)",
                .text(String(repeating: "x", count: 2_000_000))
            )
            async let first = pool.write([insert("a")], sortKey: "a", deadline: soon())
            async let second = pool.write([large], sortKey: "large", deadline: soon())
            async let third: SQLResult = pool.query(insert("b"), deadline: soon())
            #expect(try await (first[0].affected, second[0].affected, third.affected) == (1, 1, 1))
            #expect((1...3).contains(pool.state.connections) && pool.state.isAvailable)
        }
        try await server.stop()
    }

    @Test func `a commit in doubt is repeated until it is known`() async throws {
        let server = try await PostgresServer.start(PoolFaultTests.lockLogger)
        // The deferred trigger holds the commit in the server's hands: everything but the sync has been answered.
        try await server.sql(
            PoolFaultTests.table + """
                ; create table gate (open bool); insert into gate values (false);
                create function hold() returns trigger language plpgsql as $$ begin
                  perform pg_advisory_lock(7); perform pg_advisory_unlock(7); return null;
                end $$;
                create constraint trigger hold after insert on docs deferrable initially deferred
                  for each row execute function hold()
                """
        )
        let isHeld = Promise<Void>()
        let mayGo = Latch()
        try await withPool(server.url(), configure: { $0.generalConnections = 2 }) { pool, events in
            async let holder: Void = pool.transaction(deadline: soon(.seconds(25))) { transaction in
                try transaction.execute(SQLStatement("select pg_advisory_xact_lock(7)"))
                isHeld.resolve(.success(()))
                _ = mayGo.wait(until: soon(.seconds(20)))
            }
            try await isHeld.value()
            async let written = pool.write([insert("doubt")], sortKey: "doubt", deadline: soon(.seconds(20)))
            let pid = try await blockedSession(server)
            try await server.sql("select pg_terminate_backend(\(pid))")
            try await events.first { if case .repeated = $0 { true } else { false } }
            mayGo.open()
            #expect(try await written[0].affected == 1)
            try await holder
        }
        #expect(try await server.sql("select count(*) from docs") == ["1"])
        try await server.stop()
    }

    @Test func `a server turned read-only is refused until it is writable again`() async throws {
        let server = try await PostgresServer.start()
        try await server.sql(PoolFaultTests.table)
        try await withPool(server.url()) { pool, events in
            _ = try await pool.query(.reading("select 1"), deadline: soon())
            try await server.sql("alter system set default_transaction_read_only = on")
            try await server.sql("select pg_reload_conf()")
            // The server reads its settings when it comes to it, and signals its sessions before it makes another.
            _ = try await server.logLine(containing: "\"default_transaction_read_only\" changed to \"on\"")
            try await server.sql("select 1")
            // Sessions that stand learn of it with their next transaction.
            async let written = pool.write([insert("patient")], sortKey: "patient", deadline: soon(.seconds(20)))
            try await events.first {
                if case .connectFailed(let error, _, _) = $0 { error.kind == .readOnly } else { false }
            }
            try await server.sql("alter system reset default_transaction_read_only")
            try await server.sql("select pg_reload_conf()")
            #expect(try await written[0].affected == 1)
        }
        try await server.stop()
    }

    @Test func `an idle connection that the server ends is replaced before it is used`() async throws {
        let server = try await PostgresServer.start()
        try await withPool(server.url(), configure: singleConnection) { pool, events in
            let sql = "select pg_backend_pid()"
            let before = try await pool.query(.reading(sql), deadline: soon()).rows[0].int(0)
            // Waits for the session's end: without a time-out it would only send the signal.
            try await server.sql("select pg_terminate_backend(\(before ?? 0), 10000)")
            // Not a read: it would not be repeated, had it been sent on the dead connection.
            let after = try await pool.query(SQLStatement(sql), deadline: soon()).rows[0].int(0)
            #expect(before != after)
            let event = try await events.first(where: isCondemned)
            guard case .condemned(let error) = event else { return }
            #expect(error.kind == .connection)
        }
        try await server.stop()
    }

    @Test(arguments: [false, true])
    func `a query whose session is ended says unknown, unless it reads: then it is repeated`(_ isReading: Bool)
        async throws
    {
        let server = try await PostgresServer.start()
        try await server.sql(
            """
            create function slow() returns int language plpgsql as $$ begin
              raise log 'a query is in hand'; perform pg_sleep(0.3); return 7;
            end $$
            """
        )
        try await withPool(server.url(), configure: singleConnection) { pool, events in
            var statement = SQLStatement("select slow()")
            statement.isReading = isReading
            async let answer = Result { try await pool.query(statement, deadline: soon()) }
            _ = try await server.logLine(containing: "a query is in hand")
            try await server.sql(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postgres-tests'"
            )
            switch await answer {
            case .success(let result): #expect(isReading && result.rows[0].int(0) == 7)
            case .failure(let error):
                let error = try #require(error as? PostgresError)
                #expect(!isReading && error.sqlState == "57P01" && error.kind == .connection)
                #expect(error.outcome == .unknown)
            }
            #expect(events.all.contains { if case .repeated = $0 { true } else { false } } == isReading)
        }
        try await server.stop()
    }
}
