// How one kind of value is written on a command line or in the environment: its parser, its placeholder in help
// texts, and a sentence that says what is accepted. Settings and command options share these.

package import Basics

/// A parser for text from outside, with the words that explain it.
package struct ValueFormat<Value: Sendable>: Sendable {
    /// Stands for the value in a help text: `port`, `duration`.
    package let placeholder: String
    /// Completes "expected …" in an error: "a port number from 0 to 65535".
    package let accepted: String
    /// Nil when the text is not acceptable. Never traps.
    package let parse: @Sendable (String) -> Value?

    package init(_ placeholder: String, accepted: String, parse: @escaping @Sendable (String) -> Value?) {
        self.placeholder = placeholder
        self.accepted = accepted
        self.parse = parse
    }
}

extension ValueFormat where Value == String {
    /// Any text without control characters, at most 4,096 bytes.
    package static var text: ValueFormat {
        ValueFormat("text", accepted: "text without control characters, at most 4096 bytes") { text in
            isPrintable(text) && text.utf8.count <= 4096 ? text : nil
        }
    }

    package static var path: ValueFormat {
        ValueFormat("file", accepted: "the path of a file") { text in
            isPrintable(text) && !text.isEmpty && text.utf8.count <= 4096 ? text : nil
        }
    }

    /// A host name or an IP address to bind to or connect to.
    package static var host: ValueFormat {
        ValueFormat("host", accepted: "a host name or an IP address") { text in
            let allowed = text.utf8.allSatisfy { isLetterOrDigit($0) || "-._:%[]".utf8.contains($0) }
            return allowed && !text.isEmpty && text.utf8.count <= 253 ? text : nil
        }
    }

    /// One word out of a closed set.
    package static func word(_ words: [String], placeholder: String) -> ValueFormat {
        ValueFormat(placeholder, accepted: "one of \(words.joined(separator: ", "))") { words.contains($0) ? $0 : nil }
    }

    /// An `http` or `https` URL without user, query or fragment; a trailing slash is dropped.
    package static var url: ValueFormat {
        ValueFormat("url", accepted: "an http:// or https:// URL without user, query or fragment", parse: parseURL)
    }
}

extension ValueFormat where Value == Secret {
    /// A secret: 1 to 4,096 bytes without control characters.
    package static var secret: ValueFormat<Secret> {
        ValueFormat("secret", accepted: "1 to 4096 bytes without control characters") { text in
            isPrintable(text) && !text.isEmpty && text.utf8.count <= 4096 ? Secret(text) : nil
        }
    }
}

extension ValueFormat where Value == Int {
    package static func integer(_ range: ClosedRange<Int>) -> ValueFormat {
        ValueFormat("number", accepted: "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            guard let value = parseDigits(text), range.contains(value) else { return nil }
            return value
        }
    }
}

extension ValueFormat where Value == UInt64 {
    package static var seed: ValueFormat {
        ValueFormat("number", accepted: "a whole number from 0 to \(UInt64.max)") { text in
            text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? UInt64(text) : nil
        }
    }
}

extension ValueFormat where Value == UInt16 {
    package static var port: ValueFormat {
        ValueFormat("port", accepted: "a port number from 0 to 65535 (0 takes a free one)") { text in
            parseDigits(text).flatMap { UInt16(exactly: $0) }
        }
    }
}

extension ValueFormat where Value == Double {
    /// A plain decimal number; exponents, signs, `inf` and `nan` are refused.
    package static func number(_ range: ClosedRange<Double>) -> ValueFormat {
        ValueFormat("number", accepted: "a number from \(range.lowerBound) to \(range.upperBound)") { text in
            guard text.utf8.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: ".") }), let value = Double(text) else {
                return nil
            }
            return range.contains(value) ? value : nil
        }
    }
}

