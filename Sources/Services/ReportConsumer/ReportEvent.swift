// What a record of a webhook topic asks of the consumer of one product. Decisions only.

import Basics
import JSON
import Kafka
import PipelineEvents
import PlaidAPI
import WorkerKit

/// One webhook as a report consumer sees it.
enum ReportEvent: Equatable {
    /// The product may be readable now.
    case fetch(userID: String)
    /// The product was not made: its request has failed, nothing is fetched. The error is the webhook's, if it says.
    case notMade(userID: String, failed: [String]?, error: PlaidErrorBody? = nil)
    /// Not this consumer's business: counted and passed, with a word for the metric.
    case pass(Pass)
    /// Wrong with the event itself.
    case broken(ParkReason)

    enum Pass: String, CaseIterable, Sendable {
        case otherType = "other_type"
        case otherCode = "other_code"
        case notListed = "not_listed"
    }

    /// Reads a record's value.
    ///
    /// - Parameters:
    ///   - expected: Plaid's names of the products to fetch when READY names none.
    static func read(
        _ value: Bytes,
        product: ReportProduct,
        environment: PlaidEnvironment,
        expected: [String]
    ) -> ReportEvent {
        let webhook: Webhook
        let signal: CheckReportSignal
        do {
            webhook = try Webhook.decode(value)
            guard webhook.belongs(to: environment) else { return otherEnvironment }
            guard webhook.type == "CHECK_REPORT" else { return .pass(.otherType) }
            signal = try CheckReportSignal.decode(value)
        } catch {
            return broken("unreadable", error.name, "the value is not a webhook: \(error.name)")
        }
        switch signal {
        case .ready(let successful, let failed):
            let hasFailed = failed?.contains(product.rawValue) == true
            let listed = successful.flatMap { $0.isEmpty ? nil : $0 } ?? expected
            guard hasFailed || listed.contains(product.rawValue) else { return .pass(.notListed) }
            guard let userID = webhook.userID else { return missingUser }
            return hasFailed ? .notMade(userID: userID, failed: [product.rawValue]) : .fetch(userID: userID)
        case .failed(let products):
            guard products.isEmpty || products.contains(product.rawValue) else { return .pass(.notListed) }
            guard let userID = webhook.userID else { return missingUser }
            return .notMade(
                userID: userID,
                failed: products.isEmpty ? nil : [product.rawValue],
                error: (try? JSON.parse(value))?["error"].flatMap { PlaidErrorBody($0) }
            )
        case .upgradeFailed, .unknown: return .pass(.otherCode)
        }
    }

    private static let otherEnvironment = broken(
        "environment",
        "other_environment",
        "the webhook belongs to another environment than ours"
    )
    private static let missingUser = broken("unreadable", "missing_field", "the webhook names no user")

    private static func broken(_ type: String, _ code: String, _ message: String) -> ReportEvent {
        .broken(ParkReason(type: type, code: code, message: message))
    }
}

/// Reads a record's envelope for the runtime, on the poll thread.
struct EnvelopeReader: Sendable {
    let product: ReportProduct
    let environment: PlaidEnvironment
    let expected: [String]
    let lifetime: Duration

    func describe(_ record: ConsumerRecord) -> EventRecord {
        let pairs = record.headers.map { HeaderPair(name: $0.name, value: $0.value) }
        let origin = RecordOrigin(
            topic: record.topic,
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp
        )
        let facts = WebhookEnvelope.read(pairs, origin: origin)
        return EventRecord(
            record: record,
            receivedAt: facts.receivedAt,
            lifetime: lifetime,
            mergeRule: mergeRule(record.value),
            earlierAttempts: FailureProvenance(pairs)?.attempts ?? 0
        )
    }

    /// READYs of one user merge: one fetch answers all that stood in the lane when it began. What is merely passed may
    /// be overtaken; everything else keeps its place.
    private func mergeRule(_ value: Bytes) -> MergeRule {
        switch ReportEvent.read(value, product: product, environment: environment, expected: expected) {
        case .fetch(let userID): .together(userID)
        case .pass: .overtakable
        case .notMade, .broken: .alone
        }
    }
}

extension EventRecord {
    var pairs: [HeaderPair] { headers.map { HeaderPair(name: $0.name, value: $0.value) } }

    var origin: RecordOrigin {
        RecordOrigin(
            topic: coordinates.topic,
            partition: coordinates.partition,
            offset: coordinates.offset,
            timestamp: recordedAt
        )
    }

    var webhookFacts: WebhookFacts { WebhookEnvelope.read(pairs, origin: origin) }
}
