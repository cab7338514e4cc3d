// librdkafka's statistics: a JSON text once in an interval, of which a few fields are read.

import Basics

/// What the library says of itself.
struct ClientStatistics: Equatable {
    struct Broker: Equatable {
        var nodeID: Int64 = -1
        var state = ""
        var produceRequests: Int64 = 0
        var requestTimeouts: Int64 = 0
        var roundTripP99Microseconds: Int64 = 0

        /// `INIT` means that nobody needs this connection; the others are stages of trying or failing.
        var isReachable: Bool { state == "UP" || state == "INIT" }
    }
    struct Group: Equatable {
        var state = ""
        var joinState = ""
        var rebalances: Int64 = 0
        var assignmentSize: Int64 = 0
    }

    /// Real brokers only: not the bootstrap entries nor the logical coordinator.
    var brokers: [Broker] = []
    var transmittedMessages: Int64 = 0
    var group: Group?

    /// Nil for what is no JSON object; what is missing in it stays at its default.
    init?(json: UnsafeRawBufferPointer) {
        var scanner = StatisticsScanner(json)
        do {
            try scanner.object { (scanner, name) throws(StatisticsScanner.Malformed) in
                switch name {
                case "txmsgs": transmittedMessages = try scanner.integer()
                case "brokers":
                    try scanner.object { (scanner, _) throws(StatisticsScanner.Malformed) in
                        let broker = try Self.broker(&scanner)
                        if broker.nodeID >= 0 { brokers.append(broker) }
                    }
                case "cgrp": group = try Self.group(&scanner)
                default: break
                }
            }
        } catch { return nil }
    }

    private static func broker(_ scanner: inout StatisticsScanner) throws(StatisticsScanner.Malformed) -> Broker {
        var broker = Broker()
        try scanner.object { (scanner, name) throws(StatisticsScanner.Malformed) in
            switch name {
            case "nodeid": broker.nodeID = try scanner.integer()
            case "state": broker.state = try scanner.string()
            case "req_timeouts": broker.requestTimeouts = try scanner.integer()
            case "rtt":
                try scanner.object { (scanner, name) throws(StatisticsScanner.Malformed) in
                    if name == "p99" { broker.roundTripP99Microseconds = try scanner.integer() }
                }
            case "req":
                try scanner.object { (scanner, name) throws(StatisticsScanner.Malformed) in
                    if name == "Produce" { broker.produceRequests = try scanner.integer() }
                }
            default: break
            }
        }
        return broker
    }

    private static func group(_ scanner: inout StatisticsScanner) throws(StatisticsScanner.Malformed) -> Group {
        var group = Group()
        try scanner.object { (scanner, name) throws(StatisticsScanner.Malformed) in
            switch name {
            case "state": group.state = try scanner.string()
            case "join_state": group.joinState = try scanner.string()
            case "rebalance_cnt": group.rebalances = try scanner.integer()
            case "assignment_size": group.assignmentSize = try scanner.integer()
            default: break
            }
        }
        return group
    }
}

/// A pull reader over JSON that skips what nobody asks for. Trusts its source as far as content goes, never as far
/// as memory goes: every step is bounds-checked, and nothing recurses on the input.
struct StatisticsScanner {
    struct Malformed: Error {}

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Visits each member of the object that begins here. A member whose value `visit` leaves unread is skipped.
    mutating func object(
        _ visit: (inout StatisticsScanner, String) throws(Malformed) -> Void
    ) throws(Malformed) {
        try expect(UInt8(ascii: "{"))
        if try next() == UInt8(ascii: "}") {
            position += 1
            return
        }
        while true {
            let name = try string()
            try expect(UInt8(ascii: ":"))
            let before = position
            try visit(&self, name)
            if position == before { try skipValue() }
            let byte = try next()
            position += 1
            if byte == UInt8(ascii: "}") { return }
            guard byte == UInt8(ascii: ",") else { throw Malformed() }
        }
    }

    /// A whole number; a fraction is cut off.
    mutating func integer() throws(Malformed) -> Int64 {
        var isNegative = false
        if try next() == UInt8(ascii: "-") {
            isNegative = true
            position += 1
        }
        let start = position
        var value: Int64 = 0
        while position < bytes.count, case let digit = bytes[position] &- UInt8(ascii: "0"), digit <= 9 {
            let (shifted, tooBig) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflow) = shifted.addingReportingOverflow(Int64(digit))
            if tooBig || overflow { throw Malformed() }
            value = sum
            position += 1
        }
        guard position > start else { throw Malformed() }
        while position < bytes.count, !Self.endsScalar(bytes[position]) { position += 1 }
        return isNegative ? -value : value
    }

    /// The text between quotes; escapes stay as written (no name or state of the library's has any).
    mutating func string() throws(Malformed) -> String {
        try expect(UInt8(ascii: "\""))
        let start = position
        try passStringEnd()
        return String(decoding: bytes[start..<position - 1], as: UTF8.self)
    }

    private mutating func skipValue() throws(Malformed) {
        var depth = 0
        repeat {
            switch try next() {
            case UInt8(ascii: "\""):
                position += 1
                try passStringEnd()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                position += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                if depth == 0 { throw Malformed() }
                position += 1
            default:
                while position < bytes.count, !Self.endsScalar(bytes[position]) { position += 1 }
            }
        } while depth > 0
        if depth < 0 { throw Malformed() }
    }

    private mutating func passStringEnd() throws(Malformed) {
        while position < bytes.count {
            let byte = bytes[position]
            position += byte == UInt8(ascii: "\\") ? 2 : 1
            if byte == UInt8(ascii: "\"") { return }
        }
        throw Malformed()
    }

    private mutating func next() throws(Malformed) -> UInt8 {
        while position < bytes.count, Self.isBlank(bytes[position]) { position += 1 }
        guard position < bytes.count else { throw Malformed() }
        return bytes[position]
    }

    private mutating func expect(_ byte: UInt8) throws(Malformed) {
        guard try next() == byte else { throw Malformed() }
        position += 1
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

    private static func endsScalar(_ byte: UInt8) -> Bool {
        isBlank(byte) || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]")
    }
}
