// `checkctl dead-letters`: what could not be handled, to be looked at, replayed or put aside.

import Basics
import ReportStore
import ServiceKit

enum DeadLetterCommands {
    private static let settings = Setting.database + [Setting.plaidEnvironment]
    private static let limit = CommandParameter<Int>.option(
        "limit",
        .integer(1...DeadLetterRepository.maxListed),
        default: "100",
        help: "rows at most, the newest first"
    )
    private static let id = CommandParameter<Int>.argument(
        "ID",
        .integer(1...Int.max),
        help: "the dead letter's number"
    )
    private static let everything = CommandFlag("all", help: "also those replayed or discarded")
    private static let value = CommandFlag("value", help: "write the record's value as it is instead, nothing else")

    static let all = [
        Command(
            "dead-letters list",
            summary: "lists dead letters that were neither replayed nor discarded",
            parameters: DeadLetterChoice.filters + [limit],
            flags: [everything],
            settings: settings
        ) { invocation in
            var filter = DeadLetterChoice.filter(invocation)
            filter.standing = invocation.arguments[everything] ? .any : .open
            filter.limit = invocation.arguments[limit]
            try await invocation.withDatabase { pool in
                let page = try await DeadLetterRepository(pool: pool).list(filter, deadline: invocation.soon())
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
            parameters: DeadLetterChoice.parameters,
            flags: [DeadLetterChoice.matching, DeadLetterReplay.again, DeadLetterReplay.dryRun],
            settings: settings + Setting.kafka,
            run: DeadLetterReplay.run
        ),
        Command(
            "dead-letters discard",
            summary: "puts dead letters aside that nobody will replay; the rows stay",
            parameters: DeadLetterChoice.parameters,
            flags: [DeadLetterChoice.matching, DeadLetterReplay.dryRun],
            settings: settings,
            run: discard
        ),
    ]

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

    private static func discard(_ invocation: CommandInvocation) async throws {
        let choice = try DeadLetterChoice(invocation)
        try await invocation.withDatabase { pool in
            let repository = DeadLetterRepository(pool: pool)
            let chosen = try await choice.find(repository, invocation)
            if invocation.arguments[DeadLetterReplay.dryRun] { return invocation.output.print(table(chosen)) }
            var discarded: Int64 = 0
            for letter in chosen where try await repository.discard(id: letter.id, deadline: invocation.soon()) {
                discarded += 1
            }
            // What was replayed stays as it is.
            invocation.output.print([
                ("discarded", .integer(discarded)), ("skipped", .integer(Int64(chosen.count) - discarded)),
            ])
        }
    }

    /// Text as it is, other bytes as hex.
    private static func visible(_ bytes: [UInt8]?) -> String {
        guard let bytes else { return "-" }
        return String(validating: bytes, as: UTF8.self) ?? "0x\(Hex.encode(bytes))"
    }

    static func table(_ letters: [DeadLetterSummary]) -> OutputTable {
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
}
