// Which exit code and which line an error means: one table for the start of every program and for every command.

import Basics
import HTTPClient
import HTTPServer
import Kafka
import PlaidAPI
import Postgres

extension ProgramFailure {
    /// Gives any error its exit code and its line; the line has no control characters.
    package init(reporting error: any Error) {
        let (code, message) = Self.classify(error)
        self.init(code, LineText.visible(message))
    }

    private static func classify(_ error: any Error) -> (ExitCode, String) {
        switch error {
        case let failure as ProgramFailure: (failure.code, failure.message)
        case let error as ConfigurationError: (.configuration, error.description)
        case let error as UsageError: (.usage, error.description + (error.hint.map { " (\($0))" } ?? ""))
        case let error as KafkaError: classify(error)
        case let error as PostgresError: classify(error)
        case let error as HTTPClientError: classify(error)
        case let failure as PlaidFailure: classify(failure)
        case let error as HTTPServerError: (error.code == .portTaken ? .unavailable : .configuration, "\(error)")
        case is CancellationError: (.internalError, "interrupted")
        default: (.internalError, "\(error)")
        }
    }

    private static func classify(_ error: KafkaError) -> (ExitCode, String) {
        switch error.code {
        case .invalidConfiguration: (.configuration, "KAFKA_CONFIG_FILE: \(error.message)")
        case .transport, .timedOut, .nameResolution, .tls, .authentication, .brokerFault, .leaderUnavailable,
            .coordinatorUnavailable:
            (.unavailable, "Kafka cannot be reached: \(error)")
        default: (.internalError, "Kafka: \(error)")
        }
    }

    private static func classify(_ error: PostgresError) -> (ExitCode, String) {
        switch error.kind {
        case .connection, .tooManyConnections, .credentials, .deadline:
            (.unavailable, "Postgres cannot be reached: \(error)")
        default: (.internalError, "Postgres: \(error)")
        }
    }

    /// Away is what gave no answer, or one that says "later"; any other refusal is for the command to explain.
    private static func classify(_ failure: PlaidFailure) -> (ExitCode, String) {
        let line = "Plaid: \(failure.message)"
        if let transport = failure.transport { return (classify(transport).0, line) }
        if case .retry = failure.class { return (.unavailable, line) }
        return (.internalError, line)
    }

    private static func classify(_ error: HTTPClientError) -> (ExitCode, String) {
        switch error.kind {
        case .nameResolution, .connect, .tls, .certificate, .timeout, .emptyAnswer, .cutAnswer:
            (.unavailable, "\(error)")
        case .local: (.configuration, "\(error)")
        default: (.internalError, "\(error)")
        }
    }
}
