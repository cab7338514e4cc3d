// A parsed document: the owner of the C handle, and the only file that calls the shim.

import Basics
import CSimdjson

/// Lives only inside ``withParsed(_:mending:_:)``; what is read from it is copied.
struct JSONDocument: ~Copyable {
    private let handle: OpaquePointer
    /// Whether a mended copy stands in for what was given.
    let isMended: Bool

    private init(handle: OpaquePointer, isMended: Bool) {
        self.handle = handle
        self.isMended = isMended
    }

    deinit { csimdjson_close(handle) }

    /// Parses and lends the document to `body`.
    ///
    /// - Parameters:
    ///   - padding: Bytes readable after the end; with 64 the input is not copied.
    ///   - mending: Read a lawful but unreadable document from a mended copy.
    static func withParsed<Result>(
        _ bytes: UnsafeRawBufferPointer,
        padding: Int,
        mending: Bool = false,
        _ body: (borrowing JSONDocument) throws(JSONRefusal) -> Result
    ) throws(JSONRefusal) -> Result {
        guard let base = bytes.baseAddress else { throw .notJSON(.empty) }
        var handle: OpaquePointer?
        var mended: Int32 = 0
        let status = csimdjson_open(
            base.assumingMemoryBound(to: UInt8.self),
            bytes.count,
            padding,
            mending ? 1 : 0,
            &mended,
            &handle
        )
        guard let handle else { throw refusal(csimdjson_status(rawValue: UInt32(status))) }
        return try body(JSONDocument(handle: handle, isMended: mended == 1))
    }

    static func withParsed<Result>(
        _ bytes: Bytes,
        mending: Bool = false,
        _ body: (borrowing JSONDocument) throws(JSONRefusal) -> Result
    ) throws(JSONRefusal) -> Result {
        let padding = bytes.readablePadding
        return try bytes.withUnsafeBytes { buffer throws(JSONRefusal) in
            try withParsed(buffer, padding: padding, mending: mending, body)
        }
    }

    /// The wanted members of the outermost object, in the order of `names`.
    func fields(_ names: NameList) throws(JSONRefusal) -> [RoutingField] {
        let fields = withUnsafeTemporaryAllocation(of: csimdjson_value.self, capacity: names.count) { values in
            let isObject = names.bytes.withUnsafeBufferPointer {
                csimdjson_fields(handle, $0.baseAddress, $0.count, values.baseAddress, values.count)
            }
            return isObject == 1 ? values.map(RoutingField.init) : nil
        }
        guard let fields else { throw .notJSON(.notAnObject) }
        return fields
    }

    func value(at path: NameList) -> RoutingField {
        var value = csimdjson_value()
        path.bytes.withUnsafeBufferPointer { csimdjson_find(handle, $0.baseAddress, $0.count, &value) }
        return RoutingField(value)
    }

    /// Whether an object with the string member `name` equal to `text` stands in the array at `path`.
    func lists(at path: NameList, name: [UInt8], text: [UInt8]) -> Bool {
        path.bytes.withUnsafeBufferPointer {
            csimdjson_lists(handle, $0.baseAddress, $0.count, name, name.count, text, text.count) == 1
        }
    }

    /// The whole tree, nested at most `levels` deep.
    func tree(levels: Int) throws(JSONRefusal) -> JSONValue {
        var first: UnsafePointer<csimdjson_value>?
        var count = 0
        guard csimdjson_tree(handle, levels, &first, &count) == 1 else { throw .tooDeep }
        return JSONValue(flattened: UnsafeBufferPointer(start: first, count: count))
    }

    static func hasNULEscape(_ bytes: Bytes) -> Bool {
        bytes.withUnsafeBytes {
            csimdjson_has_nul_escape($0.baseAddress?.assumingMemoryBound(to: UInt8.self), $0.count) == 1
        }
    }

    private static func refusal(_ status: csimdjson_status) -> JSONRefusal {
        switch status {
        case CSIMDJSON_EMPTY: .notJSON(.empty)
        case CSIMDJSON_NOT_UTF8: .notJSON(.encoding)
        case CSIMDJSON_UNCLOSED: .notJSON(.unclosedString)
        case CSIMDJSON_CONTROL: .notJSON(.controlCharacter)
        case CSIMDJSON_TOO_DEEP: .tooDeep
        case CSIMDJSON_UNREADABLE: .lawfulButUnreadable
        case CSIMDJSON_TOO_LARGE: .tooLarge
        case CSIMDJSON_NO_MEMORY: .outOfMemory
        default: .notJSON(.structure)
        }
    }
}

/// Member names as the shim takes them: each followed by a NUL. Names that hold a NUL cannot be asked for.
package struct NameList: Hashable, Sendable {
    let bytes: [UInt8]
    let count: Int

    /// - Parameter names: At most 16.
    package init(_ names: [String]) {
        precondition(names.count <= 16, "more names than one pass looks for")
        precondition(names.allSatisfy { !$0.utf8.contains(0) }, "a name with a NUL")
        bytes = names.flatMap { Array($0.utf8) + [0] }
        count = names.count
    }
}

extension csimdjson_value {
    /// The text of a string value. The parser has checked its encoding.
    var string: String {
        String(decoding: UnsafeRawBufferPointer(start: text, count: count), as: UTF8.self)
    }
}

extension RoutingField {
    init(_ value: csimdjson_value) {
        switch csimdjson_kind(rawValue: UInt32(value.kind)) {
        case CSIMDJSON_ABSENT: self = .absent
        case CSIMDJSON_STRING: self = .string(value.string)
        case CSIMDJSON_REPEATED: self = .repeated
        case CSIMDJSON_NULL: self = .other(.null)
        case CSIMDJSON_TRUE, CSIMDJSON_FALSE: self = .other(.bool)
        case CSIMDJSON_ARRAY: self = .other(.array)
        case CSIMDJSON_OBJECT: self = .other(.object)
        default: self = .other(.number)
        }
    }
}

extension JSONValue {
    /// Builds a tree from its document order, last value first, so that a container finds its children made.
    fileprivate init(flattened values: UnsafeBufferPointer<csimdjson_value>) {
        var made: [JSONValue] = []
        made.reserveCapacity(values.count)
        for value in values.reversed() {
            switch csimdjson_kind(rawValue: UInt32(value.kind)) {
            case CSIMDJSON_ARRAY:
                let elements = Array(made.suffix(value.count).reversed())
                made.removeLast(value.count)
                made.append(.array(elements))
            case CSIMDJSON_OBJECT:
                let members = Self.members(made.suffix(2 * value.count))
                made.removeLast(2 * value.count)
                made.append(.object(members))
            case CSIMDJSON_STRING: made.append(.string(value.string))
            case CSIMDJSON_TRUE: made.append(.bool(true))
            case CSIMDJSON_FALSE: made.append(.bool(false))
            case CSIMDJSON_SIGNED: made.append(.integer(value.integer))
            case CSIMDJSON_UNSIGNED: made.append(.unsigned(UInt64(bitPattern: value.integer)))
            case CSIMDJSON_DOUBLE: made.append(.double(value.number))
            default: made.append(.null)
            }
        }
        self = made.first ?? .null
    }

    /// The last of `parts` is the first member's name, its value stands before it, and so on.
    private static func members(_ parts: ArraySlice<JSONValue>) -> [JSONMember] {
        stride(from: parts.endIndex - 1, to: parts.startIndex, by: -2).map { index in
            JSONMember(key: parts[index].stringValue ?? "", value: parts[index - 1])
        }
    }
}
