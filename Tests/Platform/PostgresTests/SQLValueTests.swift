// Every type there and back through a real server.

import Basics
import Postgres
import TestSupport
import Testing

@Suite struct SQLValueTests {
    @Test func `carries every type there and back`() async throws {
        let server = try await PostgresServer.shared()
        let time = Timestamp(microsecondsSinceEpoch: 1_795_651_200_123_456)
        let row = try await withPool(server.url()) { pool, _ in
            let statement = SQLStatement(
                "select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text",
                .text("Grüße 🌍"),
                .body(Bytes(utf8: "{\"a\": 1.10}")),
                .int4(-7),
                .int8(.min),
                .bool(true),
                .bytes([0, 255, 0]),
                .bytea(Bytes([1, 0, 2])),
                .timestamp(time),
                .textArray(["a", "", "ü"]),
                .float8(-0.1),
                .byteaArray([[0], nil, []]),
                .null
            )
            return try #require(try await pool.query(statement, deadline: soon()).rows.first)
        }
        #expect(row.text(0) == "Grüße 🌍")
        #expect(row.body(1)?.string() == "{\"a\": 1.10}")
        #expect(row.int(2) == -7)
        #expect(row.int(3) == .min)
        #expect(row.bool(4) == true)
        #expect(row.bytes(5) == [0, 255, 0])
        #expect(row.body(6)?.array == [1, 0, 2])
        #expect(row.timestamp(7) == time)
        #expect(row.textArray(8) == ["a", "", "ü"])
        #expect(row.double(9) == -0.1)
        #expect(row.byteaArray(10) == [[0], nil, []])
        #expect(row.isNull(11) && row.text(11) == nil)
        #expect(row.count == 12)
    }

    @Test func `an empty value is not null`() async throws {
        let server = try await PostgresServer.shared()
        let row = try await withPool(server.url()) { pool, _ in
            let statement = SQLStatement(
                "select $1, $2, $3, $4, $5",
                .text(""),
                .body(Bytes([])),
                .bytes([]),
                .textArray([]),
                .byteaArray([])
            )
            return try #require(try await pool.query(statement, deadline: soon()).rows.first)
        }
        #expect((0..<5).allSatisfy { !row.isNull($0) })
        #expect(row.text(0) == "" && row.body(1)?.isEmpty == true && row.bytes(2) == [])
        #expect(row.textArray(3) == [] && row.byteaArray(4) == [])
    }

    @Test func `a NUL in a text is refused as the value's fault and never cut off`() async throws {
        let server = try await PostgresServer.shared()
        try await withPool(server.url()) { pool, _ in
            for value in [SQLValue.text("a\u{0}b"), .body(Bytes([0x61, 0, 0x62])), .body(Bytes([0xC3, 0x28]))] {
                let error = await failure {
                    _ = try await pool.query(SQLStatement("select $1", value), deadline: soon())
                }
                #expect(error?.sqlState == "22021" && error?.kind == .row && error?.blamesValues == true)
                #expect(error?.outcome == .notApplied)
            }
        }
    }

    @Test(arguments: [
        ("select 1.5::float4", 1.5), ("select 3::int2", 3), ("select 4::int4", 4), ("select 5::int8", 5),
    ])
    func `reads numbers`(_ sql: String, _ number: Double) async throws {
        let server = try await PostgresServer.shared()
        try await withPool(server.url()) { pool, _ in
            let row = try #require(try await pool.query(.reading(sql), deadline: soon()).rows.first)
            #expect(row.double(0) == number)
        }
    }

    @Test func `reads other texts, and answers nil for what it does not read`() async throws {
        let server = try await PostgresServer.shared()
        try await withPool(server.url()) { pool, _ in
            let sql = """
                select '00112233-4455-6677-8899-aabbccddeeff'::uuid, '{"b":1}'::json, '{"b":1}'::jsonb, 'x'::varchar,
                    'infinity'::timestamptz, 1.5::numeric as "Odd""Name", array['a', null]
                """
            let row = try #require(try await pool.query(.reading(sql), deadline: soon()).rows.first)
            #expect(row.text(0) == "00112233-4455-6677-8899-aabbccddeeff")
            #expect(row.text(1) == "{\"b\":1}" && row.text(2) == "{\"b\": 1}" && row.text(3) == "x")
            #expect(row.timestamp(4) == nil && !row.isNull(4))
            #expect(row.text(5) == nil && row.int(5) == nil && row.bytes(5) != nil)
            #expect(row.textArray(6) == nil)
            #expect(row.columnIndex(named: "Odd\"Name") == 5 && row.columnIndex(named: "odd\"name") == nil)
            #expect(row.text(99) == nil && row.isNull(-1))
        }
    }

    @Test func `a body outlives the result it points into`() async throws {
        let server = try await PostgresServer.shared()
        let body = try await withPool(server.url()) { pool, _ in
            let result = try await pool.query(.reading("select repeat('ab', 50000)"), deadline: soon())
            return try #require(result.rows.first?.body(0))
        }
        #expect(body.count == 100_000 && body.string()?.hasSuffix("abab") == true)
    }
}