extension ValueFormat where Value == Bool {
    package static var onOff: ValueFormat {
        ValueFormat("on|off", accepted: "on or off") { text in
            switch text {
            case "on": true
            case "off": false
            default: nil
            }
        }
    }
}

extension ValueFormat where Value == Duration {
    package static func duration(_ range: ClosedRange<Duration>) -> ValueFormat {
        let bounds = "from \(range.lowerBound.settingText) to \(range.upperBound.settingText)"
        return ValueFormat("duration", accepted: "a duration such as 500ms, 30s, 5m or 24h, \(bounds)") { text in
            guard let value = Duration(parsing: text), range.contains(value) else { return nil }
            return value
        }
    }
}

extension ValueFormat where Value == ByteCount {
    /// A size; the bounds are given in bytes and shown in the largest unit that divides them.
    package static func size(_ range: ClosedRange<Int>) -> ValueFormat<ByteCount> {
        let bounds = "from \(ByteCount(range.lowerBound).settingText) to \(ByteCount(range.upperBound).settingText)"
        return ValueFormat("size", accepted: "a size such as 64KiB or 256MiB, \(bounds)") { text in
            guard let value = ByteCount(parsing: text), range.contains(value.bytes) else { return nil }
            return value
        }
    }
}

extension ValueFormat {
    /// A comma-separated list of 1 to `limit` values of one format; spaces around the commas are dropped.
    package func list(limit: Int) -> ValueFormat<[Value]> {
        let parse = self.parse
        return ValueFormat<[Value]>(
            "\(placeholder),…",
            accepted: "1 to \(limit) values separated by commas, each \(accepted)"
        ) { text in
            let parts = text.split(separator: ",", omittingEmptySubsequences: false)
            guard parts.count <= limit else { return nil }
            var values: [Value] = []
            for part in parts {
                guard let value = parse(trimmed(part)) else { return nil }
                values.append(value)
            }
            return values
        }
    }
}

// MARK: - Characters

func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

func isLetterOrDigit(_ byte: UInt8) -> Bool {
    isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
}

/// Whether the text has no control characters (C0, DEL, C1) and no line or paragraph separators.
func isPrintable(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { scalar in
        scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value) && !(0x2028...0x2029).contains(scalar.value)
    }
}

/// The text without spaces and tabs at its ends.
func trimmed(_ text: some StringProtocol) -> String {
    let isBlank = { (character: Character) in character == " " || character == "\t" }
    var rest = text.drop(while: isBlank)
    while let last = rest.last, isBlank(last) { rest = rest.dropLast() }
    return String(rest)
}

/// A number of ASCII digits only (`Int.init` would also take a sign).
func parseDigits(_ text: some StringProtocol) -> Int? {
    text.utf8.allSatisfy(isDigit) ? Int(text) : nil
}

/// Scheme and authority are checked for shape; a trailing slash is dropped so that paths can be appended.
private func parseURL(_ text: String) -> String? {
    guard text.utf8.count <= 2048, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
    guard let scheme = ["https://", "http://"].first(where: { text.hasPrefix($0) }) else { return nil }
    guard !text.contains(where: { "?#@\\\"<>".contains($0) }) else { return nil }
    let authority = text.dropFirst(scheme.count).prefix { $0 != "/" }
    guard isAuthority(authority) else { return nil }
    var result = Substring(text)
    while result.hasSuffix("/") { result = result.dropLast() }
    return String(result)
}

private func isAuthority(_ authority: Substring) -> Bool {
    var host = authority
    if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") {
        host = authority[..<colon]
        guard let port = parseDigits(authority[authority.index(after: colon)...]), (1...65535).contains(port) else {
            return false
        }
    }
    if host.hasPrefix("[") {
        guard host.hasSuffix("]"), host.count > 2 else { return false }
        return host.dropFirst().dropLast().allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." }
    }
    return !host.isEmpty && host.utf8.allSatisfy { isLetterOrDigit($0) || "-._".utf8.contains($0) }
}
