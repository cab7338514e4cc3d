// Writing JSON: a push writer over one byte buffer, compact or in Plaid's own two-space layout.

/// Writes one document.
///
/// ```
/// var writer = JSONWriter()
/// writer.object { writer in
///     writer.field("user_id", "usr_1")
///     writer.array("items") { writer in writer.value("a") }
/// }
/// ```
/// Text is written as UTF-8; only what JSON demands is escaped. Members stand in the order written; the writer does
/// not look for repeats.
package struct JSONWriter: Sendable {
    /// The document so far.
    package private(set) var bytes: [UInt8] = []
    private let isPretty: Bool
    private var depth = 0
    /// Whether the next element or member is the first of its container.
    private var isFirst = true
    private var isAfterName = false

    /// - Parameter pretty: Members and elements on lines of their own, two spaces a level, `"name": value`, empty
    ///   containers as `{}` and `[]`, no line end after the document.
    package init(pretty: Bool = false) { isPretty = pretty }

    // MARK: containers

    package mutating func object(_ body: (inout JSONWriter) -> Void) {
        container(UInt8(ascii: "{"), UInt8(ascii: "}"), body)
    }

    package mutating func array(_ body: (inout JSONWriter) -> Void) {
        container(UInt8(ascii: "["), UInt8(ascii: "]"), body)
    }

    package mutating func object(_ name: String, _ body: (inout JSONWriter) -> Void) {
        self.name(name)
        object(body)
    }

    package mutating func array(_ name: String, _ body: (inout JSONWriter) -> Void) {
        self.name(name)
        array(body)
    }

    // MARK: members

    package mutating func field(_ name: String, _ text: String) {
        self.name(name)
        value(text)
    }

    package mutating func field(_ name: String, _ number: some BinaryInteger) {
        self.name(name)
        value(number)
    }

    package mutating func field(_ name: String, _ flag: Bool) {
        self.name(name)
        value(flag)
    }

    package mutating func field(_ name: String, _ value: JSONValue) {
        self.name(name)
        self.value(value)
    }

    /// Nil is written as null.
    package mutating func field(_ name: String, orNull text: String?) {
        self.name(name)
        if let text { value(text) } else { null() }
    }

    /// Nil is left out.
    package mutating func field(_ name: String, ifPresent text: String?) {
        if let text { field(name, text) }
    }

    // MARK: values

    package mutating func null() {
        startValue()
        append("null")
    }

    package mutating func value(_ flag: Bool) {
        startValue()
        append(flag ? "true" : "false")
    }

    package mutating func value(_ number: some BinaryInteger) {
        startValue()
        append(number.description)
    }

    /// The shortest text that reads back as the same number. JSON has no infinities: those become null.
    package mutating func value(_ number: Double) {
        startValue()
        append(number.isFinite ? number.description : "null")
    }

    package mutating func value(_ text: String) {
        startValue()
        quoted(text)
    }

    package mutating func value(_ value: JSONValue) {
        switch value {
        case .null: null()
        case .bool(let flag): self.value(flag)
        case .integer(let number): self.value(number)
        case .unsigned(let number): self.value(number)
        case .double(let number): self.value(number)
        case .string(let text): self.value(text)
        case .array(let elements): array { writer in for element in elements { writer.value(element) } }
        case .object(let members):
            object { writer in for member in members { writer.field(member.key, member.value) } }
        }
    }

    /// Places text that is JSON already; it is not checked.
    package mutating func raw(_ json: [UInt8]) {
        startValue()
        bytes.append(contentsOf: json)
    }

    package mutating func name(_ name: String) {
        separate()
        quoted(name)
        bytes.append(UInt8(ascii: ":"))
        if isPretty { bytes.append(UInt8(ascii: " ")) }
        isAfterName = true
    }

    // MARK: layout

    private mutating func container(_ open: UInt8, _ close: UInt8, _ body: (inout JSONWriter) -> Void) {
        startValue()
        bytes.append(open)
        depth += 1
        isFirst = true
        body(&self)
        depth -= 1
        if !isFirst { breakLine() }
        bytes.append(close)
        isFirst = false
    }

    private mutating func startValue() {
        if isAfterName { isAfterName = false } else { separate() }
    }

    private mutating func separate() {
        guard depth > 0 else { return }
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
        breakLine()
    }

    private mutating func breakLine() {
        guard isPretty else { return }
        bytes.append(UInt8(ascii: "\n"))
        bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * depth))
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func quoted(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case UInt8(ascii: "\n"): append("\\n")
            case UInt8(ascii: "\r"): append("\\r")
            case UInt8(ascii: "\t"): append("\\t")
            case 0x08: append("\\b")
            case 0x0C: append("\\f")
            case 0..<0x20:
                append("\\u00")
                bytes.append(Self.digits[Int(byte >> 4)])
                bytes.append(Self.digits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static let digits = Array("0123456789abcdef".utf8)
}
