// Hex, base64 and base64url: strict readers (no whitespace, no second spelling of the same bytes) and writers.

package enum Hex {
    /// Lower case.
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var out: [UInt8] = []
        for byte in bytes {
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Either case; nil for an odd length or anything but hex digits.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let input = Array(text.utf8)
        guard input.count % 2 == 0 else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(input.count / 2)
        for index in stride(from: 0, to: input.count, by: 2) {
            guard let high = digit(input[index]), let low = digit(input[index + 1]) else { return nil }
            out.append(high << 4 | low)
        }
        return out
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}

/// RFC 4648 §4, padded.
package enum Base64 {
    package static func encode(_ bytes: [UInt8]) -> String {
        Sextets.encode(bytes, alphabet: Sextets.standard, padded: true)
    }

    /// Strict: right padding, zero spare bits, nothing else.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var input = Array(text.utf8)
        guard input.count % 4 == 0 else { return nil }
        for _ in 0..<2 where input.last == 0x3D { input.removeLast() }
        return Sextets.decode(input.span, table: Sextets.standardTable)
    }
}

/// RFC 4648 §5, unpadded, as JOSE uses it.
package enum Base64URL {
    package static func encode(_ bytes: [UInt8]) -> String {
        Sextets.encode(bytes, alphabet: Sextets.url, padded: false)
    }

    /// Strict: no padding, zero spare bits, nothing but the alphabet; so every value has one spelling.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? { decode(Array(text.utf8).span) }

    package static func decode(_ text: Span<UInt8>) -> [UInt8]? { Sextets.decode(text, table: Sextets.urlTable) }
}

private enum Sextets {
    static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    static let url = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    static let standardTable = table(standard)
    static let urlTable = table(url)

    private static func table(_ alphabet: [UInt8]) -> [UInt8] {
        var table = [UInt8](repeating: 0xFF, count: 256)
        for (value, byte) in alphabet.enumerated() { table[Int(byte)] = UInt8(value) }
        return table
    }

    static func encode(_ bytes: [UInt8], alphabet: [UInt8], padded: Bool) -> String {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var group = 0
            for offset in 0..<3 { group = group << 8 | (offset < count ? Int(bytes[start + offset]) : 0) }
            for position in 0...count { out.append(alphabet[group >> (18 - 6 * position) & 63]) }
            if padded { out.append(contentsOf: repeatElement(0x3D, count: 3 - count)) }
        }
        return String(decoding: out, as: UTF8.self)
    }

    static func decode(_ text: Span<UInt8>, table: [UInt8]) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(text.count * 3 / 4)
        var bits: UInt32 = 0
        var held = 0
        for index in text.indices {
            let value = table[Int(text[index])]
            guard value != 0xFF else { return nil }
            bits = bits << 6 | UInt32(value)
            held += 6
            if held >= 8 {
                held -= 8
                out.append(UInt8(truncatingIfNeeded: bits >> UInt32(held)))
                bits &= (1 << UInt32(held)) - 1
            }
        }
        return bits == 0 ? out : nil
    }
}
