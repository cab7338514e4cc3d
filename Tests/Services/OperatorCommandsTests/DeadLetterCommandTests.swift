import Basics
import JSON
import Kafka
import PipelineEvents
import ReportStore
import ServiceKit
import TestSupport
import Testing

@testable import OperatorCommands

/// Keeps what a topic holds.
private final class TopicReader: ConsumerHandler {
    private let records = Locked<[ConsumerRecord]>([])
    private let count: Int
    private let complete = Promise<[ConsumerRecord]>()

    init(count: Int) { self.count = count }

    func received(_ record: ConsumerRecord) {
        let all = records.withLock { records in
            records.append(record)
            return records
        }
        if all.count == count { complete.resolve(.success(all)) }
    }

    func assigned(_ partitions: [TopicPartition], epoch: UInt64) {}
    func revoked(
        _ partitions: [TopicPartition],
        lost: Bool,
        wait: (_ until: MonotonicInstant, _ isDone: () -> Bool) -> Void
    ) -> [TopicPartition: Int64] { [:] }
    func commitCompleted(_ offsets: [TopicPartition: Int64], error: KafkaError?) {}
    func tick(_ now: MonotonicInstant) {}
    func consumerError(_ error: KafkaError) {}

    /// The first `count` records of a topic, in order of arrival.
    static func read(_ count: Int, of topic: String, from servers: String) async throws -> [ConsumerRecord] {
        let reader = TopicReader(count: count)
        let consumer = try Consumer(
            settings: KafkaSettings(bootstrapServers: servers, clientID: "test"),
            group: "reader-of-\(topic)",
            topics: [topic],
            tuning: .embedded,
            handler: reader
        )
        consumer.start()
        return try await closing({ consumer.close(until: MonotonicClock.system.now() + .seconds(10)) }) {
            let token = TimerQueue.shared.schedule(at: MonotonicClock.system.now() + .seconds(30)) {
                reader.complete.resolve(.failure(ProgramFailure(.unavailable, "no \(count) records in 30 s")))
            }
            defer { TimerQueue.shared.cancel(token) }
            return try await reader.complete.value()
        }
    }
}

private func letter(
    _ offset: Int64,
    group: String = "base-report-consumer",
    type: String = "plaid",
    code: String? = "INTERNAL_SERVER_ERROR",
    key: String? = "usr_1",
    headers: [StoredHeader] = [],
    failedAt: Timestamp = WallClock.system.now()
) -> DeadLetter {
    DeadLetter(
        consumerGroup: group,
        topic: "plaid.webhooks.check-report",
        partition: 3,
        offset: offset,
        recordTime: Timestamp(secondsSinceEpoch: 1_795_230_000),
        key: key.map { Array($0.utf8) },
        headers: headers,
        value: Bytes([0x00, 0xFF] + Array("value \(offset)".utf8)),
        errorType: type,
        errorCode: code,
        errorMessage: "words",
        attempts: 4,
        firstFailedAt: failedAt - .seconds(60),
        failedAt: failedAt
    )
}

@Suite struct DeadLetterCommandTests {
    private func person(with letters: [DeadLetter]) async throws -> Operator {
        let person = try await Operator.arrives()
        try await person.withPool { pool in
            for letter in letters {
                try await DeadLetterRepository(pool: pool).insert(letter, deadline: Operator.soon)
            }
        }
        return person
    }

    private func ids(_ outcome: Operator.Outcome) throws -> [Int64] {
        try JSON.parse(try outcome.succeeded().output).arrayValue?.compactMap { $0["id"]?.intValue } ?? []
    }

    @Test func `lists by filter, newest first, and shows one whole`() async throws {
        let old = WallClock.system.now() - .seconds(7_200)
        let person = try await person(with: [
            letter(1, failedAt: old), letter(2, group: "income-insights-consumer"), letter(3, type: "store", code: nil),
            letter(4, key: nil),
        ])
        let cases: [([String], [Int64])] = [
            ([], [4, 3, 2, 1]), (["--group", "base-report-consumer"], [4, 3, 1]), (["--error-type", "store"], [3]),
            (["--error-code", "INTERNAL_SERVER_ERROR"], [4, 2, 1]), (["--user", "usr_1"], [3, 2, 1]),
            (["--since", "1h"], [4, 3, 2]), (["--since", "3h"], [4, 3, 2, 1]), (["--limit", "2"], [4, 3]),
            (["--since", (old + .seconds(1)).rfc3339], [4, 3, 2]),
        ]
        for (filters, expected) in cases {
            let found = try ids(await person.runs(["dead-letters", "list", "--output", "json"] + filters))
            #expect(found == expected, "\(filters)")
        }
        let shown = try await person.runs("dead-letters", "show", "1", "--output", "json").succeeded()
        let json = try JSON.parse(shown.output)
        #expect(json["record"]?.stringValue == "plaid.webhooks.check-report/3/1")
        #expect(json["attempts"]?.intValue == 4)
        #expect(json["replayed_at"] == .null)
        let value = try await person.runs("dead-letters", "show", "1", "--value").succeeded()
        #expect(value.output == [0x00, 0xFF] + Array("value 1".utf8))
        let missing = await person.runs("dead-letters", "show", "99")
        #expect(missing.failure?.code == .usage)
        #expect(missing.failure?.message.contains("no dead letter 99") == true)
    }

