// The one error of this module. Never carries data: no detail, no hint, no message about a value.

/// Why a database operation failed, and what is known of its effect.
package struct PostgresError: Error, Equatable, Sendable {
    /// The server's five characters; nil when libpq or this module failed without asking the server.
    package let sqlState: String?
    package let kind: SQLStateClass
    package var outcome: SQLOutcome
    /// One line without data: safe for logs.
    package let message: String
    package let constraint: String?
    package let table: String?
    package let column: String?

    package init(
        _ kind: SQLStateClass,
        outcome: SQLOutcome,
        message: String,
        sqlState: String? = nil,
        constraint: String? = nil,
        table: String? = nil,
        column: String? = nil
    ) {
        self.kind = kind
        self.outcome = outcome
        self.message = message
        self.sqlState = sqlState
        self.constraint = constraint
        self.table = table
        self.column = column
    }

    /// True when the very same operation can succeed later: nothing about its values or its SQL has to change.
    package var isRetriable: Bool {
        switch kind {
        case .row, .unique, .misuse, .corruption, .unknown, .closed: false
        default: true
        }
    }

    /// True when the values are to blame. Only such an error may ever become a dead letter.
    package var blamesValues: Bool { kind == .row || kind == .unique }

    func with(outcome: SQLOutcome) -> PostgresError {
        var copy = self
        copy.outcome = outcome
        return copy
    }
}

extension PostgresError: CustomStringConvertible {
    package var description: String {
        var text = "\(kind): \(message)"
        if let sqlState { text += " [\(sqlState)]" }
        switch outcome {
        case .notSent: return text + " (not sent)"
        case .notApplied: return text + " (not applied)"
        case .unknown: return text + " (outcome unknown)"
        }
    }
}

extension PostgresError {
    static func deadline(_ outcome: SQLOutcome) -> PostgresError {
        PostgresError(.deadline, outcome: outcome, message: "the caller's deadline passed")
    }

    static func lost(_ what: String, outcome: SQLOutcome) -> PostgresError {
        PostgresError(.connection, outcome: outcome, message: what)
    }

    static func closed(_ outcome: SQLOutcome = .notSent) -> PostgresError {
        PostgresError(.closed, outcome: outcome, message: "the pool is closed")
    }

    /// One line of at most 300 characters: server and library texts come with newlines.
    static func oneLine(_ text: String) -> String {
        let line = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return line.count <= 300 ? line : line.prefix(300) + "…"
    }
}
