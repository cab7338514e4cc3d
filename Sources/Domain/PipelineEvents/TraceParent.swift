// W3C Trace Context: the `traceparent` that ties an HTTP request, its record and the database write together.

/// A parsed `traceparent`.
package struct TraceParent: Hashable, Sendable {
    /// 128 bits, never all zero.
    package let traceID: UInt128
    /// 64 bits, never zero.
    package let spanID: UInt64
    /// The flags byte; its lowest bit says that the caller records.
    package let flags: UInt8

    package var isSampled: Bool { flags & 1 == 1 }

    /// - Returns: nil when an id is zero, which the format forbids.
    package init?(traceID: UInt128, spanID: UInt64, flags: UInt8) {
        guard traceID != 0, spanID != 0 else { return nil }
        self.init(known: traceID, spanID, flags)
    }

    private init(known traceID: UInt128, _ spanID: UInt64, _ flags: UInt8) {
        self.traceID = traceID
        self.spanID = spanID
        self.flags = flags
    }

    /// A trace that begins here, not sampled unless asked for.
    package init(startingWith random: inout some RandomNumberGenerator, sampled: Bool = false) {
        self.init(
            known: UInt128.random(in: 1 ... .max, using: &random),
            UInt64.random(in: 1 ... .max, using: &random),
            sampled ? 1 : 0
        )
    }

    /// The next hop of the same trace.
    package func child(using random: inout some RandomNumberGenerator) -> TraceParent {
        TraceParent(known: traceID, UInt64.random(in: 1 ... .max, using: &random), flags)
    }

    /// `00-` 32 hex digits `-` 16 hex digits `-` two hex digits, lower case only.
    ///
    /// A version we do not know may append fields after another hyphen; its first four are still read. Version `ff`
    /// is forbidden, and version `00` must end after the flags.
    package init?(parsing text: String) {
        let bytes = Array(text.utf8.prefix(Self.length + 1))
        guard bytes.count >= Self.length,
            bytes[2] == Self.hyphen, bytes[35] == Self.hyphen, bytes[52] == Self.hyphen,
            let version = Self.hexadecimal(bytes[0..<2]), version != 0xFF,
            let traceID = Self.hexadecimal(bytes[3..<35]), traceID != 0,
            let spanID = Self.hexadecimal(bytes[36..<52]), spanID != 0,
            let flags = Self.hexadecimal(bytes[53..<55])
        else { return nil }
        if bytes.count > Self.length, version == 0 || bytes[Self.length] != Self.hyphen { return nil }
        self.init(known: traceID, UInt64(truncatingIfNeeded: spanID), UInt8(truncatingIfNeeded: flags))
    }

    package var rendered: String {
        "00-\(Self.digits(traceID, 32))-\(Self.digits(UInt128(spanID), 16))-\(Self.digits(UInt128(flags), 2))"
    }

    private static let length = 55
    private static let hyphen = UInt8(ascii: "-")

    private static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> UInt128? {
        var value: UInt128 = 0
        for byte in bytes {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            default: return nil
            }
            value = value << 4 | UInt128(digit)
        }
        return value
    }

    private static func digits(_ value: UInt128, _ count: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: count - text.utf8.count) + text
    }
}
