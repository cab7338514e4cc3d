// The shape of a request, and the check that is as strict as Plaid's.

import JSON

/// What a field may hold.
indirect enum FieldShape: Sendable {
    /// Text of a number of UTF-8 bytes.
    case text(ClosedRange<Int> = 0...10_000)
    case word([String])
    /// `http` or `https`.
    case url
    /// `YYYY-MM-DD`.
    case date
    case integer(ClosedRange<Int64>)
    case number
    case flag
    case array(of: FieldShape, atLeast: Int = 0, atMost: Int = 1_000)
    case object([Field])
    /// Not looked into.
    case anyObject
    case nullable(FieldShape)

    struct Field: Sendable {
        let name: String
        let shape: FieldShape
        let isRequired: Bool

        init(_ name: String, _ shape: FieldShape, required: Bool = false) {
            self.name = name
            self.shape = shape
            isRequired = required
        }
    }

    /// Refuses in Plaid's order: unknown fields, missing ones, then wrong values, each level before the next.
    static func check(_ value: JSONValue, _ fields: [Field], at path: String = "") throws(PlaidRefusal) {
        guard let members = value.objectValue else { throw wrong(path, "an object") }
        let known = Set(fields.map(\.name))
        let unknown = members.map(\.key).filter { !known.contains($0) }
        guard unknown.isEmpty else { throw .unknownFields(unknown.map { path + $0 }) }
        if value.hasDuplicateKeys { throw .invalidBody }
        let missing = fields.filter { $0.isRequired && value[$0.name] == nil }
        guard missing.isEmpty else { throw .missingFields(missing.map { path + $0.name }) }
        for field in fields {
            guard let member = value[field.name] else { continue }
            try field.shape.check(member, at: path + field.name)
        }
    }

    private func check(_ value: JSONValue, at path: String) throws(PlaidRefusal) {
        switch self {
        case .text(let length):
            guard let text = value.stringValue else { throw Self.wrong(path, "a string") }
            guard length.contains(text.utf8.count) else { throw Self.wrong(path, "a string of \(length) bytes") }
        case .word(let words):
            guard let text = value.stringValue, words.contains(text) else {
                throw Self.wrong(path, "one of \(words.prefix(12).joined(separator: ", "))")
            }
        case .url:
            guard let text = value.stringValue, text.hasPrefix("http://") || text.hasPrefix("https://") else {
                throw Self.wrong(path, "an http or https URL")
            }
        case .date:
            guard let text = value.stringValue, Self.isDate(text) else { throw Self.wrong(path, "YYYY-MM-DD") }
        case .integer(let range):
            guard let number = value.intValue, range.contains(number) else {
                throw Self.wrong(path, "an integer from \(range.lowerBound) to \(range.upperBound)")
            }
        case .number:
            switch value {
            case .integer, .unsigned, .double: break
            default: throw Self.wrong(path, "a number")
            }
        case .flag:
            guard value.boolValue != nil else { throw Self.wrong(path, "a boolean") }
        case .array(let shape, let least, let most):
            guard let elements = value.arrayValue else { throw Self.wrong(path, "an array") }
            guard (least...most).contains(elements.count) else {
                throw Self.wrong(path, "an array of \(least) to \(most) elements")
            }
            for (index, element) in elements.enumerated() { try shape.check(element, at: "\(path)[\(index)]") }
        case .object(let fields): try Self.check(value, fields, at: path + ".")
        case .anyObject:
            guard value.objectValue != nil else { throw Self.wrong(path, "an object") }
        case .nullable(let shape):
            if !value.isNull { try shape.check(value, at: path) }
        }
    }

    private static func wrong(_ path: String, _ wanted: String) -> PlaidRefusal {
        .invalidField(path.hasSuffix(".") ? String(path.dropLast()) : path, "must be \(wanted)")
    }

    private static func isDate(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count == 10
            && bytes.enumerated().allSatisfy { index, byte in
                index == 4 || index == 7
                    ? byte == UInt8(ascii: "-") : (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            }
    }
}
