// An operator at a terminal: commands in this process against a database of their own, and the built program as a
// child where standard input, exit codes or signals matter.

import Basics
import Cryptography
import Postgres
import ReportStore
import TestSupport

@testable import OperatorCommands
@testable import ServiceKit

struct Operator {
    let url: String
    let database: String
    let server: PostgresServer
    /// Beside the database.
    var environment: [String: String] = [:]

    static let key = "k1:" + Base64.encode([UInt8](repeating: 7, count: 32))

    /// The folder with the SQL files, from this file's place in the source tree.
    static let schemas: String = {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4)
        return parts.joined(separator: "/") + "/schemas/postgres"
    }()

    /// A new database, with the schema unless told otherwise.
    static func arrives(migrated: Bool = true) async throws -> Operator {
        let server = try await PostgresServer.shared()
        let url = try await server.freshDatabase()
        let name = String(url.split(separator: "/").last ?? "")
        let person = Operator(url: url, database: name, server: server)
        if migrated { try await person.runs("migrate", "--schemas", schemas).succeeded() }
        return person
    }

    /// Nobody listens on port 1.
    static let nowhere = [
        "DATABASE_URL": "postgresql://postgres@127.0.0.1:1/x", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    ]

    var allVariables: [String: String] {
        ["DATABASE_URL": url, "ENCRYPTION_KEYS": Self.key, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"]
            .merging(environment) { _, mine in mine }
    }

    // MARK: In this process

    struct Outcome {
        let output: [UInt8]
        let failure: ProgramFailure?
        var text: String { String(decoding: output, as: UTF8.self) }

        @discardableResult
        func succeeded() throws -> Outcome {
            if let failure { throw failure }
            return self
        }
    }

    func runs(_ arguments: String...) async -> Outcome { await runs(arguments) }

    func runs(_ arguments: [String]) async -> Outcome {
        let written = Locked<[UInt8]>([])
        do {
            let request = try Checkctl.table.parse(arguments)
            guard case .run(let command, let parsed) = request else {
                throw UsageError("no command: \(arguments)")
            }
            let settings = try Settings(
                Setting.unique(command.settings + Setting.commandLogging),
                environment: allVariables
            )
            let invocation = CommandInvocation(
                arguments: parsed,
                settings: settings,
                output: CommandOutput(format: parsed[CommandTable.output]) { bytes in
                    written.withLock { $0 += bytes }
                },
                logger: Logger(
                    label: "checkctl",
                    destination: LogDestination(format: .text, level: .critical, service: "checkctl") { _ in }
                ),
                logHash: LogHash(key: settings[Setting.logHashKey])
            )
            try await command.run(invocation)
            return Outcome(output: written.withLock { $0 }, failure: nil)
        } catch {
            return Outcome(output: written.withLock { $0 }, failure: ProgramFailure(reporting: error))
        }
    }

    // MARK: The program

    /// The end of the built program, and what it printed on either stream.
    func starts(
        _ arguments: [String],
        input: String? = nil,
        variables: [String: String]? = nil
    ) async throws -> (code: Int32, text: String) {
        let child = try ChildProcess(
            ProcessEnvironment.executableFolder + "/checkctl",
            arguments,
            environment: variables ?? allVariables,
            standardInput: input != nil
        )
        defer { child.end() }
        if let input {
            child.write(input)
            child.closeInput()
        }
        let exit = try await child.exit(within: .seconds(30))
        return (exit.code, child.text)
    }

    // MARK: The database

    func sql(_ statements: String) async throws -> [String] { try await server.sql(statements, database: database) }

    /// A pool of the test's own, closed whatever happens.
    func withPool<Value: Sendable>(_ body: (PostgresPool) async throws -> Value) async throws -> Value {
        let pool = try PostgresPool(settings: PoolSettings(connectionString: url, applicationName: "test"))
        pool.start()
        return try await closing({ pool.close(until: MonotonicClock.system.now() + .seconds(5)) }) {
            try await body(pool)
        }
    }

    static var soon: MonotonicInstant { MonotonicClock.system.now() + .seconds(30) }
}
