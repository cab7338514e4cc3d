// The prepared statements of one connection.

/// Names for statements, by text and parameter types.
///
/// A NULL has no type of its own: it takes the type that the same place had before, so that a statement with optional
/// parameters settles on one name.
struct StatementCache {
    /// More different statements than this travel unprepared: our own set is far smaller.
    static let maxNames = 256

    struct Plan: Equatable {
        /// Nil: send it unprepared.
        var name: String?
        var isNew: Bool
        var types: [UInt32]
    }
    private struct Key: Hashable {
        let sql: String
        let types: [UInt32]
    }

    private var names: [Key: String] = [:]
    private var keys: [String: Key] = [:]
    private var knownTypes: [String: [UInt32]] = [:]
    private var nextName = 0
    private let isEnabled: Bool

    init(isEnabled: Bool) { self.isEnabled = isEnabled }

    var count: Int { names.count }

    /// How to send `statement`. A new name counts as prepared from here on; ``forget(_:)`` it when that fails.
    mutating func plan(_ statement: SQLStatement) -> Plan {
        let known = knownTypes[statement.sql]
        let types = statement.parameters.enumerated().map { index, value in
            value.typeOID ?? known.flatMap { index < $0.count ? $0[index] : nil } ?? TypeOID.unspecified
        }
        guard isEnabled else { return Plan(name: nil, isNew: false, types: types) }
        let key = Key(sql: statement.sql, types: types)
        if let name = names[key] { return Plan(name: name, isNew: false, types: types) }
        guard names.count < StatementCache.maxNames else { return Plan(name: nil, isNew: false, types: types) }
        nextName += 1
        let name = "s\(nextName)"
        names[key] = name
        keys[name] = key
        knownTypes[statement.sql] = types
        return Plan(name: name, isNew: true, types: types)
    }

    /// The server does not have this name.
    mutating func forget(_ name: String) {
        if let key = keys.removeValue(forKey: name) { names[key] = nil }
    }

    /// The server's statements are gone or of no use; new names from here on, since old ones may still exist.
    mutating func forgetAll() {
        names = [:]
        keys = [:]
    }
}
