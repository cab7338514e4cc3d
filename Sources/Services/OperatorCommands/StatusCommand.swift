// `checkctl status`: lag from Kafka, processes and work from Postgres, on one screen.

import Basics
import Kafka
import PipelineEvents
import PlaidAPI
import Postgres
import ReportStore
import ServiceKit

enum StatusCommand {
    static let command = Command(
        "status",
        summary: "shows lag, processes, requests and dead letters",
        settings: Setting.kafka + Setting.database + [Setting.plaidEnvironment],
        run: run
    )

    /// The groups whose programs exist.
    private static let groups: [ConsumerGroup] = ReportProduct.allCases.map { ConsumerGroup(fetching: $0) }

    struct GroupStatus {
        let group: ConsumerGroup
        /// Records after the committed offset; nil when Kafka was not reached.
        var lag: Int64?
        var workers: [(worker: WorkerRow, age: Duration)] = []
        var deadLetters = 0
    }

    private static func run(_ invocation: CommandInvocation) async throws {
        try await invocation.withDatabase { pool in
            let deadline = invocation.soon(.seconds(15))
            let workers = try await WorkerRepository(pool: pool).list(deadline: deadline)
            let letters = try await DeadLetterRepository(pool: pool).openCounts(deadline: deadline)
            let environment = invocation.settings.plaidEnvironment
            let requests = try await RequestRepository(pool: pool, environment: environment).counts(deadline: deadline)
            var statuses = groups.map { group in
                GroupStatus(
                    group: group,
                    workers: workers.filter { $0.worker.consumerGroup == group.rawValue },
                    deadLetters: letters[invocation.topics.groupID(group)] ?? 0
                )
            }
            var trouble: KafkaError?
            do {
                try await invocation.withAdmin { admin in
                    for index in statuses.indices {
                        statuses[index].lag = try await lag(of: statuses[index].group, invocation.topics, admin)
                    }
                }
            } catch let error as KafkaError {
                trouble = error
            }
            invocation.output.print(table(statuses))
            if invocation.output.format == .table {
                let counts = RequestState.allCases.map { "\($0.rawValue) \(requests[$0] ?? 0)" }.joined(separator: ", ")
                invocation.output.print(raw: Array("\nRequests: \(counts).\n".utf8))
            }
            if let trouble { throw trouble }
        }
    }

    /// Records that the group has still to finish, retry topic included.
    private static func lag(of group: ConsumerGroup, _ topics: Topics, _ admin: AdminClient) async throws -> Int64 {
        let described = try await admin.describe(
            topics: [topics.checkReport, topics.retry(group: group)],
            timeout: CommandInvocation.reachLimit
        )
        let partitions = described.flatMap { topic in
            topic.partitions.map { TopicPartition(topic: topic.name, partition: $0.id) }
        }
        async let marks = admin.watermarks(partitions, timeout: CommandInvocation.reachLimit)
        async let offsets = admin.committedOffsets(
            group: topics.groupID(group),
            partitions,
            timeout: CommandInvocation.reachLimit
        )
        let committed = try await offsets
        return try await marks.reduce(0) { sum, entry in
            // A group that has committed nothing yet begins at the earliest record.
            let position = (committed[entry.key] ?? nil) ?? entry.value.low
            return sum + max(0, entry.value.high - max(position, entry.value.low))
        }
    }

    private static func table(_ statuses: [GroupStatus]) -> OutputTable {
        var table = OutputTable(columns: [
            "group", "lag", "processes", "partitions", "in_flight", "oldest_event", "earliest_deadline", "paused_by",
            "dead_letters",
        ])
        for status in statuses {
            let workers = status.workers.map(\.worker)
            table.add([
                .text(status.group.rawValue), .optional(status.lag), .integer(Int64(workers.count)),
                .integer(Int64(workers.reduce(0) { $0 + $1.assignment.count })),
                .integer(Int64(workers.reduce(0) { $0 + $1.inFlight })),
                .optional(workers.compactMap(\.oldestEventAt).min()),
                .optional(workers.compactMap(\.earliestDeadline).min()),
                .list(Set(workers.flatMap(\.openBreakers)).sorted().map { .text($0) }),
                .integer(Int64(status.deadLetters)),
            ])
        }
        return table
    }
}
