// Which processes run, by their own word: each writes its row every few seconds.

package import Basics
package import Postgres

/// One running process.
package struct WorkerRow: Hashable, Sendable {
    /// Made anew at each start.
    package var id: String
    package var consumerGroup: String
    package var host: String
    package var processID: Int32
    package var version: String
    package var startedAt: Timestamp
    /// `topic:partition`
    package var assignment: [String]
    package var inFlight: Int
    /// Names of the endpoints whose breaker is open.
    package var openBreakers: [String]
    /// Receipt of the oldest event in hand.
    package var oldestEventAt: Timestamp?
    /// The first of the deadlines in hand.
    package var earliestDeadline: Timestamp?

    package init(
        id: String,
        consumerGroup: String,
        host: String,
        processID: Int32,
        version: String,
        startedAt: Timestamp,
        assignment: [String] = [],
        inFlight: Int = 0,
        openBreakers: [String] = [],
        oldestEventAt: Timestamp? = nil,
        earliestDeadline: Timestamp? = nil
    ) {
        self.id = id
        self.consumerGroup = consumerGroup
        self.host = host
        self.processID = processID
        self.version = version
        self.startedAt = startedAt
        self.assignment = assignment
        self.inFlight = inFlight
        self.openBreakers = openBreakers
        self.oldestEventAt = oldestEventAt
        self.earliestDeadline = earliestDeadline
    }
}

package struct WorkerRepository: Sendable {
    /// Three missed heartbeats.
    package static let liveWithin: Duration = .seconds(15)
    /// Rows of processes that ended without removing theirs are kept this long, for who looks after a crash.
    package static let keptFor: Duration = .seconds(24 * 60 * 60)

    let pool: PostgresPool

    package init(pool: PostgresPool) { self.pool = pool }

    /// Writes or renews a row. The time is the server's, so that hosts' clocks do not matter; rows that nobody renewed
    /// for ``keptFor`` are removed along the way.
    package func heartbeat(_ worker: WorkerRow, deadline: MonotonicInstant) async throws {
        let statement = SQLStatement(
            """
            with stale as (
                delete from workers where id in (
                    select id from workers where id <> $1 and heartbeat_at < now() - make_interval(secs => $12)
                       for update skip locked)
            )
            insert into workers (id, consumer_group, host, process_id, version, started_at, heartbeat_at, assignment,
                   in_flight, open_breakers, oldest_event_at, earliest_deadline)
            values ($1, $2, $3, $4, $5, $6, now(), $7, $8, $9, $10, $11)
            on conflict (id) do update
               set heartbeat_at = now(), assignment = excluded.assignment, in_flight = excluded.in_flight,
                   open_breakers = excluded.open_breakers, oldest_event_at = excluded.oldest_event_at,
                   earliest_deadline = excluded.earliest_deadline
            """,
            .text(worker.id),
            .text(worker.consumerGroup),
            .text(worker.host),
            .int4(worker.processID),
            .text(worker.version),
            .timestamp(worker.startedAt),
            .textArray(worker.assignment),
            .int4(Int32(clamping: worker.inFlight)),
            .textArray(worker.openBreakers),
            .optional(worker.oldestEventAt),
            .optional(worker.earliestDeadline),
            .float8(Self.keptFor.inSeconds)
        )
        _ = try await pool.query(statement, deadline: deadline)
    }

    /// Removes the row of a process that stops in order.
    package func remove(id: String, deadline: MonotonicInstant) async throws {
        _ = try await pool.query(SQLStatement("delete from workers where id = $1", .text(id)), deadline: deadline)
    }

    /// The processes heard of lately, by group and host, each with the age of its last heartbeat.
    ///
    /// - Parameter within: Use ``keptFor`` to see those that fell silent too.
    package func list(
        within: Duration = liveWithin,
        deadline: MonotonicInstant
    ) async throws -> [(worker: WorkerRow, age: Duration)] {
        let result = try await pool.query(
            .reading(
                """
                select id, consumer_group, host, process_id, version, started_at, assignment, in_flight, open_breakers,
                       oldest_event_at, earliest_deadline,
                       (extract(epoch from now() - heartbeat_at) * 1000)::int8
                  from workers where heartbeat_at > now() - make_interval(secs => $1)
                 order by consumer_group, host, process_id, id
                """,
                .float8(within.inSeconds)
            ),
            deadline: deadline
        )
        return try result.rows.map { row in
            let reader = RowReader(row: row, table: "workers")
            let worker = WorkerRow(
                id: try reader.text(0, "id"),
                consumerGroup: try reader.text(1, "consumer_group"),
                host: try reader.text(2, "host"),
                processID: Int32(truncatingIfNeeded: try reader.int(3, "process_id")),
                version: try reader.text(4, "version"),
                startedAt: try reader.time(5, "started_at"),
                assignment: try reader.texts(6, "assignment"),
                inFlight: Int(try reader.int(7, "in_flight")),
                openBreakers: try reader.texts(8, "open_breakers"),
                oldestEventAt: row.timestamp(9),
                earliestDeadline: row.timestamp(10)
            )
            return (worker, .milliseconds(max(0, try reader.int(11, "heartbeat_at"))))
        }
    }
}
