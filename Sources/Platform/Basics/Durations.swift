// Durations and sizes as settings write them: `500ms`, `30s`, `5m`, `24h`; `64KiB`, `256MiB`.

extension Duration {
    /// Reads a whole number and one unit: `ms`, `s`, `m`, `h`, `d`. Nil for anything else, or when it overflows.
    package init?(parsing text: String) {
        let units: [(String, Int64)] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
        guard let milliseconds = parseQuantity(text, units: units) else { return nil }
        self = .milliseconds(milliseconds)
    }

    /// Nanoseconds, rounded towards zero, saturating.
    package var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, tooFar) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return tooFar ? (seconds < 0 ? .min : .max) : sum
    }

    package var inMilliseconds: Int64 { wholeNanoseconds / 1_000_000 }
    package var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }

    /// The form that ``init(parsing:)`` reads, in the largest unit that loses nothing.
    package var settingText: String {
        let milliseconds = inMilliseconds
        for (name, factor) in [("h", Int64(3_600_000)), ("m", 60_000), ("s", 1_000)]
        where milliseconds != 0 && milliseconds % factor == 0 { return "\(milliseconds / factor)\(name)" }
        return "\(milliseconds)ms"
    }
}

/// A number of bytes.
package struct ByteCount: Hashable, Comparable, Sendable {
    package let bytes: Int

    package init(_ bytes: Int) { self.bytes = bytes }

    /// Reads a whole number and one unit: `B`, `KiB`, `MiB`, `GiB`. Nil for anything else, or when it overflows.
    package init?(parsing text: String) {
        let units: [(String, Int64)] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)]
        guard let value = parseQuantity(text, units: units) else { return nil }
        bytes = Int(value)
    }

    package static func < (left: ByteCount, right: ByteCount) -> Bool { left.bytes < right.bytes }

    package var settingText: String {
        for (name, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        where bytes != 0 && bytes % factor == 0 { return "\(bytes / factor)\(name)" }
        return "\(bytes)B"
    }
}

private func parseQuantity(_ text: String, units: [(name: String, factor: Int64)]) -> Int64? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard !digits.isEmpty, let value = Int64(digits) else { return nil }
    let unit = text.dropFirst(digits.count)
    guard let factor = units.first(where: { $0.name == unit })?.factor else { return nil }
    let (product, overflow) = value.multipliedReportingOverflow(by: factor)
    return overflow ? nil : product
}
