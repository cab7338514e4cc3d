// `checkctl dead-letters`: what could not be handled, and sending it to its group again.

import Basics
import Kafka
import PipelineEvents
import ReportStore
import ServiceKit

enum DeadLetterCommands {
    private static let settings = Setting.database + [Setting.plaidEnvironment]
    private static let group = CommandParameter<String>.option("group", .text, help: "only this consumer group's")
        .optional
    private static let errorType = CommandParameter<String>.option("error-type", .text, help: "only this type").optional
    private static let errorCode = CommandParameter<String>.option("error-code", .text, help: "only this code").optional
    private static let user = CommandParameter<String>.option("user", .text, help: "only records keyed by this id")
        .optional
    private static let limit = CommandParameter<Int>.option(
        "limit",
        .integer(1...1_000),
        default: "100",
        help: "rows at most, the newest first"
    )
    private static let id = CommandParameter<Int>.argument(
        "ID",
        .integer(1...Int.max),
        help: "the dead letter's number"
    )
    private static let ids = CommandParameter<[Int]>.rest(
        "ID",
        .integer(1...Int.max),
        help: "the dead letters' numbers"
    )
    .optional
    private static let everything = CommandFlag("all", help: "also those replayed or discarded")
    private static let value = CommandFlag("value", help: "write the record's value as it is instead, nothing else")
    private static let matching = CommandFlag("all", help: "every open one that the filters name, instead of IDs")
    private static let dryRun = CommandFlag("dry-run", help: "show what would be replayed; change nothing")

    static let all = [
        Command(
            "dead-letters list",
            summary: "lists dead letters that were neither replayed nor discarded",
            parameters: [group, errorType, errorCode, user, limit],
            flags: [everything],
            settings: settings
        ) { invocation in
            try await invocation.withDatabase { pool in
                let page = try await DeadLetterRepository(pool: pool).list(
                    filter(invocation, standing: invocation.arguments[everything] ? .any : .open),
                    deadline: invocation.soon()
                )
                invocation.output.print(table(page))
            }
        },
        Command(
            "dead-letters show",
            summary: "shows one dead letter whole",
            parameters: [id],
            flags: [value],
            settings: settings,
            run: show
        ),
        Command(
            "dead-letters replay",
            summary: "sends dead letters to their group's retry topic",
            parameters: [group, errorType, errorCode, user, limit, ids],
            flags: [matching, dryRun],
            settings: settings + Setting.kafka,
            run: replay
        ),
    ]

    // MARK: Showing

    private static func show(_ invocation: CommandInvocation) async throws {
        try await invocation.withDatabase { pool in
            let number = Int64(invocation.arguments[id])
            guard
                let (summary, letter) = try await DeadLetterRepository(pool: pool).show(
                    id: number,
                    deadline: invocation.soon()
                )
            else {
                throw ProgramFailure(.usage, "there is no dead letter \(number); checkctl dead-letters list shows them")
            }
            if invocation.arguments[value] { return invocation.output.print(raw: letter.value.array) }
            let headers = letter.headers.map { header in
                OutputValue.text("\(header.name): \(visible(header.value))")
            }
            invocation.output.print([
                ("id", .integer(summary.id)), ("consumer_group", .text(letter.consumerGroup)),
                ("record", .text("\(letter.topic)/\(letter.partition)/\(letter.offset)")),
                ("record_time", .time(letter.recordTime)), ("key", .text(visible(letter.key))),
                ("error_type", .text(letter.errorType)), ("error_code", .optional(letter.errorCode)),
                ("error_message", .optional(letter.errorMessage)), ("attempts", .integer(Int64(letter.attempts))),
                ("first_failed_at", .time(letter.firstFailedAt)), ("failed_at", .time(letter.failedAt)),
                ("replayed_at", .optional(summary.replayedAt)), ("discarded_at", .optional(summary.discardedAt)),
                ("value_bytes", .integer(Int64(letter.value.count))), ("headers", .list(headers)),
            ])
        }
    }