    @Test func `replays key, value and headers to the group's retry topic, and marks what the broker has`()
        async throws
    {
        let cluster = try MockCluster()
        defer { cluster.close() }
        try cluster.createTopic("base-report-consumer.retry", partitions: 1)
        let headers: [StoredHeader] = [
            (HeaderName.id, Array("event-1".utf8)), ("odd", nil), ("odd", [0xFF, 0x00]),
            (HeaderName.attempts, Array("4".utf8)), (HeaderName.errorType, Array("plaid".utf8)),
        ]
        var person = try await person(with: (1...5).map { letter($0, headers: headers) })
        person.environment["KAFKA_BOOTSTRAP_SERVERS"] = cluster.bootstrapServers

        let dry = await person.runs("dead-letters", "replay", "--all", "--dry-run", "--output", "json")
        #expect(try ids(dry) == [1, 2, 3, 4, 5])
        #expect(try ids(await person.runs("dead-letters", "list", "--output", "json")).count == 5)

        let two = try await person.runs("dead-letters", "replay", "2", "1", "2", "--output", "json").succeeded()
        #expect(two.text == "{\"replayed\":2,\"skipped\":0}\n")
        let rest = try await person.runs("dead-letters", "replay", "--all", "--output", "json").succeeded()
        #expect(rest.text == "{\"replayed\":3,\"skipped\":0}\n")
        #expect(try ids(await person.runs("dead-letters", "list", "--output", "json")) == [])

        let records = try await TopicReader.read(
            5,
            of: "base-report-consumer.retry",
            from: cluster.bootstrapServers
        )
        // Named ones as named, the others as they came.
        #expect(records.map { $0.value.array.last } == Array("21345".utf8))
        let record = records[0]
        #expect(record.key == Array("usr_1".utf8))
        #expect(record.value.array == [0x00, 0xFF] + Array("value 2".utf8))
        let pairs = record.headers.map { HeaderPair(name: $0.name, value: $0.value) }
        #expect(HeaderPairs.text(HeaderName.id, in: pairs) == "event-1")
        #expect(pairs.filter { $0.name == "odd" }.map(\.value) == [nil, [0xFF, 0x00]])
        #expect(HeaderPairs.text(HeaderName.originalTopic, in: pairs) == "plaid.webhooks.check-report")
        #expect(HeaderPairs.integer(HeaderName.originalOffset, in: pairs) == 2)
        // Its tries begin anew.
        #expect(HeaderPairs.text(HeaderName.attempts, in: pairs) == nil)
        #expect(HeaderPairs.text(HeaderName.errorType, in: pairs) == nil)

        let twice = await person.runs("dead-letters", "replay", "1")
        #expect(twice.failure?.code == .usage)
        #expect(twice.failure?.message.contains("--again") == true)
        let again = try await person.runs("dead-letters", "replay", "1", "--again").succeeded()
        #expect(again.text.contains("replayed  1"))
    }

    @Test func `replays all of more than one page, the oldest first, up to the limit`() async throws {
        let cluster = try MockCluster()
        defer { cluster.close() }
        try cluster.createTopic("base-report-consumer.retry", partitions: 1)
        var person = try await Operator.arrives()
        person.environment["KAFKA_BOOTSTRAP_SERVERS"] = cluster.bootstrapServers
        _ = try await person.sql(
            """
            insert into dead_letters (consumer_group, topic, partition, "offset", record_time, key, headers, value,
                   error_type, attempts, first_failed_at, failed_at)
            select 'base-report-consumer', 't', 0, n, now(), null, '{}', 'v', 'store', 1, now(), now()
              from generate_series(1, 1205) n
            """
        )
        let dry = await person.runs("dead-letters", "replay", "--all", "--dry-run", "--output", "json")
        #expect(try ids(dry).count == 1_205)
        let some = try await person.runs("dead-letters", "replay", "--all", "--limit", "3").succeeded()
        #expect(some.text.contains("replayed  3"))
        #expect(
            try await person.sql("select id from dead_letters where replayed_at is not null order by id") == [
                "1", "2", "3",
            ]
        )
    }

    @Test func `sends nothing when Kafka is away or the topic is missing, and says what to do`() async throws {
        var person = try await person(with: [letter(1)])
        let away = await person.runs("dead-letters", "replay", "1")
        #expect(away.failure?.code == .unavailable)
        #expect(away.failure?.message.hasPrefix("Kafka cannot be reached at 127.0.0.1:1") == true)
        #expect(try ids(await person.runs("dead-letters", "list", "--output", "json")) == [1])
        let cluster = try MockCluster()
        defer { cluster.close() }
        try cluster.createTopic("another", partitions: 1)
        person.environment["KAFKA_BOOTSTRAP_SERVERS"] = cluster.bootstrapServers
        let ended = await person.runs("dead-letters", "replay", "1", "2")
        #expect(ended.failure?.message.contains("no dead letter 2; nothing was changed") == true)
    }

    @Test func `what was discarded is neither listed nor replayed, and what was replayed is not discarded`()
        async throws
    {
        let person = try await person(with: [letter(1), letter(2), letter(3)])
        _ = try await person.sql("update dead_letters set replayed_at = now() where id = 3")
        let discarded = try await person.runs("dead-letters", "discard", "1", "3", "--output", "json").succeeded()
        #expect(discarded.text == "{\"discarded\":1,\"skipped\":1}\n")
        #expect(try ids(await person.runs("dead-letters", "list", "--output", "json")) == [2])
        #expect(try ids(await person.runs("dead-letters", "list", "--all", "--output", "json")) == [3, 2, 1])
        let replay = await person.runs("dead-letters", "replay", "2", "1")
        #expect(replay.failure?.code == .usage)
        #expect(replay.failure?.message.contains("dead letter 1 was discarded; nothing was replayed") == true)
    }
}
