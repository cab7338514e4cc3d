// Connection strings: hosts, precedence, and passwords that must not show.

import Basics
import TestSupport
import Testing

@testable import Postgres

@Suite struct ConnectionStringTests {
    private func overrides(_ text: String) throws -> [[String]] {
        try ConnectionString(text).hosts.map { $0.overrides.map { "\($0.name)=\($0.value)" } }
    }

    @Test func `several hosts are tried one by one, each with its port`() throws {
        #expect(
            try overrides("postgresql://u:p@one:1,two/db") == [["host=one", "port=1"], ["host=two", "port=5432"]]
        )
        #expect(try overrides("host=one,two port=7 dbname=x") == [["host=one", "port=7"], ["host=two", "port=7"]])
        #expect(
            try overrides("host=one,two hostaddr=127.0.0.1,127.0.0.2")
                == [["host=one", "hostaddr=127.0.0.1", "port=5432"], ["host=two", "hostaddr=127.0.0.2", "port=5432"]]
        )
        #expect(try overrides("postgresql:///check_pipeline") == [[]])
    }

    @Test func `the string stands after our defaults and before what is not negotiable`() throws {
        let string = try ConnectionString("host=a,b dbname=x")
        let names = string.keywords(for: string.hosts[1], applicationName: "p", connectTimeout: .seconds(3)).map(\.name)
        let own = try #require(names.firstIndex(of: "dbname"))
        for name in ["connect_timeout", "tcp_user_timeout", "gssencmode", "application_name", "target_session_attrs"] {
            #expect(names.firstIndex(of: name).map { $0 < own } == true)
        }
        for name in ["client_encoding", "host", "port"] { #expect(names.firstIndex(of: name).map { $0 > own } == true) }
    }

    @Test(arguments: [
        ("1", Duration.seconds(2)), ("7", .seconds(7)), ("9223372036854775807", .seconds(3_600)), ("0", nil),
        ("99999999999999999999", nil),
    ])
    func `a connect_timeout of any size is a bounded wait`(_ text: String, _ wait: Duration?) throws {
        let string = try ConnectionString("host=x connect_timeout=\(text)")
        #expect(string.connectTimeout == wait)
        let limit = string.connectTimeout ?? .seconds(3)
        let keywords = string.keywords(for: string.hosts[0], applicationName: "p", connectTimeout: limit)
        #expect(keywords.contains { $0.name == "connect_timeout" && $0.value == "\(Int(limit.inSeconds))" })
    }

    @Test(arguments: [
        "postgresql://user:hunter2secret@host:port/db", "postgresql://user:hunter2@secret@host/db",
        "postgresql://user:hunter2/secret@host/db", "postgresql://user:hunter2%secret@host/db",
        "password='hunter2secret host=x", "nonsense hunter2secret", "postgresql://[hunter2secret", "host=a\u{0}b",
        "host=a,b port=1,2,3 password=hunter2secret",
    ])
    func `an unreadable string is refused without a word of it`(_ text: String) {
        #expect {
            _ = try ConnectionString(text)
        } throws: { error in
            let shown = "\(error) \((error as? PostgresError)?.message ?? "")"
            return (error as? PostgresError)?.kind == .misuse && !shown.contains("hunter2") && !shown.contains("secret")
        }
    }

    @Test func `a statement printed or dumped shows no parameter`() {
        var dumped = ""
        let statement = SQLStatement("select $1", .text("usr_hunter2"))
        dump(statement, to: &dumped)
        for shown in ["\(statement)", String(reflecting: [statement]), dumped] {
            #expect(shown.contains("select $1") && !shown.contains("hunter2"), "\(shown)")
        }
    }

    @Test func `errors of connecting do not show the password`() async throws {
        let server = try await PostgresServer.shared()
        // A database of the password's name makes the server say it back.
        let url = "postgresql://postgres:hunter2@127.0.0.1:\(server.port)/hunter2"
        try await withPool(url) { pool, events in
            let event = try await events.first { if case .connectFailed = $0 { true } else { false } }
            guard case .connectFailed(let error, _, _) = event else { return }
            #expect(error.message.contains("does not exist") && !error.message.contains("hunter2"))
            #expect(error.kind == .connection && error.outcome == .notSent)
        }
    }

    @Test func `settings do not show their connection string`() {
        let settings = PoolSettings(connectionString: "password=hunter2", applicationName: "p")
        var dumped = ""
        dump(settings, to: &dumped)
        #expect(!"\(settings) \(String(reflecting: settings)) \(dumped)".contains("hunter2"))
    }

    @Test func `goes on to the next host when one refuses or is silent`() async throws {
        let server = try await PostgresServer.shared()
        let silent = try await PostgresServer.start()
        silent.suspendPostmaster()
        let url = "postgresql://postgres@127.0.0.1:1,127.0.0.1:\(silent.port),127.0.0.1:\(server.port)/postgres"
        try await withPool(url, configure: { $0.connectTimeout = .milliseconds(200) }) { pool, _ in
            let row = try await pool.query(.reading("select 1"), deadline: soon()).rows[0]
            #expect(row.int(0) == 1)
        }
        silent.resumePostmaster()
        try await silent.stop()
    }

    @Test func `speaks TLS with a verified certificate, large answers too, and refuses another`() async throws {
        let server = try await PostgresServer.start()
        let certificate = try await server.enableTLS()
        let address = "host=localhost port=\(server.port) user=postgres dbname=postgres sslmode=verify-full"
        try await withPool("\(address) sslrootcert=\(certificate)") { pool, _ in
            let sql = "select ssl, repeat('x', 3000000) from pg_stat_ssl where pid = pg_backend_pid()"
            let row = try await pool.query(.reading(sql), deadline: soon()).rows[0]
            #expect(row.bool(0) == true && row.body(1)?.count == 3_000_000)
            let large = SQLStatement("select length($1)", .text(String(repeating: "y", count: 3_000_000)))
            let written = try await pool.write([large], sortKey: "", deadline: soon())[0].rows[0]
            #expect(written.int(0) == 3_000_000)
        }
        try await withPool("\(address) sslrootcert=/etc/ssl/certs/ca-certificates.crt") { pool, events in
            let event = try await events.first { if case .connectFailed = $0 { true } else { false } }
            guard case .connectFailed(let error, _, _) = event else { return }
            #expect(error.message.contains("certificate"))
        }
        try await server.stop()
    }
}
