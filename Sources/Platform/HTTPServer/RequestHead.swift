// What is known of a request before its body: method, target and header fields, copied once out of the library's pool.

/// A method as it came; any token passes the parser, so this is a wrapped text and not an enum.
package struct HTTPMethod: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    package let name: String

    package init(_ name: String) { self.name = name }
    package init(stringLiteral name: String) { self.name = name }
    package var description: String { name }

    package static let get: HTTPMethod = "GET"
    package static let head: HTTPMethod = "HEAD"
    package static let post: HTTPMethod = "POST"
    package static let put: HTTPMethod = "PUT"
    package static let patch: HTTPMethod = "PATCH"
    package static let delete: HTTPMethod = "DELETE"
}

/// The request line and the header fields of one request.
///
/// Text is decoded byte for byte (ISO 8859-1): nothing is repaired, so two different byte strings never become equal.
/// Field values are free of control characters other than tab, names are tokens; the server refused the rest.
package struct RequestHead: Sendable {
    package let method: HTTPMethod
    /// The target as it came, percent-escapes included: cut at `?`, without `http://authority` when in absolute form.
    package let path: String
    /// What stood after the first `?`, undecoded; nil without one.
    package let query: String?
    /// The declared body length in bytes; nil when chunked or without a body.
    package let contentLength: Int?
    package let isChunked: Bool
    /// The client waits for `100 Continue` before it sends the body.
    package let expectsContinue: Bool
    /// The request line came after the server had begun to drain.
    package let arrivedWhileDraining: Bool
    /// The peer's address without its port; empty when it could not be told.
    package let peer: String
    private let fields: HeaderFields

    init(
        method: HTTPMethod,
        target: RequestTarget,
        framing: RequestFraming,
        arrivedWhileDraining: Bool,
        peer: String,
        fields: HeaderFields
    ) {
        self.method = method
        path = target.path
        query = target.query
        contentLength = framing.contentLength
        isChunked = framing.isChunked
        expectsContinue = framing.expectsContinue
        self.arrivedWhileDraining = arrivedWhileDraining
        self.peer = peer
        self.fields = fields
    }

    /// A head made by hand, for tests of services.
    package init(
        method: HTTPMethod,
        path: String,
        query: String? = nil,
        headers: [(String, String)] = [],
        contentLength: Int? = nil,
        isChunked: Bool = false,
        expectsContinue: Bool = false,
        arrivedWhileDraining: Bool = false,
        peer: String = "127.0.0.1"
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.contentLength = contentLength
        self.isChunked = isChunked
        self.expectsContinue = expectsContinue
        self.arrivedWhileDraining = arrivedWhileDraining
        self.peer = peer
        var fields = HeaderFields()
        for (name, value) in headers { fields.append(name: Array(name.utf8), value: Array(value.utf8)) }
        self.fields = fields
    }

    /// The first field of that name.
    /// - Parameter lowercaseName: In lower case; fields match in any case.
    package func header(_ lowercaseName: String) -> String? { fields.first(lowercaseName) }

    /// The values of all fields of that name, in order.
    package func headerValues(_ lowercaseName: String) -> [String] { fields.all(lowercaseName) }

    /// The media type in lower case without its parameters; nil without a `Content-Type`.
    package var mediaType: String? {
        guard let value = header("content-type") else { return nil }
        let type = value.utf8.prefix { $0 != UInt8(ascii: ";") }
        return Text.lowercased(Text.trimmed(type))
    }

    package var hasContentCoding: Bool { header("content-encoding") != nil }

    /// The first value of a query parameter, percent-decoded, `+` read as a space; nil when it is absent or not UTF-8.
    package func queryValue(_ name: String) -> String? {
        guard let query else { return nil }
        for pair in query.utf8.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = parts.first, Text.percentDecoded(key, plusIsSpace: true) == name else { continue }
            return parts.count == 2 ? Text.percentDecoded(parts[1], plusIsSpace: true) : ""
        }
        return nil
    }
}

/// Header fields in one buffer: names and values one after another, and where each begins.
struct HeaderFields: Sendable {
    struct Field: Sendable {
        let name: Range<Int>
        let value: Range<Int>
    }
    private(set) var bytes: [UInt8] = []
    private(set) var fields: [Field] = []

    init() {}

    init(reservingBytes count: Int, fields fieldCount: Int) {
        bytes.reserveCapacity(count)
        fields.reserveCapacity(fieldCount)
    }

    var count: Int { fields.count }

    mutating func append(name: some Collection<UInt8>, value: some Collection<UInt8>) {
        let start = bytes.count
        bytes.append(contentsOf: name)
        let middle = bytes.count
        bytes.append(contentsOf: value)
        fields.append(Field(name: start..<middle, value: middle..<bytes.count))
    }

    func name(_ index: Int) -> ArraySlice<UInt8> { bytes[fields[index].name] }
    func value(_ index: Int) -> ArraySlice<UInt8> { bytes[fields[index].value] }

    func first(_ lowercaseName: String) -> String? {
        for index in fields.indices where matches(index, lowercaseName) { return text(index) }
        return nil
    }

    func all(_ lowercaseName: String) -> [String] {
        fields.indices.filter { matches($0, lowercaseName) }.map(text)
    }

    /// Blanks around a value are no part of it (RFC 9110 5.5); the library leaves those behind it.
    private func text(_ index: Int) -> String { Text.latin1(Text.trimmed(value(index))) }

    private func matches(_ index: Int, _ lowercaseName: String) -> Bool {
        let range = fields[index].name
        guard range.count == lowercaseName.utf8.count else { return false }
        var position = range.lowerBound
        for byte in lowercaseName.utf8 {
            if Text.lower(bytes[position]) != byte { return false }
            position += 1
        }
        return true
    }
}
