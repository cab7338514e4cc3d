// Brings a database to the newest schema: one migrator at a time, each file in a transaction of its own.

package import Basics
import Cryptography
package import Postgres

package enum MigrationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A file that was applied has changed since: what the database holds can no longer be known from the files.
    case changed(version: Int, name: String)
    /// The database is ahead of these files: an older program must not migrate it.
    case newer(found: Int, known: Int)
    /// The database knows a later migration but not this one.
    case skipped(version: Int)
    case failed(version: Int, name: String, PostgresError)

    package var description: String {
        switch self {
        case .changed(let version, let name): "migration \(version) (\(name)) was changed after it was applied"
        case .newer(let found, let known): "the schema is at version \(found), newer than the \(known) known here"
        case .skipped(let version): "migration \(version) was never applied although later ones were"
        case .failed(let version, let name, let error): "migration \(version) (\(name)) failed: \(error)"
        }
    }
}

/// What a run did.
package struct MigrationReport: Hashable, Sendable {
    package enum BodyCompression: Hashable, Sendable {
        case lz4
        /// The server was built without lz4: bodies take its slower default. Worth a warning, not a failure.
        case unavailable
        /// There is no `reports.body` yet.
        case noColumn
    }

    package var applied: [Migration]
    package var version: Int
    package var bodyCompression: BodyCompression
}

/// Applies migrations through a session of its own; blocks, so it belongs on a thread that may wait.
package struct Migrator: Sendable {
    /// In order, numbered from 1.
    package let migrations: [Migration]

    /// One lock for all migrators of a database: "checkpip" in ASCII.
    static let advisoryLock: Int64 = 0x6368_6563_6B70_6970
    /// For each statement that changes a table: behind it in the queue stand all of that table's readers.
    package var lockTimeout: Duration = .seconds(5)
    /// Tries of one migration that found its tables locked.
    static let lockAttempts = 5

    package init(_ migrations: [Migration]) throws(MigrationFileError) {
        self.migrations = try MigrationFiles.ordered(migrations)
    }

    /// - Parameter directory: Usually `schemas/postgres`.
    package static func load(from directory: String) throws(MigrationFileError) -> Migrator {
        try Migrator(MigrationFiles.load(from: directory))
    }

    /// What ``apply(_:deadline:onApplied:)`` would do now; changes nothing.
    package func plan(_ session: PostgresSession, deadline: MonotonicInstant) throws -> [Migration] {
        let exists = try session.query(
            .reading("select to_regclass('schema_migrations') is not null"),
            deadline: deadline
        )
        guard exists.rows.first?.bool(0) == true else { return migrations }
        return try pending(session, deadline: deadline)
    }

    /// Applies what is missing, in order.
    ///
    /// A second migrator waits until the first has ended. When one migration fails, those before it stay applied and
    /// those after it are not tried.
    ///
    /// - Parameters:
    ///   - deadline: For everything, the wait for another migrator included.
    ///   - onApplied: Called after each migration is committed.
    /// - Throws: ``MigrationError``, ``PostgresError``.
    package func apply(
        _ session: PostgresSession,
        deadline: MonotonicInstant,
        onApplied: (Migration) -> Void = { _ in }
    ) throws -> MigrationReport {
        // The wait for the lock and a long index build have no limit but the caller's; the lock time-out comes after
        // the advisory lock since it would apply to that one too.
        try session.execute("set statement_timeout = 0", deadline: deadline)
        try session.execute("set lock_timeout = 0", deadline: deadline)
        _ = try session.query(SQLStatement("select pg_advisory_lock($1)", .int8(Self.advisoryLock)), deadline: deadline)
        try session.execute("set lock_timeout = \(lockTimeout.inMilliseconds)", deadline: deadline)
        try session.execute(Self.bookkeeping, deadline: deadline)
        let todo = try pending(session, deadline: deadline)
        for migration in todo {
            try apply(migration, session, deadline: deadline)
            onApplied(migration)
        }
        let compression = try compressBodies(session, deadline: deadline)
        _ = try session.query(
            SQLStatement("select pg_advisory_unlock($1)", .int8(Self.advisoryLock)),
            deadline: deadline
        )
        return MigrationReport(applied: todo, version: migrations.count, bodyCompression: compression)
    }

    private static let bookkeeping = """
        create table if not exists schema_migrations (
            version     integer primary key,
            name        text not null,
            checksum    text not null,
            applied_at  timestamptz not null default now()
        )
        """

    /// Compares what was applied with what is known.
    private func pending(_ session: PostgresSession, deadline: MonotonicInstant) throws -> [Migration] {
        let result = try session.query(
            .reading("select version, checksum from schema_migrations order by version"),
            deadline: deadline
        )
        var applied: [Int: String] = [:]
        for row in result.rows {
            let reader = RowReader(row: row, table: "schema_migrations")
            applied[Int(try reader.int(0, "version"))] = try reader.text(1, "checksum")
        }
        let newest = applied.keys.max() ?? 0
        guard newest <= migrations.count else { throw MigrationError.newer(found: newest, known: migrations.count) }
        for migration in migrations.prefix(newest) {
            guard let checksum = applied[migration.version] else {
                throw MigrationError.skipped(version: migration.version)
            }
            guard checksum == migration.checksum.hex else {
                throw MigrationError.changed(version: migration.version, name: migration.name)
            }
        }
        return Array(migrations.dropFirst(newest))
    }

    private func apply(_ migration: Migration, _ session: PostgresSession, deadline: MonotonicInstant) throws {
        for attempt in 1...Self.lockAttempts {
            do {
                try session.execute("begin", deadline: deadline)
                try session.execute(migration.sql, deadline: deadline)
                _ = try session.query(
                    SQLStatement(
                        "insert into schema_migrations (version, name, checksum) values ($1, $2, $3)",
                        .int4(Int32(migration.version)),
                        .text(migration.name),
                        .text(migration.checksum.hex)
                    ),
                    deadline: deadline
                )
                try session.execute("commit", deadline: deadline)
                return
            } catch {
                // Fails too when the connection is lost; the first error is the one to tell.
                try? session.execute("rollback", deadline: deadline)
                if error.kind == .lockOrSerialization, attempt < Self.lockAttempts { continue }
                throw MigrationError.failed(version: migration.version, name: migration.name, error)
            }
        }
    }

    /// Sets lz4 on the bodies where the server has it: a property of the server and not of the schema, so it is looked
    /// at in every run and not in a migration. Affects new values only.
    private func compressBodies(
        _ session: PostgresSession,
        deadline: MonotonicInstant
    ) throws -> MigrationReport.BodyCompression {
        let found = try session.query(
            .reading(
                """
                select (select 'lz4' = any (enumvals) from pg_settings where name = 'default_toast_compression'),
                       (select attcompression = 'l' from pg_attribute
                         where attrelid = to_regclass('reports') and attname = 'body')
                """
            ),
            deadline: deadline
        )
        guard let row = found.rows.first, let isSet = row.bool(1) else { return .noColumn }
        guard row.bool(0) == true else { return .unavailable }
        if !isSet {
            try session.execute("alter table reports alter column body set compression lz4", deadline: deadline)
        }
        return .lz4
    }
}
