// Reading: a small document whole, or a few members of a large one.

package import Basics
import CSimdjson

/// Strict JSON (RFC 8259): the whole document is checked, whatever is read of it.
///
/// Nothing here suspends. A document over ``smallBytes`` is parsed on one of two seats (about 0.6 µs per KB, and
/// 2.5 times its length in memory): the call waits while both are taken, so make it on a thread of yours, or use
/// ``LargeBodies``.
package enum JSON {
    /// The parser library's version, for the start-up log.
    package static var libraryVersion: String { String(cString: csimdjson_version()) }
    /// Up to this length a parser kept by the thread is used.
    package static let smallBytes = Int(CSIMDJSON_SMALL_BYTES)
    package static let mostBytes = Int(CSIMDJSON_MOST_BYTES)
    /// Most levels of a document that is made into a tree; a document of which members are read may have 1,024.
    package static let mostTreeLevels = 256

    /// The whole document as a tree.
    package static func parse(_ bytes: Bytes) throws(JSONRefusal) -> JSONValue {
        try JSONDocument.withParsed(bytes) { document throws(JSONRefusal) in
            try document.tree(levels: mostTreeLevels)
        }
    }

    package static func parse(_ bytes: [UInt8]) throws(JSONRefusal) -> JSONValue {
        try parse(bytes.span)
    }

    package static func parse(_ bytes: Span<UInt8>) throws(JSONRefusal) -> JSONValue {
        try bytes.withUnsafeBufferPointer { buffer throws(JSONRefusal) in
            try JSONDocument.withParsed(UnsafeRawBufferPointer(buffer), padding: 0) { document throws(JSONRefusal) in
                try document.tree(levels: mostTreeLevels)
            }
        }
    }
}

/// One wanted member of an object.
package enum RoutingField: Hashable, Sendable {
    case absent
    case string(String)
    /// Present, and no string.
    case other(Kind)
    /// Present more than once: readers disagree about which one counts.
    case repeated

    package enum Kind: Hashable, Sendable {
        case null, bool, number, array, object
        /// A string with a lone surrogate escape in a lawful document.
        case unreadableString
    }

    package var stringValue: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }
}

extension JSON {
    /// The wanted members of the outermost object, found in one pass, each in the place of its name.
    ///
    /// The hot path: make the list of names once.
    package static func routingFields(_ body: Bytes, _ names: NameList) throws(JSONRefusal) -> [RoutingField] {
        try JSONDocument.withParsed(body) { document throws(JSONRefusal) in try document.fields(names) }
    }

    /// The same by name; absent members are left out.
    package static func routingFields(_ body: Bytes, names: [String]) throws(JSONRefusal) -> [String: RoutingField] {
        let fields = try routingFields(body, NameList(names))
        return Dictionary(zip(names, fields).filter { $0.1 != .absent }) { first, _ in first }
    }
}
