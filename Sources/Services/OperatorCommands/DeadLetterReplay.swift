// `checkctl dead-letters replay`: the original record again, to the retry topic of the group that gave it up.

import Basics
import Kafka
import PipelineEvents
import ReportStore
import ServiceKit

enum DeadLetterReplay {
    static let again = CommandFlag("again", help: "also those that were replayed before")
    static let dryRun = CommandFlag("dry-run", help: "show which it would be; change nothing")

    /// The wait for one record's acknowledgement.
    private static let publishLimit = Duration.seconds(20)

    static func run(_ invocation: CommandInvocation) async throws {
        let choice = try DeadLetterChoice(invocation)
        try await invocation.withDatabase { pool in
            let repository = DeadLetterRepository(pool: pool)
            let chosen = try await choice.find(repository, invocation)
            try refuse(chosen, again: invocation.arguments[again])
            if invocation.arguments[dryRun] { return invocation.output.print(DeadLetterCommands.table(chosen)) }
            var replayed = 0
            if !chosen.isEmpty {
                let topics = Set(chosen.map { retryTopic(of: $0.consumerGroup) }).sorted()
                replayed = try await invocation.withProducer(for: topics) { producer in
                    try await replay(chosen, repository, producer, invocation)
                }
            }
            invocation.output.print([
                ("replayed", .integer(Int64(replayed))), ("skipped", .integer(Int64(chosen.count - replayed))),
            ])
        }
    }

    /// Nothing is sent when one of the named ones should not be.
    private static func refuse(_ chosen: [DeadLetterSummary], again: Bool) throws {
        for letter in chosen {
            if letter.discardedAt != nil {
                throw ProgramFailure(.usage, "dead letter \(letter.id) was discarded; nothing was replayed")
            }
            if let time = letter.replayedAt, !again {
                throw ProgramFailure(
                    .usage,
                    "dead letter \(letter.id) was replayed at \(time.rfc3339) already; --again replays it once more"
                )
            }
        }
    }

    /// - Returns: How many were sent; the others were replayed or discarded by somebody else meanwhile.
    private static func replay(
        _ chosen: [DeadLetterSummary],
        _ repository: DeadLetterRepository,
        _ producer: Producer,
        _ invocation: CommandInvocation
    ) async throws -> Int {
        let progress = ProgressLine(what: "replaying", total: chosen.count)
        var replayed = 0
        for (index, summary) in chosen.enumerated() {
            do {
                if try await replay(summary, repository, producer, invocation) { replayed += 1 }
            } catch {
                progress.finish(at: index)
                let failure = ProgramFailure(reporting: error)
                throw ProgramFailure(
                    failure.code,
                    "\(replayed) of \(chosen.count) were replayed, then dead letter \(summary.id) failed: \(failure.message)"
                )
            }
            progress.advance(to: index + 1)
        }
        progress.finish(at: chosen.count)
        return replayed
    }

    /// The record first, the mark when the broker has it: a crash between the two replays once more, which the
    /// consumers absorb.
    private static func replay(
        _ chosen: DeadLetterSummary,
        _ repository: DeadLetterRepository,
        _ producer: Producer,
        _ invocation: CommandInvocation
    ) async throws -> Bool {
        guard let (now, letter) = try await repository.show(id: chosen.id, deadline: invocation.soon()),
            now.discardedAt == nil, now.replayedAt == chosen.replayedAt
        else { return false }
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
                topic: retryTopic(of: letter.consumerGroup),
                key: letter.key,
                value: letter.value,
                headers: headers.map { KafkaHeader(name: $0.name, value: $0.value) }
            ),
            deadline: invocation.soon(publishLimit)
        )
        _ = try await repository.markReplayed(id: chosen.id, deadline: invocation.soon())
        return true
    }

    /// The table keeps the group's id on the broker, prefix included.
    private static func retryTopic(of group: String) -> String { group + ".retry" }
}
