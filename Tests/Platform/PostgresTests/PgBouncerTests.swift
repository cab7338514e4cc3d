// Through PgBouncer in transaction mode, where this machine has one: what `usePreparedStatements` off is for.

import Basics
import Glibc
import Postgres
import TestSupport
import Testing

@Suite(.enabled(if: access("/usr/sbin/pgbouncer", X_OK) == 0, "pgbouncer is not installed"))
struct PgBouncerTests {
    /// Starts a pooler with a single server connection, so that every transaction may meet another client's leavings.
    private func withBouncer(_ body: (String) async throws -> Void) async throws {
        let server = try await PostgresServer.start()
        try await server.sql("create table docs (key text primary key, body text)")
        let folder = TemporaryFolder("bouncer")
        chmod(folder.path, 0o755)
        let configuration = """
            [databases]
            postgres = host=127.0.0.1 port=\(server.port) user=postgres
            [pgbouncer]
            listen_addr =
            unix_socket_dir = \(server.folder)
            listen_port = 6999
            auth_type = any
            pool_mode = transaction
            default_pool_size = 1
            """
        let file = folder.write(configuration, to: "pgbouncer.ini")
        let arguments = getuid() == 0 ? ["-u", "postgres", file] : [file]
        let bouncer = try ChildProcess("/usr/sbin/pgbouncer", arguments)
        defer { bouncer.end() }
        _ = try await bouncer.line(containing: "process up")
        try await body("host=\(server.folder) port=6999 user=postgres dbname=postgres")
        bouncer.end()
        try await server.stop()
    }

    @Test func `batches, transactions and queries of several connections share one session`() async throws {
        try await withBouncer { address in
            try await withPool(
                address,
                configure: {
                    $0.usePreparedStatements = false
                    $0.generalConnections = 2
                }
            ) { pool, _ in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<100 {
                        group.addTask {
                            let insert = SQLStatement("insert into docs values ($1, $2)", .text("k\(number)"), .null)
                            switch number % 3 {
                            case 0: _ = try await pool.write([insert], sortKey: "k\(number)", deadline: soon())
                            case 1: _ = try await pool.query(insert, deadline: soon())
                            default:
                                let limits = try await pool.transaction(deadline: soon()) { transaction in
                                    try transaction.execute(insert)
                                    return try transaction.execute(
                                        SQLStatement("select current_setting('lock_timeout')")
                                    ).rows[0].text(0)
                                }
                                #expect(limits == "5s")
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                let row = try await pool.query(.reading("select count(*) from docs"), deadline: soon()).rows[0]
                #expect(row.int(0) == 100)
            }
        }
    }
}
