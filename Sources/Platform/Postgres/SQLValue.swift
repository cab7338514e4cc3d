// Statements and their parameters as values, free of libpq.

package import Basics

/// A parameter. All travel in binary format with their length, so nothing is cut at a NUL byte.
package enum SQLValue: Sendable {
    /// SQL NULL, of the type that the same parameter had when it was last not null, else of the server's choice.
    case null
    /// `text`. The server refuses a NUL character (22021, kind `row`).
    case text(String)
    /// `text` from bytes as they were received, without a copy. The server refuses NUL bytes and invalid UTF-8.
    case body(Bytes)
    case int4(Int32)
    case int8(Int64)
    case bool(Bool)
    /// `bytea`
    case bytes([UInt8])
    /// `bytea`, without a copy
    case bytea(Bytes)
    /// `timestamptz`, cut to whole microseconds (towards the past)
    case timestamp(Timestamp)
    /// `text[]`
    case textArray([String])
    /// `float8`
    case float8(Double)
    /// `bytea[]`, elements may be NULL
    case byteaArray([[UInt8]?])

    /// `.text`, or `.null` for nil.
    package static func optional(_ text: String?) -> SQLValue { text.map { .text($0) } ?? .null }
    /// `.int8`, or `.null` for nil.
    package static func optional(_ number: Int64?) -> SQLValue { number.map { .int8($0) } ?? .null }
    /// `.timestamp`, or `.null` for nil.
    package static func optional(_ time: Timestamp?) -> SQLValue { time.map { .timestamp($0) } ?? .null }
    /// `.bytes`, or `.null` for nil.
    package static func optional(_ bytes: [UInt8]?) -> SQLValue { bytes.map { .bytes($0) } ?? .null }
}

/// One SQL statement with numbered parameters `$1`, `$2`…, at most 1,000 of them.
///
/// Types are given to the server (`text`, `int8`…) and not guessed: write `$1::uuid` where a column is neither.
package struct SQLStatement: Sendable {
    package static let maxParameters = 1_000

    package let sql: String
    package let parameters: [SQLValue]
    /// A statement that changes nothing. It is repeated on another connection when one is lost, and the server is
    /// told to stop it when its caller has gone.
    package var isReading = false

    package init(_ sql: String, _ parameters: SQLValue...) {
        self.sql = sql
        self.parameters = parameters
    }

    package init(_ sql: String, parameters: [SQLValue]) {
        self.sql = sql
        self.parameters = parameters
    }

    /// A statement that the caller knows to change nothing: see ``isReading``.
    package static func reading(_ sql: String, _ parameters: SQLValue...) -> SQLStatement {
        var statement = SQLStatement(sql, parameters: parameters)
        statement.isReading = true
        return statement
    }

    /// Bytes that this statement puts on the wire, roughly: what lanes and buffers count.
    var byteCount: Int { parameters.reduce(sql.utf8.count) { $0 + $1.byteCount } }
}

extension SQLStatement: CustomStringConvertible, CustomReflectable {
    /// The SQL alone: parameters are ids of persons, reports and sealed tokens.
    package var description: String { "\(sql) with \(parameters.count) parameters" }
    package var customMirror: Mirror { Mirror(self, children: ["statement": description]) }
}

extension SQLValue {
    var byteCount: Int {
        switch self {
        case .null: 4
        case .bool: 5
        case .int4: 8
        case .int8, .float8, .timestamp: 12
        case .text(let text): text.utf8.count + 4
        case .body(let bytes), .bytea(let bytes): bytes.count + 4
        case .bytes(let bytes): bytes.count + 4
        case .textArray(let texts): texts.reduce(20) { $0 + $1.utf8.count + 4 }
        case .byteaArray(let elements): elements.reduce(20) { $0 + ($1?.count ?? 0) + 4 }
        }
    }
}

extension [SQLStatement] {
    /// Refuses what libpq would cut off or could not count.
    func checkBounds(maxBytes: Int) throws(PostgresError) {
        guard allSatisfy({ $0.parameters.count <= SQLStatement.maxParameters && !$0.sql.utf8.contains(0) }) else {
            throw PostgresError(.misuse, outcome: .notSent, message: "too many parameters, or a NUL in a statement")
        }
        guard reduce(0, { $0 + $1.byteCount }) <= maxBytes else {
            throw PostgresError(.row, outcome: .notSent, message: "the values are larger than \(maxBytes) bytes")
        }
    }
}
