// The one place where errors become outcomes. The README shows the same table.

import Basics
import HTTPClient
import JSON
import Kafka
import PlaidAPI
import Postgres
import ReportStore
import WorkerKit

/// What went wrong with one step of an event.
enum StepFailure: Error {
    case plaid(PlaidFailure)
    case postgres(PostgresError)
    /// The pool has no connection: whatever was asked ended with its deadline, and every other event's would too.
    case databaseAway
    case store(StoreError)
    case kafka(KafkaError)
    /// No row names the user, and the id is not one that Plaid's calls take.
    case unknownUser
    /// The report carries nothing that identifies it.
    case unidentified
    /// Plaid's answer carries a report id that stands under another user: a mixed-up answer.
    case foreignReport
    /// The threads for large bodies have no room.
    case busy
    /// The task was cancelled, or the partition given up.
    case cancelled

    init(_ error: any Error, databaseIsAvailable: Bool) {
        self =
            switch error {
            case let failure as StepFailure: failure
            case let failure as PlaidFailure: .plaid(failure)
            case let error as PostgresError where error.kind == .deadline && !databaseIsAvailable: .databaseAway
            case let error as PostgresError: .postgres(error)
            case let error as StoreError: .store(error)
            case let error as KafkaError: .kafka(error)
            case is LargeBodies.Refusal: .busy
            default: .cancelled
            }
    }
}

/// Why an event is tried again: a label of metrics and log lines.
enum RetryCause: String, CaseIterable {
    case rateLimited = "rate_limited"
    case transient
    case slow
    case staleConnection = "stale_connection"
    case notReady = "not_ready"
    case databaseBusy = "database_busy"
    case kafka
    case busy
    case cancelled

    /// What says nothing about the event costs it no attempt.
    var costsAttempt: Bool {
        switch self {
        case .transient, .slow, .staleConnection: true
        case .rateLimited, .notReady, .databaseBusy, .kafka, .busy, .cancelled: false
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
        case .databaseAway: .pauseAll(for: Self.databasePause, reason: "Postgres is away")
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
        case .busy: retry(.busy)
        case .cancelled: retry(.cancelled, after: .zero)
        }
    }

    private func plaid(_ failure: PlaidFailure, age: Duration) -> Outcome {
        if failure.isCancelled { return retry(.cancelled, after: .zero) }
        switch failure.class {
        case .retry where failure.status == 429: return retry(.rateLimited, after: failure.retryAfter)
        case .retry(let isSlow):
            return retry(
                isSlow ? .slow : .transient,
                after: isSlow ? max(failure.retryAfter ?? .zero, Self.slowRetry) : failure.retryAfter
            )
        case .retryAtOnceFresh: return retry(.staleConnection, after: .zero)
        case .wait: return retry(.notReady, after: max(failure.retryAfter ?? .zero, notReadyGap(age)))
        case .regenerate where failure.isExpired: return .expired
        case .regenerate, .permanent:
            return park(failure.shownType, failure.shownCode, failure.message)
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
        case .lockOrSerialization, .cancelled, .deadline, .preparedStatement: retry(.databaseBusy)
        case .connection, .readOnly, .misuse, .resources, .tooManyConnections, .credentials, .schema, .corruption,
            .unknown, .overloaded, .closed:
            .pauseAll(for: Self.databasePause, reason: "Postgres: \(error)")
        }
    }

    private func kafka(_ error: KafkaError) -> Outcome {
        switch error.code {
        case .messageTooLarge, .invalidRequest: park("kafka", error.name, "the announcement is refused: \(error)")
        // What no repeat of this event mends: rights, or a topic that nobody made.
        case .authentication, .authorization, .unknownTopic, .invalidConfiguration, .unsupported:
            .pauseAll(for: Self.globalPause, reason: "Kafka takes no announcement: \(error)")
        default: retry(.kafka)
        }
    }

    private func retry(_ cause: RetryCause, after: Duration? = nil) -> Outcome {
        .retry(after: after, reason: RetryReason(cause.rawValue, costsAttempt: cause.costsAttempt))
    }

    private func park(_ type: String, _ code: String, _ message: String) -> Outcome {
        .park(ParkReason(type: type, code: code, message: message))
    }
}

extension PlaidFailure {
    /// What operators read as `error_type`: Plaid's word, or where the failure lies.
    var shownType: String { errorType ?? (transport == nil ? "answer" : "transport") }

    /// What they read as `error_code`.
    var shownCode: String {
        if let errorCode { return errorCode }
        if let transport { return transport.kind.name }
        return status.map { $0 == 200 ? "unusable_report" : "http_\($0)" } ?? "unusable"
    }
}
