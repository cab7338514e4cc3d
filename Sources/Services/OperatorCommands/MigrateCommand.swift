// `checkctl migrate`: brings the database's schema to this program's.

import Basics
import Postgres
import ReportStore
import ServiceKit

enum MigrateCommand {
    private static let folder = CommandParameter<String>.option(
        "schemas",
        .path,
        help: "the folder with the numbered SQL files; found beside the program or in ./schemas/postgres when not given"
    ).optional
    private static let plan = CommandFlag("plan", help: "only show what would be applied")

    static let command = Command(
        "migrate",
        summary: "applies what is missing of the SQL schema",
        parameters: [folder],
        flags: [plan],
        settings: Setting.database,
        run: run
    )

    private struct Done: Sendable {
        let migrations: [Migration]
        let version: Int
        var lacksCompression = false
    }

    /// A migration may build an index over everything.
    private static let limit = Duration.seconds(3_600)

    private static func run(_ invocation: CommandInvocation) async throws {
        let migrator: Migrator
        do {
            migrator = try Migrator.load(from: try SchemaFolder.find(invocation.arguments[folder]))
        } catch let error as MigrationFileError {
            throw ProgramFailure(.usage, "the SQL files cannot be used: \(error)")
        }
        let isPlan = invocation.arguments[plan]
        let done = try await onThread { try apply(migrator, invocation, isPlan: isPlan) }
        var table = OutputTable(columns: ["version", "name", "done"])
        for migration in done.migrations {
            table.add([
                .integer(Int64(migration.version)), .text(migration.name), .text(isPlan ? "to apply" : "applied"),
            ])
        }
        if done.migrations.isEmpty, invocation.output.format == .table {
            invocation.output.print(raw: Array("The schema is up to date (\(done.version)).\n".utf8))
        } else {
            invocation.output.print(table)
        }
        if done.lacksCompression {
            invocation.logger.warning("the server has no lz4: report bodies take its slower default compression")
        }
    }

    private static func apply(
        _ migrator: Migrator,
        _ invocation: CommandInvocation,
        isPlan: Bool
    ) throws -> Done {
        let session = try connect(invocation)
        defer { session.close() }
        if isPlan {
            let missing = try migrator.plan(session, deadline: invocation.soon())
            return Done(migrations: missing, version: migrator.migrations.count)
        }
        let report = try migrator.apply(session, deadline: invocation.soon(limit))
        return Done(
            migrations: report.applied,
            version: report.version,
            lacksCompression: report.bodyCompression == .unavailable
        )
    }

    private static func connect(_ invocation: CommandInvocation) throws -> PostgresSession {
        do {
            return try PostgresSession(
                connectionString: invocation.settings[Setting.databaseURL].reveal(),
                applicationName: "checkctl migrate",
                deadline: invocation.soon(CommandInvocation.reachLimit)
            )
        } catch {
            guard error.kind == .misuse else { throw error }
            throw ConfigurationError(Setting.databaseURL.name, "is malformed; expected a libpq connection string")
        }
    }
}

/// Where the SQL files are.
enum SchemaFolder {
    /// Beside an installed program, in its source tree, or under the current folder.
    static func candidates(executable: String) -> [String] {
        var folders = ["schemas/postgres"]
        var folder = executable[...]
        // …/bin/checkctl, and …/.build/<triple>/<configuration>/checkctl
        for _ in 0..<5 {
            guard let slash = folder.lastIndex(of: "/") else { break }
            folder = folder[..<slash]
            folders += ["\(folder)/schemas/postgres", "\(folder)/share/check-pipeline/schemas/postgres"]
        }
        return folders
    }

    static func find(_ given: String?) throws -> String {
        if let given { return given }
        let candidates = candidates(executable: ProcessFacts.executablePath)
        for folder in candidates where (try? MigrationFiles.load(from: folder)) != nil { return folder }
        throw ProgramFailure(.usage, "the SQL files were not found; name their folder with --schemas")
    }
}
