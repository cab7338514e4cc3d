// The one place where errors become outcomes. The README shows the same table.

import Basics
import Kafka
import PlaidAPI
import Postgres
import ReportStore
import WorkerKit

/// What went wrong with one step of an event.
enum StepFailure: Error {
    case plaid(PlaidFailure)
    case postgres(PostgresError)
    case store(StoreError)
    case kafka(KafkaError)
    /// No row names the user, and the id is not one that Plaid's calls take.
    case unknownUser
    /// The report carries nothing that identifies it.
    case unidentified
    /// Plaid's answer carries a report id that stands under another user: a mixed-up answer.
    case foreignReport
    case cancelled

    init(_ error: any Error) {
        self =
            switch error {
            case let failure as StepFailure: failure
            case let failure as PlaidFailure: .plaid(failure)
            case let error as PostgresError: .postgres(error)
            case let error as StoreError: .store(error)
            case let error as KafkaError: .kafka(error)
            default: .cancelled
            }
    }
}

/// Maps failures to outcomes. Time left, not counts, bounds repeats: past its deadline the runtime asks for `expire`.
struct OutcomeTable: Sendable {
    /// `NOT_READY_SCHEDULE`: when to look again after `PRODUCT_NOT_READY`; the last repeats.
    let notReadySchedule: [Duration]
    /// Institution and partner trouble lasts minutes to hours.
    static let slowRetry = Duration.seconds(60)
    /// How long all partitions pause on a fault that hits every event, before one event probes.
    static let globalPause = Duration.seconds(15)
    static let databasePause = Duration.seconds(2)

    /// - Parameter age: Since the receipt of the webhook: how far its schedule has come.
    func outcome(_ failure: StepFailure, age: Duration) -> Outcome {
        switch failure {
        case .plaid(let failure): plaid(failure, age: age)
        case .postgres(let error): postgres(error)
        case .store(let error) where error.isProgramFault:
            // A key that is not configured, or a library that fails: nothing is wrong with the event.
            .pauseAll(for: Self.globalPause, reason: "the database holds what this program cannot read: \(error)")
        // One row changed by other hands must not hold all others.
        case .store(let error): park("store", "unreadable_row", "\(error)")
        case .kafka(let error): kafka(error)
        case .unknownUser:
            park("user", "unknown_user", "no row names this user: checkctl users add, then replay")
        case .unidentified: park("report", "unidentified", "the report has no id and no time of generation")
        case .foreignReport: park("report", "foreign_report", "the report's id stands under another user")
        case .cancelled: .retry(after: .zero, reason: RetryReason("cancelled", costsAttempt: false))
        }
    }

    private func plaid(_ failure: PlaidFailure, age: Duration) -> Outcome {
        if failure.isCancelled { return .retry(after: .zero, reason: RetryReason("cancelled", costsAttempt: false)) }
        switch failure.class {
        case .retry(let slow):
            let isRateLimit = failure.status == 429
            let least = slow ? Self.slowRetry : nil
            return .retry(
                after: failure.retryAfter ?? least,
                reason: RetryReason(
                    isRateLimit ? "rate_limited" : slow ? "slow" : "transient",
                    costsAttempt: !isRateLimit
                )
            )
        case .retryAtOnceFresh: return .retry(after: .zero, reason: RetryReason("stale_connection"))
        case .wait:
            return .retry(after: notReadyGap(age), reason: RetryReason("not_ready", costsAttempt: false))
        case .regenerate where failure.isExpired: return .expired
        case .regenerate, .permanent:
            return park(
                failure.errorType ?? "answer",
                failure.errorCode ?? failure.status.map { "http_\($0)" } ?? "unusable",
                failure.message
            )
        case .global: return .pauseAll(for: Self.globalPause, reason: "Plaid refuses every call: \(failure.message)")
        }
    }

    /// The step of the schedule that an event of this age has reached; the last repeats.
    func notReadyGap(_ age: Duration) -> Duration {
        var reached = Duration.zero
        for gap in notReadySchedule {
            reached += gap
            if age < reached { return gap }
        }
        return notReadySchedule.last ?? Self.slowRetry
    }

    private func postgres(_ error: PostgresError) -> Outcome {
        switch error.kind {
        case .row, .unique: park("database", error.sqlState ?? "refused", "the database refuses these values: \(error)")
        case .lockOrSerialization, .cancelled, .deadline, .preparedStatement:
            .retry(after: nil, reason: RetryReason("database_busy", costsAttempt: false))
        default: .pauseAll(for: Self.databasePause, reason: "Postgres: \(error)")
        }
    }

    private func kafka(_ error: KafkaError) -> Outcome {
        error.code == .messageTooLarge || error.code == .invalidRequest
            ? park("kafka", error.name, "the announcement is refused: \(error)")
            : .retry(after: nil, reason: RetryReason("kafka", costsAttempt: false))
    }

    private func park(_ type: String, _ code: String, _ message: String) -> Outcome {
        .park(ParkReason(type: type, code: code, message: message))
    }
}
