import Basics
import TestSupport
import Testing

@testable import OperatorCommands

/// The built program, as a shell sees it.
@Suite struct ProgramTests {
    static let usage: [([String], String)] = [
        ([], "no command given"), (["user", "list"], "did you mean checkctl users?"),
        (["users", "ad"], "did you mean checkctl users add?"), (["users"], "users needs one of"),
        (["users", "add"], "--user-id is missing"),
        (["users", "add", "--token", "tok-hidden"], "unknown option --token"),
        (["migrate", "--schemas", "/nonesuch"], "the SQL files cannot be used"),
        (["dead-letters", "replay"], "name dead letters by their IDs, or give --all"),
        (["dead-letters", "replay", "1", "--all"], "either IDs or --all, not both"),
        (["dead-letters", "replay", "1", "--group", "g"], "filters go with --all"),
        (["dead-letters", "list", "--since", "soon"], "--since is malformed"),
        (["dead-letters", "show", "0"], "ID is malformed"), (["topics", "plan", "--partitions", "0"], "--partitions"),
        (["reports", "list", "--product", "pdf"], "--product is malformed"),
        (["status", "--output", "xml"], "expected table or json"),
    ]

    @Test(arguments: usage)
    func `a command line that is not understood ends with 64 and one line, without any dependency`(
        _ arguments: [String],
        _ expected: String
    ) async throws {
        let person = Operator(url: "", database: "", server: try await PostgresServer.shared())
        let (code, text) = try await person.starts(
            arguments,
            variables: Operator.nowhere.merging(["ENCRYPTION_KEYS": Operator.key]) { old, _ in old }
        )
        #expect(code == 64)
        #expect(text.hasPrefix("checkctl: "))
        #expect(text.contains(expected), "\(text)")
        #expect(!text.contains("\n"))
        #expect(!text.contains("tok-hidden"))
    }

    static let away: [([String], String)] = [
        (["users", "list"], "Postgres cannot be reached"), (["users", "show", "u"], "Postgres cannot be reached"),
        (["reports", "list"], "Postgres cannot be reached"), (["trace", "u"], "Postgres cannot be reached"),
        (["status"], "Postgres cannot be reached"), (["dead-letters", "list"], "Postgres cannot be reached"),
        (["dead-letters", "replay", "--all"], "Postgres cannot be reached"),
        (["migrate", "--schemas", Operator.schemas], "Postgres cannot be reached"),
        (["topics", "plan"], "Kafka cannot be reached at 127.0.0.1:1"),
        (["topics", "apply"], "Kafka cannot be reached at 127.0.0.1:1"),
    ]

    @Test(arguments: away)
    func `a dependency that is away ends with 69 and one line that says why, within seconds`(
        _ arguments: [String],
        _ expected: String
    ) async throws {
        let person = Operator(url: "", database: "", server: try await PostgresServer.shared())
        let began = MonotonicClock.system.now()
        let (code, text) = try await person.starts(
            arguments,
            variables: Operator.nowhere.merging(["ENCRYPTION_KEYS": Operator.key]) { old, _ in old }
        )
        #expect(code == 69)
        #expect(MonotonicClock.system.now() - began < .seconds(12))
        #expect(text.hasPrefix("checkctl: \(expected)"), "\(text)")
        #expect(text.contains("Connection refused"), "\(text)")
        #expect(!text.contains("\n"), "\(text)")
    }

    @Test func `a setting that is missing or malformed ends with 78 and names it`() async throws {
        let person = try await Operator.arrives(migrated: false)
        let cases: [([String], [String: String], String)] = [
            (["users", "list"], ["DATABASE_URL": person.url], "ENCRYPTION_KEYS"),
            (["users", "list"], ["DATABASE_URL": person.url, "ENCRYPTION_KEYS": "hidden"], "ENCRYPTION_KEYS"),
            (["status"], ["DATABASE_URL": person.url, "PLAID_ENV": "moon"], "PLAID_ENV"),
            (["status"], ["DATABASE_URL": person.url, "LOG_LEVEL": "loud"], "LOG_LEVEL"),
            (["status"], ["DATABASE_URL": "hidden=:=", "PLAID_ENV": "sandbox"], "DATABASE_URL"),
        ]
        for (arguments, variables, name) in cases {
            let (code, text) = try await person.starts(arguments, variables: variables)
            #expect(code == 78, "\(text)")
            #expect(text.contains(name))
            #expect(!text.contains("hidden"))
        }
    }

    @Test func `a log level and a format that are set win over the command's own`() async throws {
        let person = try await Operator.arrives()
        let quiet = try await person.starts(["reports", "list"])
        #expect(quiet.text.split(separator: "\n").count == 1)
        var variables = person.allVariables
        variables["LOG_LEVEL"] = "info"
        variables["LOG_FORMAT"] = "json"
        let loud = try await person.starts(["reports", "list"], variables: variables)
        #expect(loud.text.contains(#""message":"Postgres is there""#))
    }

    @Test func `a reader that is gone is no failure`() async throws {
        let person = try await Operator.arrives()
        // The process substitution has ended before the program writes.
        let script = #"exec 4> >(true); wait $!; "$0" "$@" >&4; echo "code $?""#
        let program = ProcessEnvironment.executableFolder + "/checkctl"
        for arguments in [["--help"], ["reports", "list"], ["reports", "list", "--output", "json"]] {
            let child = try ChildProcess(
                "/bin/bash",
                ["-c", script, program] + arguments,
                environment: person.allVariables
            )
            defer { child.end() }
            _ = try await child.exit(within: .seconds(30))
            #expect(child.text == "code 0")
        }
    }
}
