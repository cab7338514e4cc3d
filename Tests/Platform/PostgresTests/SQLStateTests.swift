// The table of SQLSTATE classes, row by row, and what errors say of themselves.

import TestSupport
import Testing

@testable import Postgres

@Suite struct SQLStateTests {
    /// What a caller must do, written down a second time by hand.
    static let expected: [(String, SQLStateClass, SQLOutcome)] = [
        ("08000", .connection, .unknown), ("08006", .connection, .unknown), ("57P01", .connection, .unknown),
        ("57P02", .connection, .unknown), ("57P03", .connection, .unknown), ("57P05", .connection, .unknown),
        ("57014", .cancelled, .notApplied), ("57000", .cancelled, .notApplied),
        ("55P03", .lockOrSerialization, .notApplied), ("40001", .lockOrSerialization, .notApplied),
        ("40P01", .lockOrSerialization, .notApplied), ("40003", .lockOrSerialization, .unknown),
        ("25006", .readOnly, .notApplied), ("25P02", .misuse, .notApplied), ("25P03", .misuse, .notApplied),
        ("26000", .preparedStatement, .notApplied), ("42P05", .preparedStatement, .notApplied),
        ("0A000", .preparedStatement, .notApplied), ("53100", .resources, .notApplied),
        ("53200", .resources, .notApplied), ("53400", .resources, .notApplied),
        ("53300", .tooManyConnections, .notApplied), ("22021", .row, .notApplied), ("22P02", .row, .notApplied),
        ("22P05", .row, .notApplied), ("22003", .row, .notApplied), ("22001", .row, .notApplied),
        ("22012", .row, .notApplied), ("54000", .row, .notApplied), ("54001", .row, .notApplied),
        ("23502", .row, .notApplied), ("23514", .row, .notApplied), ("23505", .unique, .notApplied),
        ("23503", .unique, .notApplied), ("28P01", .credentials, .notApplied), ("28000", .credentials, .notApplied),
        ("3D000", .credentials, .notApplied), ("42501", .credentials, .notApplied), ("42P01", .schema, .notApplied),
        ("42703", .schema, .notApplied), ("42883", .schema, .notApplied), ("42601", .schema, .notApplied),
        ("XX000", .corruption, .notApplied), ("XX001", .corruption, .notApplied), ("58030", .corruption, .notApplied),
    ]

    @Test(arguments: expected)
    func `each SQLSTATE leads to what the caller does`(_ code: String, _ kind: SQLStateClass, _ outcome: SQLOutcome)
        throws
    {
        let row = try #require(SQLStateClass.lookUp(code))
        #expect(row.kind == kind && row.outcome == outcome)
    }

    @Test func `patterns are codes or classes, each once`() {
        let patterns = SQLStateClass.table.map(\.pattern)
        #expect(Set(patterns).count == patterns.count)
        #expect(patterns.allSatisfy { $0.utf8.count == 5 || $0.utf8.count == 2 })
        #expect(SQLStateClass.table.allSatisfy { $0.outcome != .notSent })
    }

    @Test(arguments: ["P0001", "", "2", "99999", "é"])
    func `what stands in no row is unknown`(_ code: String) { #expect(SQLStateClass.lookUp(code) == nil) }

    @Test func `only refused values and unnamed constraints blame the values`() {
        for kind in SQLStateClass.allCases {
            let error = PostgresError(kind, outcome: .notApplied, message: "")
            #expect(error.blamesValues == [.row, .unique].contains(kind))
            #expect(!(error.blamesValues && error.isRetriable))
        }
    }

    /// The real server, asked to fail: nothing of the values may stand in the error.
    @Test(arguments: [
        ("select $1::int8", "22P02"), ("select ($1 || 'x')::uuid", "22P02"), ("select * from absent_table", "42P01"),
        ("do $$ begin raise exception 'ssn-123-45-6789'; end $$", "P0001"), ("select $1::jsonb", "22P02"),
    ])
    func `errors do not quote values`(_ sql: String, _ code: String) async throws {
        let server = try await PostgresServer.shared()
        try await withPool(server.url()) { pool, _ in
            let statement =
                sql.contains("$1") ? SQLStatement(sql, .text("ssn-123-45-6789")) : SQLStatement(sql)
            let error = await failure { _ = try await pool.query(statement, deadline: soon()) }
            #expect(error?.sqlState == code)
            #expect(error.map { "\($0)\($0.message)".contains("ssn") } == false)
        }
    }
}
