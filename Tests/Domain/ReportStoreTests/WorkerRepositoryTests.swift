import Basics
import Postgres
import ReportStore
import Testing

@Suite struct WorkerRepositoryTests {
    private static func worker(_ id: String, group: String = "base-report-consumer") -> WorkerRow {
        WorkerRow(
            id: id,
            consumerGroup: group,
            host: "host-1",
            processID: 4711,
            version: "1.0.0",
            startedAt: moment(0),
            assignment: ["plaid.webhooks.check-report:3", "base-report-consumer.retry:0"],
            inFlight: 7,
            openBreakers: ["base_report"],
            oldestEventAt: moment(1),
            earliestDeadline: moment(86_401)
        )
    }

    @Test func `a process reads as it wrote itself, and a heartbeat renews it`() async throws {
        try await TestDatabase.with { database in
            let workers = WorkerRepository(pool: database.pool)
            var worker = Self.worker("w1")
            try await workers.heartbeat(worker, deadline: soon())
            #expect(try await workers.list(deadline: soon()).map(\.worker) == [worker])
            worker.inFlight = 0
            worker.assignment = []
            worker.openBreakers = []
            worker.oldestEventAt = nil
            worker.earliestDeadline = nil
            try await workers.heartbeat(worker, deadline: soon())
            let listed = try await workers.list(deadline: soon())
            #expect(listed.map(\.worker) == [worker])
            #expect(try #require(listed.first).age < WorkerRepository.liveWithin)
        }
    }

    @Test func `the silent are no longer live, and the long silent are forgotten`() async throws {
        try await TestDatabase.with { database in
            let workers = WorkerRepository(pool: database.pool)
            for id in ["live", "silent", "forgotten"] {
                try await workers.heartbeat(Self.worker(id), deadline: soon())
            }
            try await database.sql(
                """
                update workers set heartbeat_at = now() - interval '20 seconds' where id = 'silent';
                update workers set heartbeat_at = now() - interval '25 hours' where id = 'forgotten'
                """
            )
            #expect(try await workers.list(deadline: soon()).map(\.worker.id) == ["live"])
            let all = try await workers.list(within: WorkerRepository.keptFor, deadline: soon())
            #expect(all.map(\.worker.id) == ["live", "silent"])
            try await workers.heartbeat(Self.worker("live"), deadline: soon())
            #expect(try await database.sql("select id from workers order by id") == ["live", "silent"])
        }
    }

    @Test func `a process that stops in order leaves no row`() async throws {
        try await TestDatabase.with { database in
            let workers = WorkerRepository(pool: database.pool)
            try await workers.heartbeat(Self.worker("w1"), deadline: soon())
            try await workers.remove(id: "w1", deadline: soon())
            try await workers.remove(id: "w1", deadline: soon())
            #expect(try await workers.list(deadline: soon()).isEmpty)
        }
    }
}
