// What can go wrong between the tables and this module, besides the database itself (a ``PostgresError``).

import Basics
package import Cryptography
import Postgres

/// A row that this module cannot use.
package enum StoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A column holds what this version cannot read: the schema or the data was changed by other hands.
    case unreadable(table: String, column: String)
    /// A sealed value names a key that is not configured: a fault of the program's settings, never of an event. Pause.
    case unknownKey(SealingKeyID, table: String, column: String)
    /// A sealed value does not open: altered, or copied from another row.
    case tampered(table: String, column: String)
    /// The cipher itself failed.
    case cipherFailed(table: String, column: String)

    /// True when the program, its settings or its library are to blame, so that every such value fails alike: pause.
    /// False when one row is: going on without it harms nobody else.
    package var isProgramFault: Bool {
        switch self {
        case .unknownKey, .cipherFailed: true
        case .unreadable, .tampered: false
        }
    }

    package var description: String {
        switch self {
        case .unreadable(let table, let column): "\(table).\(column) holds an unexpected value"
        case .unknownKey(let id, let table, let column): "\(table).\(column) is sealed with the unknown key \(id)"
        case .tampered(let table, let column): "\(table).\(column) is not what was sealed there"
        case .cipherFailed(let table, let column): "\(table).\(column) could not be opened: the cipher failed"
        }
    }
}

/// Reads columns by place and reports a missing one by its table and name.
struct RowReader {
    let row: SQLRow
    let table: String

    func text(_ place: Int, _ column: String) throws(StoreError) -> String { try need(row.text(place), column) }
    func int(_ place: Int, _ column: String) throws(StoreError) -> Int64 { try need(row.int(place), column) }
    func bool(_ place: Int, _ column: String) throws(StoreError) -> Bool { try need(row.bool(place), column) }
    func time(_ place: Int, _ column: String) throws(StoreError) -> Timestamp {
        try need(row.timestamp(place), column)
    }
    func bytes(_ place: Int, _ column: String) throws(StoreError) -> [UInt8] { try need(row.bytes(place), column) }
    func texts(_ place: Int, _ column: String) throws(StoreError) -> [String] { try need(row.textArray(place), column) }

    func need<Value>(_ value: Value?, _ column: String) throws(StoreError) -> Value {
        guard let value else { throw .unreadable(table: table, column: column) }
        return value
    }
}