    /// Text as it is, other bytes as hex; the signed token is a credential of nobody, yet long.
    private static func visible(_ bytes: [UInt8]?) -> String {
        guard let bytes else { return "-" }
        return String(validating: bytes, as: UTF8.self) ?? "0x\(Hex.encode(bytes))"
    }

    private static func filter(_ invocation: CommandInvocation, standing: DeadLetterFilter.Standing) -> DeadLetterFilter
    {
        DeadLetterFilter(
            consumerGroup: invocation.arguments[group],
            errorType: invocation.arguments[errorType],
            errorCode: invocation.arguments[errorCode],
            key: invocation.arguments[user].map { Array($0.utf8) },
            standing: standing,
            limit: invocation.arguments[limit]
        )
    }

    private static func table(_ letters: [DeadLetterSummary]) -> OutputTable {
        var table = OutputTable(columns: [
            "id", "consumer_group", "record", "error_type", "error_code", "attempts", "failed_at", "state",
        ])
        for letter in letters {
            let state = letter.discardedAt != nil ? "discarded" : letter.replayedAt != nil ? "replayed" : "open"
            table.add([
                .integer(letter.id), .text(letter.consumerGroup),
                .text("\(letter.topic)/\(letter.partition)/\(letter.offset)"), .text(letter.errorType),
                .optional(letter.errorCode), .integer(Int64(letter.attempts)), .time(letter.failedAt), .text(state),
            ])
        }
        return table
    }

    // MARK: Replaying

    private static func replay(_ invocation: CommandInvocation) async throws {
        try await invocation.withDatabase { pool in
            let repository = DeadLetterRepository(pool: pool)
            let chosen = try await choose(invocation, repository)
            if invocation.arguments[dryRun] || chosen.isEmpty { return invocation.output.print(table(chosen)) }
            try await invocation.withProducer { producer in
                let progress = ProgressLine(what: "replaying", total: chosen.count)
                var done = 0
                defer { progress.finish(at: done) }
                for summary in chosen {
                    try await replay(summary.id, repository, producer, invocation)
                    done += 1
                    progress.advance(to: done)
                }
            }
            invocation.output.print([("replayed", .integer(Int64(chosen.count)))])
        }
    }

    private static func choose(
        _ invocation: CommandInvocation,
        _ repository: DeadLetterRepository
    ) async throws -> [DeadLetterSummary] {
        let numbers = invocation.arguments[ids] ?? []
        if invocation.arguments[matching] {
            guard numbers.isEmpty else { throw UsageError("either IDs or --all, not both") }
            // The oldest first, as they came.
            return try await repository.list(filter(invocation, standing: .open), deadline: invocation.soon())
                .reversed()
        }
        guard !numbers.isEmpty else { throw UsageError("name dead letters by their IDs, or give --all") }
        var chosen: [DeadLetterSummary] = []
        for number in numbers {
            guard let (summary, _) = try await repository.show(id: Int64(number), deadline: invocation.soon()) else {
                throw ProgramFailure(.usage, "there is no dead letter \(number); nothing was replayed")
            }
            chosen.append(summary)
        }
        return chosen
    }

    /// The record first, the mark when the broker has it: a crash between the two replays once more, which the
    /// consumers absorb.
    private static func replay(
        _ number: Int64,
        _ repository: DeadLetterRepository,
        _ producer: Producer,
        _ invocation: CommandInvocation
    ) async throws {
        guard let (_, letter) = try await repository.show(id: number, deadline: invocation.soon()) else { return }
        let died = RecordOrigin(
            topic: letter.topic,
            partition: letter.partition,
            offset: letter.offset,
            timestamp: letter.recordTime
        )
        let headers = FailureProvenance.replayed(
            letter.headers.map { HeaderPair(name: $0.name, value: $0.value) },
            died: died
        )
        _ = try await producer.publish(
            ProducerRecord(
                topic: letter.consumerGroup + ".retry",
                key: letter.key,
                value: letter.value,
                headers: headers.map { KafkaHeader(name: $0.name, value: $0.value) }
            ),
            deadline: invocation.soon(.seconds(20))
        )
        _ = try await repository.markReplayed(id: number, deadline: invocation.soon())
    }
}
