// A point in time to the nanosecond, and RFC 3339 text. Foundation's Date is a Double with steps of 119 ns today.

/// A UTC instant: whole seconds since 1970 and 0…999,999,999 nanoseconds.
package struct Timestamp: Hashable, Sendable {
    package let seconds: Int64
    package let nanoseconds: Int32

    private static let billion: Int64 = 1_000_000_000

    /// - Parameter nanoseconds: Any value; whole seconds are carried over.
    package init(seconds: Int64, nanoseconds: Int64 = 0) {
        var carry = nanoseconds / Timestamp.billion
        var rest = nanoseconds % Timestamp.billion
        if rest < 0 {
            rest += Timestamp.billion
            carry -= 1
        }
        self.seconds = seconds.addingReportingOverflow(carry).partialValue
        self.nanoseconds = Int32(rest)
    }

    package init(secondsSinceEpoch: Int64) { self.init(seconds: secondsSinceEpoch) }

    package init(millisecondsSinceEpoch value: Int64) {
        self.init(seconds: value / 1_000, nanoseconds: value % 1_000 * 1_000_000)
    }

    package init(microsecondsSinceEpoch value: Int64) {
        self.init(seconds: value / 1_000_000, nanoseconds: value % 1_000_000 * 1_000)
    }

    /// Rounded down. Saturates instead of trapping on absurd dates.
    package var millisecondsSinceEpoch: Int64 { scaled(by: 1_000, per: 1_000_000) }
    /// Rounded down. Saturates instead of trapping on absurd dates.
    package var microsecondsSinceEpoch: Int64 { scaled(by: 1_000_000, per: 1_000) }

    private func scaled(by factor: Int64, per unit: Int32) -> Int64 {
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: factor)
        if overflow { return seconds < 0 ? .min : .max }
        return whole.addingReportingOverflow(Int64(nanoseconds / unit)).partialValue
    }
}

extension Timestamp: Comparable {
    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    package static func + (time: Timestamp, duration: Duration) -> Timestamp {
        let (seconds, attoseconds) = duration.components
        return Timestamp(
            seconds: time.seconds.addingReportingOverflow(seconds).partialValue,
            nanoseconds: Int64(time.nanoseconds) + attoseconds / billion
        )
    }

    package static func - (time: Timestamp, duration: Duration) -> Timestamp { time + (.zero - duration) }

    package static func - (left: Timestamp, right: Timestamp) -> Duration {
        Duration(
            secondsComponent: left.seconds.subtractingReportingOverflow(right.seconds).partialValue,
            attosecondsComponent: 0
        ) + .nanoseconds(Int64(left.nanoseconds) - Int64(right.nanoseconds))
    }
}

// MARK: - RFC 3339

extension Timestamp {
    /// Reads `2024-07-16T01:52:42.912331716Z`: up to nine fraction digits (more are cut off), `Z` or an offset,
    /// `t`, `z` and a space in place of `T` as RFC 3339 allows. A leap second reads as the second after it.
    package init?(rfc3339 text: String) {
        var text = text
        let parsed: (Int64, Int64)? = text.withUTF8 { RFC3339.parse($0) }
        guard let (seconds, nanoseconds) = parsed else { return nil }
        self.init(seconds: seconds, nanoseconds: nanoseconds)
    }

    /// UTC with the fewest of 0, 3, 6 or 9 fraction digits that lose nothing.
    package var rfc3339: String {
        let digits =
            if nanoseconds == 0 { 0 } else if nanoseconds % 1_000_000 == 0 { 3 } else if nanoseconds % 1_000 == 0 {
                6
            } else { 9 }
        return rfc3339(fractionDigits: digits)
    }

    /// UTC with exactly so many fraction digits (0…9), cut off, not rounded.
    package func rfc3339(fractionDigits: Int) -> String {
        String(
            decoding: RFC3339.format(seconds: seconds, nanoseconds: nanoseconds, fractionDigits: fractionDigits),
            as: UTF8.self
        )
    }
}

