// The buffer that reports are written into: fragments end to end, since a report of 12 MB has half a million of them.

import Basics

struct ReportText {
    private(set) var bytes: [UInt8] = []

    init(reserving count: Int) { bytes.reserveCapacity(count) }

    mutating func add(_ fragment: [UInt8]) { bytes.append(contentsOf: fragment) }

    mutating func add(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// Text that needs no escapes, in quotes.
    mutating func quoted(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: text.utf8)
        bytes.append(UInt8(ascii: "\""))
    }

    /// Any text, escaped as JSON demands.
    mutating func escaped(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0..<0x20: add("\\u00" + Hex.encode([byte]))
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func escaped(orNull text: String?) {
        if let text { escaped(text) } else { add("null") }
    }

    /// Thousandths as a decimal number with as many digits as it needs: 4956125 → 4956.125, 120000 → 120.
    mutating func decimal(mills: Int) {
        let magnitude = mills.magnitude
        if mills < 0 { bytes.append(UInt8(ascii: "-")) }
        integer(magnitude / 1_000)
        var rest = magnitude % 1_000
        guard rest > 0 else { return }
        bytes.append(UInt8(ascii: "."))
        var place: UInt = 100
        while rest > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(rest / place))
            rest %= place
            place /= 10
        }
    }

    mutating func integer(_ value: UInt) {
        guard value > 9 else {
            bytes.append(UInt8(ascii: "0") + UInt8(value))
            return
        }
        let start = bytes.count
        var rest = value
        while rest > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        }
        bytes[start...].reverse()
    }

    /// Letters and digits for an id.
    mutating func id(length: Int, _ generator: inout SeededGenerator) {
        var bits: UInt64 = 0
        for place in 0..<length {
            if place % 10 == 0 { bits = generator.next() }
            bytes.append(Self.alphabet[Int(bits & 63)])
            bits >>= 6
        }
    }

    mutating func insert(_ fragment: [UInt8], at index: Int) { bytes.insert(contentsOf: fragment, at: index) }

    /// 64 of them, so that six bits choose one.
    private static let alphabet = Array("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789BCDFG".utf8)
}

/// A day of the calendar, counted from 1970-01-01.
struct CalendarDay: Hashable, Comparable, Sendable {
    let number: Int

    init(_ number: Int) { self.number = number }

    init(of time: Timestamp) {
        let seconds = Int(time.seconds)
        number = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
    }

    static func < (left: CalendarDay, right: CalendarDay) -> Bool { left.number < right.number }

    func before(_ days: Int) -> CalendarDay { CalendarDay(number - days) }

    /// `YYYY-MM-DD`
    var text: String { String(Timestamp(seconds: Int64(number) * 86_400).rfc3339.prefix(10)) }
}
