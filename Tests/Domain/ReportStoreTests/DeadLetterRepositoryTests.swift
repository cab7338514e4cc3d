import Basics
import Postgres
import ReportStore
import Testing

@Suite struct DeadLetterRepositoryTests {
    /// Repeats, a null, an empty value, bytes that are no text, and a name PostgreSQL cannot hold.
    private static let headers: [StoredHeader] = [
        (name: "x", value: [0xFF, 0x00, 0x80]), (name: "x", value: nil), (name: "", value: []),
        (name: "ce_id", value: Array("7".utf8)), (name: "a\u{0}b", value: [1]),
    ]

    private static func letter(
        offset: Int64 = 41,
        group: String = "base-report-consumer",
        key: [UInt8]? = Array("usr_1".utf8),
        value: Bytes = Bytes([0x00, 0xFF, 0x7B]),
        errorType: String = "INVALID_REQUEST"
    ) -> DeadLetter {
        DeadLetter(
            consumerGroup: group,
            topic: "plaid.webhooks.check-report",
            partition: 3,
            offset: offset,
            recordTime: moment(1),
            key: key,
            headers: headers,
            value: value,
            errorType: errorType,
            errorCode: "INVALID_FIELD",
            errorMessage: "refused\u{0}",
            attempts: 4,
            firstFailedAt: moment(2),
            failedAt: moment(3)
        )
    }

    private static func with(
        _ body: (DeadLetterRepository, TestDatabase) async throws -> Void
    ) async throws {
        try await TestDatabase.with { try await body(DeadLetterRepository(pool: $0.pool), $0) }
    }

    @Test func `keeps the record whole`() async throws {
        try await Self.with { letters, _ in
            #expect(try await letters.insert(Self.letter(), deadline: soon()))
            let listed = try await letters.list(DeadLetterFilter(), deadline: soon())
            let id = try #require(listed.first).id
            let (summary, shown) = try #require(try await letters.show(id: id, deadline: soon()))
            let original = Self.letter()
            #expect(summary == listed.first)
            #expect(summary.byteCount == 3)
            #expect(shown.topic == original.topic)
            #expect(shown.partition == 3)
            #expect(shown.offset == 41)
            #expect(shown.recordTime == original.recordTime)
            #expect(shown.key == original.key)
            #expect(shown.value == original.value)
            #expect(shown.headers.map(\.name) == ["x", "x", "", "ce_id", "a\u{FFFD}b"])
            #expect(shown.headers.map(\.value) == original.headers.map(\.value))
            #expect(shown.errorMessage == "refused\u{FFFD}")
            #expect(shown.attempts == 4)
            #expect(shown.firstFailedAt == moment(2))
            #expect(shown.failedAt == moment(3))
        }
    }

    @Test func `keeps a bare record too`() async throws {
        try await Self.with { letters, _ in
            var bare = Self.letter(key: nil, value: .empty)
            bare.headers = []
            try await letters.insert(bare, deadline: soon())
            let id = try #require(try await letters.list(DeadLetterFilter(), deadline: soon()).first).id
            let shown = try #require(try await letters.show(id: id, deadline: soon())).letter
            #expect(shown.key == nil)
            #expect(shown.headers.isEmpty)
            #expect(shown.value.isEmpty)
        }
    }

    @Test func `the same record of the same group is kept once`() async throws {
        try await Self.with { letters, database in
            let isNew = try await letters.insert(Self.letter(), deadline: soon())
            #expect(isNew)
            #expect(try await !letters.insert(Self.letter(errorType: "OTHER"), deadline: soon()))
            #expect(try await letters.insert(Self.letter(offset: 42), deadline: soon()))
            #expect(try await letters.insert(Self.letter(group: "income-insights-consumer"), deadline: soon()))
            #expect(try await database.count("dead_letters") == 3)
            #expect(
                try await letters.openCounts(deadline: soon())
                    == ["base-report-consumer": 2, "income-insights-consumer": 1]
            )
        }
    }

    @Test func `filters by group, error, key and standing, in pages from the newest`() async throws {
        try await Self.with { letters, _ in
            for offset in 1...6 {
                try await letters.insert(
                    Self.letter(
                        offset: Int64(offset),
                        group: offset > 4 ? "g2" : "g1",
                        key: Array("usr_\(offset % 2)".utf8),
                        errorType: offset == 1 ? "RARE" : "COMMON"
                    ),
                    deadline: soon()
                )
            }
            func offsets(_ filter: DeadLetterFilter) async throws -> [Int64] {
                try await letters.list(filter, deadline: soon()).map(\.offset)
            }
            #expect(try await offsets(DeadLetterFilter()) == [6, 5, 4, 3, 2, 1])
            #expect(try await offsets(DeadLetterFilter(consumerGroup: "g1")) == [4, 3, 2, 1])
            #expect(try await offsets(DeadLetterFilter(errorType: "RARE")) == [1])
            #expect(try await offsets(DeadLetterFilter(errorCode: "NONE")).isEmpty)
            #expect(try await offsets(DeadLetterFilter(key: Array("usr_1".utf8))) == [5, 3, 1])
            let page = try await letters.list(DeadLetterFilter(limit: 4), deadline: soon())
            #expect(page.map(\.offset) == [6, 5, 4, 3])
            #expect(try await offsets(DeadLetterFilter(beforeID: page[3].id)) == [2, 1])
        }
    }

    @Test func `a letter is replayed or discarded, not both`() async throws {
        try await Self.with { letters, _ in
            for offset in 1...3 { try await letters.insert(Self.letter(offset: Int64(offset)), deadline: soon()) }
            let ids = try await letters.list(DeadLetterFilter(), deadline: soon()).map(\.id)
            #expect(try await letters.markReplayed(id: ids[0], deadline: soon()))
            #expect(try await letters.markReplayed(id: ids[0], deadline: soon()))
            #expect(try await !letters.discard(id: ids[0], deadline: soon()))
            #expect(try await letters.discard(id: ids[1], deadline: soon()))
            #expect(try await !letters.markReplayed(id: ids[1], deadline: soon()))
            #expect(try await !letters.markReplayed(id: 999, deadline: soon()))
            #expect(try await letters.show(id: 999, deadline: soon()) == nil)

            func standing(_ standing: DeadLetterFilter.Standing) async throws -> [Int64] {
                try await letters.list(DeadLetterFilter(standing: standing), deadline: soon()).map(\.id)
            }
            #expect(try await standing(.open) == [ids[2]])
            #expect(try await standing(.replayed) == [ids[0]])
            #expect(try await standing(.discarded) == [ids[1]])
            #expect(try await standing(.any) == ids)
        }
    }
}
