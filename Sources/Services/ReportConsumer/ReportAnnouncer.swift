// The announcement of stored reports on the product's topic.

import Basics
import Kafka
import PipelineEvents
import PlaidAPI
import ReportStore
import ServiceKit
import WorkerKit

/// Tells downstream that a report stands in the database.
protocol ReportAnnouncer: Sendable {
    /// Returns when the brokers have it. Repeats carry the same event id.
    func announce(_ report: StoredReportReference, cause: EventRecord) async throws
}

/// Announces through a Kafka producer.
struct TopicAnnouncer: ReportAnnouncer {
    let producer: Producer
    let environment: PlaidEnvironment
    let group: ConsumerGroup
    let topic: String

    func announce(_ report: StoredReportReference, cause: EventRecord) async throws {
        let event = ReportStored(
            userID: report.userID,
            product: report.product,
            reportID: report.reportID,
            generatedAt: report.generatedAtText,
            byteCount: report.byteCount,
            bodySHA256: report.bodySHA256,
            clientReportID: report.clientReportID,
            fraudAlert: report.fraudAlert
        )
        let headers = event.headers(
            environment: environment,
            group: group,
            fetchedAt: report.fetchedAt,
            traceParent: cause.webhookFacts.traceParent
        )
        _ = try await producer.publish(
            ProducerRecord(
                topic: topic,
                key: event.key,
                value: Bytes(event.json),
                headers: headers.map { KafkaHeader(name: $0.name, value: $0.value) }
            )
        )
    }
}

/// Where this group's dead letters go: its topic first, then the table.
struct GroupDeadLetters: DeadLetterSink {
    let producer: Producer
    let topic: String
    let repository: DeadLetterRepository
    let clock: MonotonicClock
    let metrics: ReportConsumerMetrics
    let logger: Logger

    private static let rowLimit = Duration.seconds(30)

    func publish(_ letter: WorkerKit.DeadLetter) async throws {
        try await telling("topic") { try await send(letter) }
    }

    func record(_ letter: WorkerKit.DeadLetter) async throws {
        try await telling("table") { try await insert(letter) }
    }

    /// The runtime repeats a failed step without a word: what fails here shows here.
    private func telling(_ place: String, _ step: () async throws -> Void) async throws {
        do {
            try await step()
        } catch {
            metrics.deadLetterFailed()
            logger.warning(
                "a dead letter could not be written",
                metadata: ["dead_letter.place": .string(place), "error.message": .string("\(error)")]
            )
            throw error
        }
    }

    private func send(_ letter: WorkerKit.DeadLetter) async throws {
        let pairs = provenance(letter).added(to: letter.event.pairs)
        _ = try await producer.publish(
            ProducerRecord(
                topic: topic,
                key: letter.event.key,
                value: letter.event.value,
                headers: pairs.map { KafkaHeader(name: $0.name, value: $0.value) }
            )
        )
    }

    private func insert(_ letter: WorkerKit.DeadLetter) async throws {
        _ = try await repository.insert(
            ReportStore.DeadLetter(
                consumerGroup: letter.group,
                topic: letter.event.coordinates.topic,
                partition: letter.event.coordinates.partition,
                offset: letter.event.coordinates.offset,
                recordTime: letter.event.recordedAt,
                key: letter.event.key,
                headers: letter.event.headers.map { StoredHeader(name: $0.name, value: $0.value) },
                value: letter.event.value,
                errorType: letter.reason.type,
                errorCode: letter.reason.code,
                errorMessage: letter.reason.message,
                attempts: max(1, letter.attempts),
                firstFailedAt: letter.firstFailedAt,
                failedAt: letter.failedAt
            ),
            deadline: clock.now() + Self.rowLimit
        )
    }

    private func provenance(_ letter: WorkerKit.DeadLetter) -> FailureProvenance {
        FailureProvenance(
            group: letter.group,
            original: letter.event.webhookFacts.original,
            attempts: max(1, letter.attempts),
            firstFailedAt: letter.firstFailedAt,
            lastFailedAt: letter.failedAt,
            errorType: letter.reason.type,
            errorCode: letter.reason.code,
            reason: letter.reason.message
        )
    }
}
