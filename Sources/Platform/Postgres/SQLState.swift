// What a five-character SQLSTATE means for the caller: one table, which the tests walk.

/// Whether the operation that failed can have changed the database.
package enum SQLOutcome: Sendable, Equatable {
    /// Nothing was sent.
    case notSent
    /// It was sent and has certainly not been applied.
    case notApplied
    /// It was sent and may or may not be applied: only repeating it, idempotently, settles that.
    case unknown
}

/// What kind of thing is wrong, which decides what a caller does. Only ``row`` and ``unique`` blame the values.
package enum SQLStateClass: Sendable, Equatable, CaseIterable {
    /// Lost, refused, shutting down or starting: reconnect, repeat elsewhere.
    case connection
    /// The statement was stopped, by `statement_timeout` or by a cancel: later again.
    case cancelled
    /// A lock wait, a serialization failure, a deadlock: the whole transaction again.
    case lockOrSerialization
    /// We talk to a standby: all connections are thrown away and found anew.
    case readOnly
    /// A bug of ours in the order of calls.
    case misuse
    /// A prepared name the server lost, has already, or cannot use since the schema changed: prepare again, once.
    case preparedStatement
    /// Disk, memory, limits of the server: wait, alarm.
    case resources
    /// The server has no connection left for us: keep the smaller pool.
    case tooManyConnections
    /// The server refuses these values, now and always.
    case row
    /// A unique, foreign-key or exclusion constraint that the statement does not name.
    case unique
    /// Credentials, database, rights: not ready until an operator acts.
    case credentials
    /// The schema is not the one we know: not migrated, or a bug.
    case schema
    /// Corruption or I/O errors of the server: stop, alarm.
    case corruption
    /// No row of the table fits.
    case unknown
    /// Ours: the caller's deadline passed.
    case deadline
    /// Ours: the waiting list is full.
    case overloaded
    /// Ours: the pool or session was closed.
    case closed
}

extension SQLStateClass {
    /// One row of the table: a whole SQLSTATE, or the two characters of a class.
    package struct Row: Sendable {
        package let pattern: String
        package let kind: SQLStateClass
        /// What is known after an error of this kind while the connection lives.
        package let outcome: SQLOutcome
    }

    /// Rows with five characters decide before rows with two.
    package static let table: [Row] = [
        row("08", .connection, .unknown),
        row("57P01", .connection, .unknown),  // admin_shutdown
        row("57P02", .connection, .unknown),  // crash_shutdown
        row("57P03", .connection, .unknown),  // cannot_connect_now
        row("57P05", .connection, .unknown),  // idle_session_timeout
        row("57", .cancelled), row("57014", .cancelled),
        row("57P04", .credentials),  // database_dropped
        row("55P03", .lockOrSerialization), row("40", .lockOrSerialization), row("40001", .lockOrSerialization),
        row("40P01", .lockOrSerialization), row("72000", .lockOrSerialization),
        row("40003", .lockOrSerialization, .unknown),  // statement_completion_unknown
        row("25006", .readOnly),
        row("25", .misuse), row("25P02", .misuse), row("25P03", .misuse), row("2D", .misuse), row("3B", .misuse),
        row("34", .misuse), row("21", .misuse),
        row("26000", .preparedStatement), row("42P05", .preparedStatement), row("0A000", .preparedStatement),
        row("53", .resources), row("53100", .resources), row("53200", .resources), row("53400", .resources),
        row("53300", .tooManyConnections),
        row("22", .row), row("22021", .row), row("22P02", .row), row("22P05", .row), row("22003", .row),
        row("22001", .row), row("54000", .row), row("54001", .row), row("23", .row), row("23502", .row),
        row("23514", .row), row("44", .row),
        row("23505", .unique), row("23503", .unique), row("23P01", .unique),
        row("28", .credentials), row("3D000", .credentials), row("42501", .credentials),
        row("42", .schema), row("42P01", .schema), row("42703", .schema), row("42883", .schema), row("3F", .schema),
        row("54", .schema),
        row("XX", .corruption), row("58", .corruption), row("F0", .corruption),
    ]

    /// The row for a SQLSTATE, or nil when none fits.
    package static func lookUp(_ sqlState: String) -> Row? {
        byPattern[sqlState] ?? byPattern[String(sqlState.prefix(2))]
    }

    private static let byPattern = Dictionary(table.map { ($0.pattern, $0) }) { first, _ in first }

    private static func row(_ pattern: String, _ kind: SQLStateClass, _ outcome: SQLOutcome = .notApplied) -> Row {
        Row(pattern: pattern, kind: kind, outcome: outcome)
    }

    /// Whether the server's primary message may be shown. Those about values, and those that procedures write,
    /// may quote what was stored.
    var showsServerMessage: Bool {
        switch self {
        case .row, .unique, .unknown: false
        default: true
        }
    }
}