extension Timestamp: CustomStringConvertible {
    package var description: String { rfc3339 }
}

private enum RFC3339 {
    static func parse(_ text: UnsafeBufferPointer<UInt8>) -> (Int64, Int64)? {
        guard text.count >= 20, text.count <= 64 else { return nil }
        func digits(_ start: Int, _ count: Int) -> Int64? {
            var value: Int64 = 0
            for index in start..<start + count {
                guard index < text.count, (0x30...0x39).contains(text[index]) else { return nil }
                value = value * 10 + Int64(text[index] - 0x30)
            }
            return value
        }
        guard let year = digits(0, 4), text[4] == 0x2D, let month = digits(5, 2), text[7] == 0x2D,
            let day = digits(8, 2),
            text[10] == 0x54 || text[10] == 0x74 || text[10] == 0x20,
            let hour = digits(11, 2), text[13] == 0x3A, let minute = digits(14, 2), text[16] == 0x3A,
            let second = digits(17, 2),
            (1...12).contains(month), day >= 1, day <= daysIn(month: month, year: year), hour <= 23, minute <= 59,
            second <= 60
        else { return nil }
        var index = 19
        var nanoseconds: Int64 = 0
        if text[index] == 0x2E {
            index += 1
            var unit: Int64 = 100_000_000
            let first = index
            while index < text.count, (0x30...0x39).contains(text[index]) {
                nanoseconds += Int64(text[index] - 0x30) * unit
                unit /= 10
                index += 1
            }
            guard index > first else { return nil }
        }
        guard index < text.count else { return nil }
        var offset: Int64 = 0
        switch text[index] {
        case 0x5A, 0x7A: index += 1
        case 0x2B, 0x2D:
            guard let hours = digits(index + 1, 2), index + 3 < text.count, text[index + 3] == 0x3A,
                let minutes = digits(index + 4, 2), hours <= 23, minutes <= 59
            else { return nil }
            offset = (hours * 60 + minutes) * 60 * (text[index] == 0x2D ? -1 : 1)
            index += 6
        default: return nil
        }
        guard index == text.count else { return nil }
        let days = daysFromCivil(year: year, month: month, day: day)
        return (days * 86_400 + hour * 3_600 + minute * 60 + second - offset, nanoseconds)
    }

    static func format(seconds: Int64, nanoseconds: Int32, fractionDigits: Int) -> [UInt8] {
        var days = seconds / 86_400
        var rest = seconds % 86_400
        if rest < 0 {
            rest += 86_400
            days -= 1
        }
        let (year, month, day) = civil(fromDays: days)
        var out: [UInt8] = []
        out.reserveCapacity(32)
        func put(_ value: Int64, _ width: Int) {
            var divisor: Int64 = 1
            for _ in 1..<width { divisor *= 10 }
            while value / divisor >= 10 { divisor *= 10 }  // years beyond 9999 get the digits they need
            while divisor > 0 {
                out.append(0x30 + UInt8(value / divisor % 10))
                divisor /= 10
            }
        }
        if year < 0 { out.append(0x2D) }
        put(abs(year), 4)
        out.append(0x2D)
        put(month, 2)
        out.append(0x2D)
        put(day, 2)
        out.append(0x54)
        put(rest / 3_600, 2)
        out.append(0x3A)
        put(rest / 60 % 60, 2)
        out.append(0x3A)
        put(rest % 60, 2)
        if fractionDigits > 0 {
            out.append(0x2E)
            var divisor: Int32 = 100_000_000
            for _ in 0..<min(fractionDigits, 9) {
                out.append(0x30 + UInt8(nanoseconds / divisor % 10))
                divisor /= 10
            }
        }
        out.append(0x5A)
        return out
    }

    private static func daysIn(month: Int64, year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    // Days since 1970-01-01 in the proleptic Gregorian calendar, counted in eras of 400 years that begin in March.
    private static func daysFromCivil(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    private static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}
