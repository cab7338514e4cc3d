import Basics
import Cryptography
import Postgres
import ReportStore
import Testing

@Suite struct MigratorTests {
    private static func migrator(_ scripts: String...) throws -> Migrator {
        try Migrator(scripts.enumerated().map { Migration(version: $0.offset + 1, name: "m", sql: $0.element) })
    }

    @Test func `brings an empty database to the newest schema, and does nothing the second time`() async throws {
        try await TestDatabase.with(migrated: false) { database in
            let migrator = try Migrator.load(from: SchemaFolder.path)
            let planned = try await database.session { try migrator.plan($0, deadline: soon()) }
            #expect(planned == migrator.migrations)
            #expect(try await SchemaVersion.check(database.pool, deadline: soon()) == .missing)

            let first = try await database.migrate(migrator)
            #expect(first.applied == migrator.migrations)
            #expect(first.version == SchemaVersion.required)
            #expect(first.bodyCompression == .lz4)
            let compression = try await database.sql(
                "select attcompression from pg_attribute where attrelid = 'reports'::regclass and attname = 'body'"
            )
            #expect(compression == ["l"])

            let second = try await database.migrate(migrator)
            #expect(second.applied.isEmpty)
            #expect(second.version == first.version)
            let left = try await database.session { try migrator.plan($0, deadline: soon()) }
            #expect(left.isEmpty)
            #expect(
                try await SchemaVersion.check(database.pool, deadline: soon())
                    == .usable(found: SchemaVersion.required)
            )
        }
    }

    @Test func `refuses when a file was changed after it was applied`() async throws {
        try await TestDatabase.with(migrated: false) { database in
            _ = try await database.migrate(try Self.migrator("create table a ()", "create table b ()"))
            let changed = try Self.migrator("create table a ()", "create table b () ", "create table c ()")
            await #expect(throws: MigrationError.changed(version: 2, name: "m")) {
                try await database.migrate(changed)
            }
            await #expect(throws: MigrationError.changed(version: 2, name: "m")) {
                try await database.session { try changed.plan($0, deadline: soon()) }
            }
            #expect(try await database.sql("select to_regclass('c') is null") == ["t"])
        }
    }

    @Test func `an older migrator refuses a newer schema that programs accept`() async throws {
        try await TestDatabase.with { database in
            try await database.sql(
                "insert into schema_migrations (version, name, checksum) values (\(SchemaVersion.required + 1), 'n', 'c')"
            )
            let migrator = try Migrator.load(from: SchemaFolder.path)
            let expected = MigrationError.newer(found: SchemaVersion.required + 1, known: SchemaVersion.required)
            await #expect(throws: expected) { try await database.migrate(migrator) }
            let state = try await SchemaVersion.check(database.pool, deadline: soon())
            #expect(state == .usable(found: SchemaVersion.required + 1))
            #expect(state.isUsable)
        }
    }

    @Test func `programs wait for a schema that is not far enough`() async throws {
        try await TestDatabase.with(migrated: false) { database in
            let all = try Migrator.load(from: SchemaFolder.path)
            _ = try await database.migrate(try Migrator(Array(all.migrations.prefix(1))))
            let state = try await SchemaVersion.check(database.pool, deadline: soon())
            #expect(state == .older(found: 1))
            #expect(!state.isUsable)
            let rest = try await database.migrate(all)
            #expect(rest.applied.map(\.version) == Array(2...SchemaVersion.required))
        }
    }

    @Test func `refuses a hole in what was applied`() async throws {
        try await TestDatabase.with { database in
            try await database.sql("delete from schema_migrations where version = 2")
            let migrator = try Migrator.load(from: SchemaFolder.path)
            await #expect(throws: MigrationError.skipped(version: 2)) { try await database.migrate(migrator) }
        }
    }

    @Test func `a failing migration undoes itself, keeps those before and stops those after`() async throws {
        try await TestDatabase.with(migrated: false) { database in
            let broken = try Self.migrator(
                "create table a ()",
                "create table b (); select 1 / 0",
                "create table c ()"
            )
            let error = await #expect(throws: MigrationError.self) { try await database.migrate(broken) }
            guard case .failed(2, "m", let cause)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(cause.sqlState == "22012")
            let tables = try await database.sql(
                "select to_regclass('a') is null, to_regclass('b') is null, to_regclass('c') is null"
            )
            #expect(tables == ["f|t|t"])
            #expect(try await database.sql("select version from schema_migrations") == ["1"])

            let mended = try Self.migrator("create table a ()", "create table b ()", "create table c ()")
            #expect(try await database.migrate(mended).applied.map(\.version) == [2, 3])
        }
    }

    @Test func `of migrators that start together one does the work`() async throws {
        try await TestDatabase.with(migrated: false) { database in
            let migrator = try Migrator.load(from: SchemaFolder.path)
            let applied = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<4 { group.addTask { try await database.migrate(migrator).applied.count } }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(applied.sorted() == [0, 0, 0, migrator.migrations.count])
            #expect(try await database.count("schema_migrations") == migrator.migrations.count)
        }
    }

    @Test func `gives up at its deadline while another migrator holds the lock`() async throws {
        try await TestDatabase.with(migrated: false) { database in
            let migrator = try Migrator.load(from: SchemaFolder.path)
            try await database.session { holder in
                _ = try holder.query(
                    SQLStatement("select pg_advisory_lock($1)", .int8(0x6368_6563_6B70_6970)),
                    deadline: soon()
                )
                let waiting = try PostgresSession(
                    connectionString: database.url,
                    applicationName: "waiting",
                    deadline: soon()
                )
                defer { waiting.close() }
                let error = #expect(throws: PostgresError.self) {
                    try migrator.apply(waiting, deadline: MonotonicClock.system.now() + .milliseconds(300))
                }
                #expect(error?.kind == .deadline)
            }
            #expect(try await database.migrate(migrator).applied.count == migrator.migrations.count)
        }
    }

    @Test func `lets a table's readers go on when it cannot get its lock, and can be run again`() async throws {
        try await TestDatabase.with(migrated: false) { database in
            _ = try await database.migrate(try Self.migrator("create table a ()"))
            var next = try Self.migrator("create table a ()", "alter table a add column b int")
            next.lockTimeout = .milliseconds(20)
            let patient = next
            try await database.session { reader in
                try reader.execute("begin", deadline: soon())
                try reader.execute("lock table a in access share mode", deadline: soon())
                let session = try PostgresSession(
                    connectionString: database.url,
                    applicationName: "migrator",
                    deadline: soon()
                )
                defer { session.close() }
                let error = #expect(throws: MigrationError.self) { try patient.apply(session, deadline: soon()) }
                guard case .failed(2, _, let cause)? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                #expect(cause.kind == .lockOrSerialization)
                try reader.execute("commit", deadline: soon())
                #expect(try patient.apply(session, deadline: soon()).applied.map(\.version) == [2])
            }
        }
    }
}
