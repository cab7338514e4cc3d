// The table of events that ended without success; the topic `<group>.dead-letters` holds the same.

package import Basics
package import Postgres

package struct DeadLetterRepository: Sendable {
    package static let maxListed = 1_000

    let pool: PostgresPool

    package init(pool: PostgresPool) { self.pool = pool }

    /// Keeps one dead letter. The same record of the same group is kept once, however often it is told.
    ///
    /// Text that PostgreSQL cannot hold (a NUL in a header's name) has U+FFFD in its place: a dead letter must not fail
    /// for what the broker allowed.
    ///
    /// - Returns: False when the row was there already.
    @discardableResult
    package func insert(_ letter: DeadLetter, deadline: MonotonicInstant) async throws -> Bool {
        let statement = SQLStatement(
            """
            insert into dead_letters (consumer_group, topic, partition, "offset", record_time, key, headers, value,
                   error_type, error_code, error_message, attempts, first_failed_at, failed_at)
            values ($1, $2, $3, $4, $5, $6,
                    array(select row (h.name, h.value)::record_header
                            from unnest($7::text[], $8::bytea[]) with ordinality as h (name, value, place)
                           order by h.place),
                    $9, $10, $11, $12, $13, $14, $15)
            on conflict (consumer_group, topic, partition, "offset") do nothing
            """,
            .text(letter.consumerGroup),
            .text(letter.topic),
            .int4(letter.partition),
            .int8(letter.offset),
            .timestamp(letter.recordTime),
            .optional(letter.key),
            .textArray(letter.headers.map { Self.storable($0.name) }),
            .byteaArray(letter.headers.map(\.value)),
            .bytea(letter.value),
            .text(Self.storable(letter.errorType)),
            .optional(letter.errorCode.map(Self.storable)),
            .optional(letter.errorMessage.map(Self.storable)),
            .int4(Int32(clamping: max(letter.attempts, 1))),
            .timestamp(letter.firstFailedAt),
            .timestamp(letter.failedAt)
        )
        let results = try await pool.write(
            [statement],
            sortKey: "\(letter.consumerGroup)/\(letter.topic)/\(letter.partition)/\(letter.offset)",
            byteCount: letter.value.count + letter.headers.reduce(1024) { $0 + ($1.value?.count ?? 0) },
            deadline: deadline
        )
        return results.first?.affected == 1
    }

    /// The newest first.
    package func list(_ filter: DeadLetterFilter, deadline: MonotonicInstant) async throws -> [DeadLetterSummary] {
        let standing =
            switch filter.standing {
            case .open: "and replayed_at is null and discarded_at is null"
            case .replayed: "and replayed_at is not null"
            case .discarded: "and discarded_at is not null"
            case .any: ""
            }
        let result = try await pool.query(
            .reading(
                """
                select \(Self.columns) from dead_letters
                 where ($1::text is null or consumer_group = $1)
                   and ($2::text is null or error_type = $2)
                   and ($3::text is null or error_code = $3)
                   and ($4::bytea is null or key = $4)
                   and ($5::int8 is null or id < $5)
                   and ($7::timestamptz is null or failed_at >= $7)
                   \(standing)
                 order by id desc limit $6
                """,
                .optional(filter.consumerGroup),
                .optional(filter.errorType),
                .optional(filter.errorCode),
                .optional(filter.key),
                .optional(filter.beforeID),
                .int8(Int64(min(max(filter.limit, 1), Self.maxListed))),
                .optional(filter.since)
            ),
            deadline: deadline
        )
        return try result.rows.map { try Self.summary($0) }
    }

    /// One dead letter whole, or nil.
    package func show(
        id: Int64,
        deadline: MonotonicInstant
    ) async throws -> (summary: DeadLetterSummary, letter: DeadLetter)? {
        let result = try await pool.query(
            .reading(
                """
                select \(Self.columns), record_time, value,
                       array(select h.name from unnest(headers) with ordinality as h (name, value, place)
                              order by h.place),
                       array(select h.value from unnest(headers) with ordinality as h (name, value, place)
                              order by h.place)
                  from dead_letters where id = $1
                """,
                .int8(id)
            ),
            deadline: deadline
        )
        guard let row = result.rows.first else { return nil }
        let summary = try Self.summary(row)
        let reader = RowReader(row: row, table: "dead_letters")
        let first = Self.columnCount
        let names = try reader.texts(first + 2, "headers")
        let values = try reader.need(row.byteaArray(first + 3), "headers")
        let letter = DeadLetter(
            consumerGroup: summary.consumerGroup,
            topic: summary.topic,
            partition: summary.partition,
            offset: summary.offset,
            recordTime: try reader.time(first, "record_time"),
            key: summary.key,
            headers: zip(names, values).map { (name: $0, value: $1) },
            value: try reader.need(row.body(first + 1), "value"),
            errorType: summary.errorType,
            errorCode: summary.errorCode,
            errorMessage: summary.errorMessage,
            attempts: summary.attempts,
            firstFailedAt: summary.firstFailedAt,
            failedAt: summary.failedAt
        )
        return (summary, letter)
    }

    /// Notes that the event was published to its retry topic. The time is the last replay's.
    ///
    /// - Returns: False when there is no such row or it was discarded.
    package func markReplayed(id: Int64, deadline: MonotonicInstant) async throws -> Bool {
        let result = try await pool.query(
            SQLStatement(
                "update dead_letters set replayed_at = now() where id = $1 and discarded_at is null",
                .int8(id)
            ),
            deadline: deadline
        )
        return result.affected == 1
    }

    /// Notes that nobody will replay it; the row stays for the record.
    ///
    /// - Returns: False when there is no such row or it was replayed.
    package func discard(id: Int64, deadline: MonotonicInstant) async throws -> Bool {
        let result = try await pool.query(
            SQLStatement(
                """
                update dead_letters set discarded_at = coalesce(discarded_at, now())
                 where id = $1 and replayed_at is null
                """,
                .int8(id)
            ),
            deadline: deadline
        )
        return result.affected == 1
    }

    /// How many are open, by group: for `checkctl status`.
    package func openCounts(deadline: MonotonicInstant) async throws -> [String: Int] {
        let result = try await pool.query(
            .reading(
                """
                select consumer_group, count(*) from dead_letters
                 where replayed_at is null and discarded_at is null group by consumer_group
                """
            ),
            deadline: deadline
        )
        var counts: [String: Int] = [:]
        for row in result.rows {
            let reader = RowReader(row: row, table: "dead_letters")
            counts[try reader.text(0, "consumer_group")] = Int(try reader.int(1, "count"))
        }
        return counts
    }

    private static func storable(_ text: String) -> String {
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { scalars.append(scalar == "\0" ? "\u{FFFD}" : scalar) }
        return String(scalars)
    }

    private static let columns = """
        id, consumer_group, topic, partition, "offset", key, error_type, error_code, error_message, attempts, \
        first_failed_at, failed_at, replayed_at, discarded_at, octet_length(value)
        """
    private static let columnCount = 15

    private static func summary(_ row: SQLRow) throws(StoreError) -> DeadLetterSummary {
        let reader = RowReader(row: row, table: "dead_letters")
        return DeadLetterSummary(
            id: try reader.int(0, "id"),
            consumerGroup: try reader.text(1, "consumer_group"),
            topic: try reader.text(2, "topic"),
            partition: try reader.need(Int32(exactly: try reader.int(3, "partition")), "partition"),
            offset: try reader.int(4, "offset"),
            key: row.bytes(5),
            errorType: try reader.text(6, "error_type"),
            errorCode: row.text(7),
            errorMessage: row.text(8),
            attempts: Int(try reader.int(9, "attempts")),
            firstFailedAt: try reader.time(10, "first_failed_at"),
            failedAt: try reader.time(11, "failed_at"),
            replayedAt: row.timestamp(12),
            discardedAt: row.timestamp(13),
            byteCount: Int(try reader.int(14, "value"))
        )
    }
}
