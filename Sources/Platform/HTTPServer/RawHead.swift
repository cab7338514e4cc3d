// The checks of a request's head that the HTTP library does not make: what is refused, and what is served but must be
// the last on its connection. A pure function over bytes; RFC 9112 is the source where nothing else is said.

/// Why a head is refused.
package enum HeadFault: String, Error, Sendable, CaseIterable {
    case headerTooLarge, tooManyFields, targetTooLong
    case unsupportedVersion
    case malformedField, malformedTarget
    case disguisedField
    case repeatedLength, repeatedCoding, lengthAndCoding, unknownCoding, codingInOldVersion
    case malformedLength, lengthTooLarge, missingLength
    case missingHost, repeatedHost

    /// The status of the answer; the connection closes after each of them.
    package var status: Int {
        switch self {
        case .headerTooLarge, .tooManyFields: 431
        case .targetTooLong: 414
        case .unsupportedVersion: 505
        case .lengthTooLarge: 413
        default: 400
        }
    }
}

/// How the body of a request is delimited.
struct RequestFraming: Sendable, Equatable {
    var contentLength: Int?
    var isChunked = false
    var expectsContinue = false

    var hasBody: Bool { isChunked || (contentLength ?? 0) > 0 }
}

/// A request target taken apart.
struct RequestTarget: Sendable, Equatable {
    let path: String
    let query: String?

    /// Cuts `http(s)://authority` off and splits at the first `?`; nothing is decoded.
    init(_ target: ArraySlice<UInt8>) {
        var rest = target
        if let authority = Self.authority(of: target) {
            rest = authority.drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
            if rest.first != UInt8(ascii: "/") { rest = [UInt8(ascii: "/")] + rest }
        }
        let parts = rest.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        path = Text.latin1(parts[0])
        query = parts.count == 2 ? Text.latin1(parts[1]) : nil
    }

    /// What follows the scheme of a target in absolute form; nil for nearly every target.
    private static func authority(of target: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        if target.first == UInt8(ascii: "/") { return nil }
        return ["http://", "https://"].first {
            target.prefix($0.utf8.count).lazy.map(Text.lower).elementsEqual($0.utf8)
        }
        .map { target.dropFirst($0.utf8.count) }
    }
}

/// The head of one request, as the library cut it up.
struct RawHead {
    /// As C strings: what the library hands out ends at the first NUL.
    var method: [UInt8]
    var target: [UInt8]
    var version: [UInt8]
    var fields: HeaderFields
    /// Bytes from the method to the end of the empty line, as the library counted them.
    var byteCount: Int

    struct Facts: Equatable {
        var framing: RequestFraming
        /// False when the head was not written in the one plain way: the answer is the last on its connection, so that
        /// nothing behind a head that another parser may read differently is ever taken for a request.
        var isPlain: Bool
    }

    /// Checks everything; the first fault in the order sizes, version, fields, target, framing wins.
    func inspected(by limits: HTTPServer.Limits) -> Result<Facts, HeadFault> {
        if target.count > limits.maxTargetBytes { return .failure(.targetTooLong) }
        if fields.count > limits.maxHeaderFields { return .failure(.tooManyFields) }
        if byteCount > limits.maxHeaderBytes { return .failure(.headerTooLarge) }
        let isOld = version.elementsEqual("HTTP/1.0".utf8)
        guard isOld || version.elementsEqual("HTTP/1.1".utf8) else { return .failure(.unsupportedVersion) }
        do {
            try checkBytes()
            let framing = try checkFraming(isOld: isOld)
            return .success(Facts(framing: framing, isPlain: isPlain))
        } catch {
            return .failure(error)
        }
    }

    /// One space after each colon, CRLF line ends, nothing hidden: then and only then do the parts add up to the whole.
    /// A NUL, a fold, a bare LF, leading blank lines or odd spacing do not.
    private var isPlain: Bool {
        var expected = method.count + target.count + version.count + 4 + 2
        for field in fields.fields { expected += field.name.count + field.value.count + 4 }
        return expected == byteCount
    }

    private func checkBytes() throws(HeadFault) {
        for byte in target where byte <= 0x20 || byte == 0x7F { throw .malformedTarget }
        if target.isEmpty { throw .malformedTarget }
        for index in 0..<fields.count {
            let name = fields.name(index)
            if name.isEmpty { throw .malformedField }
            for byte in name where !Self.isTokenByte(byte) { throw .malformedField }
            for byte in fields.value(index) where (byte < 0x20 && byte != 0x09) || byte == 0x7F {
                throw .malformedField
            }
        }
    }

    private func checkFraming(isOld: Bool) throws(HeadFault) -> RequestFraming {
        var lengths = 0
        var codings = 0
        var hosts = 0
        var framing = RequestFraming()
        for index in 0..<fields.count {
            switch try FramingField(fields.name(index)) {
            case .contentLength:
                lengths += 1
                framing.contentLength = try Self.length(fields.value(index))
            case .transferEncoding:
                codings += 1
                framing.isChunked = fields.value(index).elementsEqual("chunked".utf8)
            case .host: hosts += 1
            case .expect:
                framing.expectsContinue = fields.value(index).lazy.map(Text.lower).elementsEqual("100-continue".utf8)
            case nil: break
            }
        }
        if lengths > 0, codings > 0 { throw .lengthAndCoding }
        if lengths > 1 { throw .repeatedLength }
        if codings > 1 { throw .repeatedCoding }
        if codings > 0, isOld { throw .codingInOldVersion }
        if codings > 0, !framing.isChunked { throw .unknownCoding }
        if hosts > 1 { throw .repeatedHost }
        if hosts == 0, !isOld { throw .missingHost }
        if lengths == 0, codings == 0, method.elementsEqual("POST".utf8) { throw .missingLength }
        return framing
    }

    private static func length(_ digits: ArraySlice<UInt8>) throws(HeadFault) -> Int {
        var value = 0
        if digits.isEmpty { throw .malformedLength }
        for byte in digits {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { throw .malformedLength }
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = shifted.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            if overflow || carry { throw .lengthTooLarge }
            value = sum
        }
        return value
    }

    /// RFC 9110 `tchar`.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default: false
        }
    }
}

/// The field names that decide where a request ends and whose it is.
private enum FramingField {
    case contentLength, transferEncoding, host, expect

    /// Nil for any other name.
    /// - Throws: ``HeadFault/disguisedField`` for a name that begins like one of them and is longer: the library glues a
    ///   folded line to the field's *name*, so `Content-Length: 26⏎ 9` arrives as `Content-Length9`.
    init?(_ name: ArraySlice<UInt8>) throws(HeadFault) {
        // The four names differ in their first byte from one another; most fields end here.
        let (word, field): (StaticString, FramingField)
        switch Text.lower(name.first ?? 0) {
        case UInt8(ascii: "c"): (word, field) = ("content-length", .contentLength)
        case UInt8(ascii: "t"): (word, field) = ("transfer-encoding", .transferEncoding)
        case UInt8(ascii: "h"): (word, field) = ("host", .host)
        case UInt8(ascii: "e"): (word, field) = ("expect", .expect)
        default: return nil
        }
        let begins = word.withUTF8Buffer { word in
            name.count >= word.count && zip(name, word).allSatisfy { Text.lower($0) == $1 }
        }
        guard begins else { return nil }
        if name.count > word.utf8CodeUnitCount {
            if field == .expect { return nil }
            throw .disguisedField
        }
        self = field
    }
}
