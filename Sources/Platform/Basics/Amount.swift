// Exact decimal amounts. Money never passes through a binary fraction.

/// A decimal number: `unscaled` × 10^-`scale`. Equal values are equal whatever their scale (`1.5` = `1.50`).
package struct Amount: Sendable {
    package let unscaled: Int128
    package let scale: UInt8

    /// Largest number of digits after the point, and of digits in all.
    package static let maxScale = 18
    package static let maxDigits = 36

    package init(unscaled: Int128, scale: UInt8) {
        precondition(scale <= Amount.maxScale, "an amount has at most \(Amount.maxScale) digits after the point")
        self.unscaled = unscaled
        self.scale = scale
    }

    /// Reads JSON's plain number form, `-12`, `4956.125`. No exponent, no sign but `-`, no blank, no leading zero;
    /// nil for anything else and for more digits than the bounds allow.
    package init?(_ text: String) {
        var digits = text[...].utf8
        let negative = digits.first == 0x2D
        if negative { digits = digits.dropFirst() }
        var value: Int128 = 0
        var scale = 0
        var count = 0
        var pointSeen = false
        var last: UInt8 = 0
        for byte in digits {
            if byte == 0x2E, !pointSeen, count > 0 {
                pointSeen = true
            } else if (0x30...0x39).contains(byte) {
                if !pointSeen, count == 1, value == 0 { return nil }
                value = value * 10 + Int128(byte - 0x30)
                count += 1
                if pointSeen { scale += 1 }
            } else {
                return nil
            }
            guard count <= Amount.maxDigits, scale <= Amount.maxScale else { return nil }
            last = byte
        }
        guard count > 0, last != 0x2E else { return nil }
        self.init(unscaled: negative ? -value : value, scale: UInt8(scale))
    }

    private func unscaled(at wanted: UInt8) -> (value: Int128, overflow: Bool) {
        var value = unscaled
        for _ in scale..<wanted {
            let (next, overflow) = value.multipliedReportingOverflow(by: 10)
            if overflow { return (value, true) }
            value = next
        }
        return (value, false)
    }

    /// Nil when the sum does not fit 128 bits.
    package func adding(_ other: Amount) -> Amount? {
        let scale = max(scale, other.scale)
        let (left, leftOverflow) = unscaled(at: scale)
        let (right, rightOverflow) = other.unscaled(at: scale)
        let (sum, overflow) = left.addingReportingOverflow(right)
        return leftOverflow || rightOverflow || overflow ? nil : Amount(unscaled: sum, scale: scale)
    }

    package var negated: Amount { Amount(unscaled: -unscaled, scale: scale) }
}

extension Amount: Comparable, Hashable {
    package static func == (left: Amount, right: Amount) -> Bool { left.normalized == right.normalized }

    package static func < (left: Amount, right: Amount) -> Bool {
        let scale = max(left.scale, right.scale)
        let (first, firstOverflow) = left.unscaled(at: scale)
        let (second, secondOverflow) = right.unscaled(at: scale)
        // What does not fit at the common scale is larger in size than everything that does.
        if firstOverflow != secondOverflow { return firstOverflow ? left.unscaled < 0 : right.unscaled > 0 }
        return first < second
    }

    package func hash(into hasher: inout Hasher) {
        let (value, scale) = normalized
        hasher.combine(value)
        hasher.combine(scale)
    }

    private var normalized: (Int128, UInt8) {
        var value = unscaled
        var scale = scale
        while scale > 0, value % 10 == 0 {
            value /= 10
            scale -= 1
        }
        return (value, scale)
    }
}

extension Amount: CustomStringConvertible {
    /// The text with exactly `scale` digits after the point: what `numeric` in Postgres takes.
    package var description: String {
        var digits = String(unscaled.magnitude)
        guard scale > 0 else { return (unscaled < 0 ? "-" : "") + digits }
        if digits.count <= Int(scale) { digits = String(repeating: "0", count: Int(scale) + 1 - digits.count) + digits }
        digits.insert(".", at: digits.index(digits.endIndex, offsetBy: -Int(scale)))
        return (unscaled < 0 ? "-" : "") + digits
    }
}
