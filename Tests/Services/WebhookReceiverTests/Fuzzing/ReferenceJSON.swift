// A second reader of JSON, slow and plain, written from RFC 8259 alone: what the fast one is compared with.

/// What a document is, as far as routing goes.
struct ReferenceJSON {
    indirect enum Value {
        case null, bool, number
        case string([UInt8])
        case array
        case object([(name: [UInt8], value: Value)])
    }

    /// Nil: not lawful.
    private(set) var root: Value?
    /// Lawful, and more than a reader must be able to read: lone surrogate escapes, numbers out of range, deep nesting.
    private(set) var isExtreme = false

    private var rest: ArraySlice<UInt8>
    private var depth = 0
    private static let ordinaryDepth = 100

    init(_ bytes: [UInt8]) {
        rest = bytes[...]
        if String(validating: bytes, as: UTF8.self) != nil { root = document() }
    }

    private mutating func document() -> Value? {
        guard let value = value() else { return nil }
        skipBlanks()
        return rest.isEmpty ? value : nil
    }

    private mutating func skipBlanks() { rest = rest.drop { [0x20, 0x09, 0x0A, 0x0D].contains($0) } }

    private mutating func take(_ text: String) -> Bool {
        guard rest.starts(with: text.utf8) else { return false }
        rest = rest.dropFirst(text.utf8.count)
        return true
    }

    private mutating func value() -> Value? {
        skipBlanks()
        switch rest.first {
        case UInt8(ascii: "{"): return object()
        case UInt8(ascii: "["): return array()
        case UInt8(ascii: "\""): return string().map { .string($0) }
        case UInt8(ascii: "n"): return take("null") ? .null : nil
        case UInt8(ascii: "t"): return take("true") ? .bool : nil
        case UInt8(ascii: "f"): return take("false") ? .bool : nil
        default: return number()
        }
    }

    private mutating func object() -> Value? {
        guard enter("{") else { return nil }
        defer { depth -= 1 }
        var members: [(name: [UInt8], value: Value)] = []
        skipBlanks()
        if take("}") { return .object([]) }
        while true {
            skipBlanks()
            guard let name = string() else { return nil }
            skipBlanks()
            guard take(":"), let value = value() else { return nil }
            members.append((name, value))
            skipBlanks()
            if take("}") { return .object(members) }
            guard take(",") else { return nil }
        }
    }

    private mutating func array() -> Value? {
        guard enter("[") else { return nil }
        defer { depth -= 1 }
        skipBlanks()
        if take("]") { return .array }
        while true {
            guard value() != nil else { return nil }
            skipBlanks()
            if take("]") { return .array }
            guard take(",") else { return nil }
        }
    }

    private mutating func enter(_ bracket: String) -> Bool {
        depth += 1
        if depth > Self.ordinaryDepth { isExtreme = true }
        return take(bracket)
    }

    private mutating func number() -> Value? {
        let start = rest
        _ = take("-")
        guard let first = rest.first, Self.isDigit(first) else { return nil }
        rest = first == UInt8(ascii: "0") ? rest.dropFirst() : rest.drop(while: Self.isDigit)
        var isWhole = true
        if take(".") {
            isWhole = false
            guard digits() else { return nil }
        }
        if take("e") || take("E") {
            isWhole = false
            if !take("+") { _ = take("-") }
            guard digits() else { return nil }
        }
        let text = String(decoding: start[..<rest.startIndex], as: UTF8.self)
        if isWhole ? Int64(text) == nil && UInt64(text) == nil : Double(text)?.isFinite != true { isExtreme = true }
        return .number
    }

    private mutating func digits() -> Bool {
        guard let first = rest.first, Self.isDigit(first) else { return false }
        rest = rest.drop(while: Self.isDigit)
        return true
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private mutating func string() -> [UInt8]? {
        guard take("\"") else { return nil }
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return text
            case ..<0x20: return nil
            case UInt8(ascii: "\\"):
                guard let escaped = escape() else { return nil }
                text += escaped
            default: text.append(byte)
            }
        }
        return nil
    }

    private mutating func escape() -> [UInt8]? {
        let plain: [UInt8: UInt8] = [
            UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "/"): 0x2F, UInt8(ascii: "b"): 0x08,
            UInt8(ascii: "f"): 0x0C, UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
        ]
        guard let kind = rest.popFirst() else { return nil }
        if let byte = plain[kind] { return [byte] }
        guard kind == UInt8(ascii: "u"), let first = unit() else { return nil }
        var scalar = first
        if (0xD800..<0xDC00).contains(first), rest.starts(with: Array("\\u".utf8)) {
            let before = rest
            rest = rest.dropFirst(2)
            guard let second = unit() else { return nil }
            if (0xDC00..<0xE000).contains(second) {
                scalar = 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
            } else {
                rest = before
            }
        }
        guard let found = Unicode.Scalar(scalar) else {
            isExtreme = true
            return []
        }
        return Array(String(Character(found)).utf8)
    }

    private mutating func unit() -> UInt32? {
        let digits = rest.prefix(4)
        guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
        rest = rest.dropFirst(4)
        return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
