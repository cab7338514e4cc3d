// `checkctl status`: lag from Kafka, processes and work from Postgres, on one screen.

import Basics
import JSON
import Kafka
import PipelineEvents
import PlaidAPI
import Postgres
import ReportStore
import ServiceKit

enum StatusCommand {
    private static let byPartition = CommandFlag("partitions", help: "show each partition's lag instead")

    static let command = Command(
        "status",
        summary: "shows lag, processes, requests and dead letters",
        flags: [byPartition],
        settings: Setting.kafka + Setting.database + [Setting.plaidEnvironment],
        run: run
    )

    /// The groups whose programs exist.
    private static let groups: [ConsumerGroup] = ReportProduct.allCases.map { ConsumerGroup(fetching: $0) }

    /// One partition of a topic that a group reads.
    struct PartitionLag {
        let partition: TopicPartition
        /// The next offset the group would read; nil before its first commit.
        let committed: Int64?
        let low: Int64
        let high: Int64

        /// Records that the group has still to finish. One that has committed nothing begins at the earliest.
        var lag: Int64 { max(0, high - max(committed ?? low, low)) }
    }

    struct GroupStatus {
        let group: ConsumerGroup
        /// Nil when Kafka was not reached or does not have the group's topics.
        var partitions: [PartitionLag]?
        var workers: [WorkerRow] = []
        var deadLetters = 0

        var lag: Int64? { partitions?.reduce(0) { $0 + $1.lag } }
        var pausedBy: [String] { Set(workers.flatMap(\.openBreakers)).sorted() }

        /// The columns of ``table(_:)``, in its order.
        var values: [(String, OutputValue)] {
            [
                ("group", .text(group.rawValue)), ("lag", .optional(lag)),
                ("processes", .integer(Int64(workers.count))),
                ("partitions", .integer(Int64(workers.reduce(0) { $0 + $1.assignment.count }))),
                ("in_flight", .integer(Int64(workers.reduce(0) { $0 + $1.inFlight }))),
                ("oldest_event", .optional(workers.compactMap(\.oldestEventAt).min())),
                ("earliest_deadline", .optional(workers.compactMap(\.earliestDeadline).min())),
                ("paused_by", .list(pausedBy.map { .text($0) })), ("dead_letters", .integer(Int64(deadLetters))),
            ]
        }
    }

    private static func run(_ invocation: CommandInvocation) async throws {
        try await invocation.withDatabase { pool in
            let deadline = invocation.soon(.seconds(15))
            let workers = try await WorkerRepository(pool: pool).list(deadline: deadline).map(\.worker)
            let letters = try await DeadLetterRepository(pool: pool).openCounts(deadline: deadline)
            let environment = invocation.settings.plaidEnvironment
            let requests = try await RequestRepository(pool: pool, environment: environment).counts(deadline: deadline)
            var statuses = groups.map { group in
                GroupStatus(
                    group: group,
                    workers: workers.filter { $0.consumerGroup == group.rawValue },
                    deadLetters: letters[invocation.topics.groupID(group)] ?? 0
                )
            }
            var trouble: (any Error)?
            do {
                try await invocation.withAdmin { admin in
                    for index in statuses.indices {
                        statuses[index].partitions = try await lag(of: groups[index], invocation.topics, admin)
                    }
                }
            } catch {
                // What Postgres knows is shown all the same.
                trouble = error
            }
            show(statuses, requests, invocation)
            if let trouble { throw trouble }
            if statuses.contains(where: { $0.partitions == nil }) {
                throw ProgramFailure(.unavailable, "Kafka does not have all topics: run checkctl topics apply")
            }
        }
    }

    /// Webhook topic and retry topic; nil when one of them is missing.
    private static func lag(
        of group: ConsumerGroup,
        _ topics: Topics,
        _ admin: AdminClient
    ) async throws -> [PartitionLag]? {
        let wanted = [topics.checkReport, topics.retry(group: group)]
        let described = try await admin.describe(topics: wanted, timeout: CommandInvocation.reachLimit)
        guard Set(described.map(\.name)).isSuperset(of: wanted) else { return nil }
        let partitions = described.flatMap { topic in
            topic.partitions.map { TopicPartition(topic: topic.name, partition: $0.id) }
        }
        let marks = try await admin.watermarks(partitions, timeout: CommandInvocation.reachLimit)
        let committed = try await admin.committedOffsets(
            group: topics.groupID(group),
            partitions,
            timeout: CommandInvocation.reachLimit
        )
        return partitions.sorted().compactMap { partition in
            marks[partition].map { mark in
                PartitionLag(
                    partition: partition,
                    committed: committed[partition] ?? nil,
                    low: mark.low,
                    high: mark.high
                )
            }
        }
    }

    // MARK: Showing

    private static func show(
        _ statuses: [GroupStatus],
        _ requests: [RequestState: Int],
        _ invocation: CommandInvocation
    ) {
        if invocation.arguments[byPartition] { return invocation.output.print(partitionTable(statuses)) }
        let states = RequestState.allCases.map { ($0.rawValue, Int64(requests[$0] ?? 0)) }
        switch invocation.output.format {
        case .table:
            invocation.output.print(table(statuses))
            let counts = states.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
            invocation.output.print(raw: Array("\nRequests: \(counts).\n".utf8))
        case .json:
            let groups = statuses.map { status in
                JSONValue.object(status.values.map { JSONMember(key: $0.0, value: json($0.1)) })
            }
            let counts = states.map { JSONMember(key: $0.0, value: .integer($0.1)) }
            invocation.output.print(
                .object([
                    JSONMember(key: "groups", value: .array(groups)),
                    JSONMember(key: "requests", value: .object(counts)),
                ])
            )
        }
    }

    private static func table(_ statuses: [GroupStatus]) -> OutputTable {
        var table = OutputTable(columns: statuses.first?.values.map(\.0) ?? [])
        for status in statuses { table.add(status.values.map(\.1)) }
        return table
    }

    private static func partitionTable(_ statuses: [GroupStatus]) -> OutputTable {
        var table = OutputTable(columns: ["group", "topic", "partition", "committed", "end", "lag"])
        for status in statuses {
            for entry in status.partitions ?? [] {
                table.add([
                    .text(status.group.rawValue), .text(entry.partition.topic),
                    .integer(Int64(entry.partition.partition)), .optional(entry.committed), .integer(entry.high),
                    .integer(entry.lag),
                ])
            }
        }
        return table
    }

    private static func json(_ value: OutputValue) -> JSONValue {
        switch value {
        case .text(let text): .string(text)
        case .integer(let number): .integer(number)
        case .number(let number): .double(number)
        case .bool(let flag): .bool(flag)
        case .time(let time): .string(time.rfc3339)
        case .list(let values): .array(values.map(json))
        case .none: .null
        }
    }
}
