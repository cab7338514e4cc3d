// `checkctl topics`: makes the contract's topics where they are missing. Never fewer partitions, never a deletion.

import Basics
import Kafka
import PipelineEvents
import ServiceKit

enum TopicCommands {
    private static let partitions = CommandParameter<Int>.option(
        "partitions",
        .integer(1...1_000),
        default: "12",
        help: "partitions of each topic that is made"
    )
    private static let replication = CommandParameter<Int>.option(
        "replication",
        .integer(1...9),
        default: "3",
        help: "copies of each partition"
    )

    static let all = [
        Command(
            "topics plan",
            summary: "shows which topics are missing or differ",
            parameters: [partitions, replication],
            settings: Setting.kafka
        ) { invocation in
            try await invocation.withAdmin { admin in
                invocation.output.print(table(try await plan(invocation, admin)))
            }
        },
        Command(
            "topics apply",
            summary: "makes the missing topics",
            parameters: [partitions, replication],
            settings: Setting.kafka,
            run: apply
        ),
    ]

    struct Entry {
        enum Standing: Equatable {
            case missing
            case present
            case fewerPartitions(Int)
            case made
            case failed(String)

            var text: String {
                switch self {
                case .missing: "missing"
                case .present: "present"
                case .fewerPartitions(let found): "has \(found) partitions; left alone"
                case .made: "made"
                case .failed(let reason): "failed: \(reason)"
                }
            }
        }
        let plan: TopicPlan
        var standing: Standing
    }

    private static func plan(_ invocation: CommandInvocation, _ admin: AdminClient) async throws -> [Entry] {
        let wanted = invocation.topics.plan(
            partitions: invocation.arguments[partitions],
            replication: invocation.arguments[replication]
        )
        let found = try await admin.describe(topics: nil, timeout: CommandInvocation.reachLimit)
        let counts = Dictionary(found.map { ($0.name, $0.partitions.count) }) { first, _ in first }
        return wanted.map { plan in
            switch counts[plan.name] {
            case nil: Entry(plan: plan, standing: .missing)
            case let count? where count < plan.partitions: Entry(plan: plan, standing: .fewerPartitions(count))
            case .some: Entry(plan: plan, standing: .present)
            }
        }
    }

    private static func apply(_ invocation: CommandInvocation) async throws {
        try await invocation.withAdmin { admin in
            var entries = try await plan(invocation, admin)
            let missing = entries.filter { $0.standing == .missing }.map { entry in
                NewTopic(
                    name: entry.plan.name,
                    partitions: entry.plan.partitions,
                    replication: entry.plan.replication,
                    config: entry.plan.settings
                )
            }
            if !missing.isEmpty {
                let results = try await create(missing, admin)
                for index in entries.indices {
                    switch results[entries[index].plan.name] {
                    case .success: entries[index].standing = .made
                    // Made by somebody else a moment ago: what was wanted.
                    case .failure(let error) where error.code == .alreadyExists: entries[index].standing = .present
                    case .failure(let error): entries[index].standing = .failed(error.message)
                    case nil: break
                    }
                }
            }
            invocation.output.print(table(entries))
            let failed = entries.filter { if case .failed = $0.standing { true } else { false } }
            guard failed.isEmpty else {
                throw ProgramFailure(
                    .unavailable,
                    "\(failed.count) of \(entries.count) topics could not be made; on fewer brokers than --replication "
                        + "says it must be lower"
                )
            }
        }
    }

    /// The cluster has just been described, so a request for its controller that ends in silence means that there is
    /// none: librdkafka's mock cluster, or a cluster amid an election.
    private static func create(
        _ topics: [NewTopic],
        _ admin: AdminClient
    ) async throws -> [String: Result<Void, KafkaError>] {
        do {
            return try await admin.createTopics(topics)
        } catch let error as KafkaError where error.code == .timedOut {
            throw ProgramFailure(
                .unavailable,
                "Kafka answers, but its controller did not make the topics in time: checkctl topics plan shows what "
                    + "there is (the embedded broker has no controller and makes its topics itself)"
            )
        }
    }

    private static func table(_ entries: [Entry]) -> OutputTable {
        var table = OutputTable(columns: ["topic", "partitions", "replication", "retention_days", "state"])
        for entry in entries {
            let days = entry.plan.settings["retention.ms"].flatMap { Int64($0) }.map { $0 / 86_400_000 }
            table.add([
                .text(entry.plan.name), .integer(Int64(entry.plan.partitions)), .integer(Int64(entry.plan.replication)),
                .optional(days), .text(entry.standing.text),
            ])
        }
        return table
    }
}
