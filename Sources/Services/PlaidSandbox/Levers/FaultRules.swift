// Faults on demand: which calls go wrong, and how.

import Basics
import JSON

/// What a rule does to a call.
struct Fault: Hashable, Sendable {
    enum Answer: Hashable, Sendable {
        /// The call has no effect and gets this error.
        case error(PlaidRefusal, retryAfter: Int?)
        /// The call has its effect; the connection closes before the answer.
        case drop
        /// The call has its effect; the body breaks off after so many bytes of the length that was promised.
        case cut(Int)
        /// The call has its effect; the body is shortened to so many bytes, and so is its length.
        case truncate(Int)
        /// The call has its effect; the body ends although more bytes than it has were promised.
        case overpromise(Int)
        /// The call has no effect; a page of HTML with status 200.
        case html
    }

    /// Waited before anything else.
    var latency: Duration = .zero
    var answer: Answer?
}

/// The rules in their order, and how often each was met. All matching rules' latencies add up; the first one with an
/// answer decides it.
struct FaultRules: Sendable {
    struct Rule: Sendable {
        /// A path, or its beginning and `*`.
        var endpoint: String?
        var userID: String?
        var product: String?
        /// Of the matching calls, by a seeded dice: 0 to 1.
        var share: Double = 1
        /// Matching calls that are let through first.
        var skip = 0
        /// Calls that are still to be met; nil: no end.
        var count: Int?
        var latency: ClosedRange<Duration>?
        var answer: Fault.Answer?
        var hits = 0
        let source: JSONValue
    }

    static let mostRules = 1_000

    private(set) var rules: [Rule] = []
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed ^ 0xFA01_7500) }

    mutating func replace(_ rules: [Rule]) { self.rules = rules }

    mutating func meet(path: String, userID: String?, product: String?) -> Fault {
        var fault = Fault()
        for index in rules.indices where fault.answer == nil || rules[index].answer == nil {
            guard matches(rules[index], path, userID, product) else { continue }
            if rules[index].skip > 0 {
                rules[index].skip -= 1
                continue
            }
            if rules[index].share < 1, Double.random(in: 0..<1, using: &generator) >= rules[index].share { continue }
            rules[index].hits += 1
            if let count = rules[index].count { rules[index].count = count - 1 }
            if let latency = rules[index].latency {
                let share = Double.random(in: 0...1, using: &generator)
                fault.latency += latency.lowerBound + (latency.upperBound - latency.lowerBound) * share
            }
            if fault.answer == nil { fault.answer = rules[index].answer }
        }
        return fault
    }

    private func matches(_ rule: Rule, _ path: String, _ userID: String?, _ product: String?) -> Bool {
        if rule.count == 0 { return false }
        if let endpoint = rule.endpoint {
            if endpoint.hasSuffix("*") {
                guard path.hasPrefix(endpoint.dropLast()) else { return false }
            } else if endpoint != path {
                return false
            }
        }
        if let wanted = rule.userID, wanted != userID { return false }
        if let wanted = rule.product, wanted != product { return false }
        return true
    }

    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.array("rules") { writer in
                for rule in rules {
                    writer.object { writer in
                        for member in rule.source.objectValue ?? [] where member.key != "hits" && member.key != "left" {
                            writer.field(member.key, member.value)
                        }
                        writer.field("hits", rule.hits)
                        if let count = rule.count { writer.field("left", count) }
                    }
                }
            }
        }
    }
}

// MARK: reading

extension FaultRules {
    private static let fields: [FieldShape.Field] = [
        Field("endpoint", .text(1...200)), Field("user_id", .text(1...256)), Field("product", .text(1...100)),
        Field("share", .number), Field("skip", .integer(0...1_000_000_000)),
        Field("count", .integer(1...1_000_000_000)),
        Field("latency_ms", .integer(0...160_000)), Field("latency_to_ms", .integer(0...160_000)),
        Field("error_type", .text(1...100)), Field("error_code", .text(1...100)), Field("error_message", .text()),
        Field("status", .integer(200...599)), Field("retry_after", .integer(0...86_400)),
        Field("drop", .flag), Field("cut_after", .integer(0...64_000_000)),
        Field("truncate_to", .integer(0...64_000_000)), Field("overpromise", .integer(1...64_000_000)),
        Field("html", .flag),
        // What GET adds is taken back by PUT.
        Field("hits", .integer(0...Int64.max)), Field("left", .integer(0...Int64.max)),
    ]

    /// Rules from `{"rules": [...]}` or the bare array; refuses what it does not know.
    static func parse(_ json: JSONValue) throws(PlaidRefusal) -> [Rule] {
        guard let list = json.arrayValue ?? json["rules"]?.arrayValue else {
            throw .invalidField("rules", "must be an array")
        }
        if json.arrayValue == nil { try FieldShape.check(json, [Field("rules", .array(of: .anyObject))]) }
        guard list.count <= mostRules else { throw .invalidField("rules", "at most \(mostRules)") }
        var rules: [Rule] = []
        for (index, entry) in list.enumerated() { rules.append(try rule(entry, at: "rules[\(index)].")) }
        return rules
    }

    private static func rule(_ json: JSONValue, at path: String) throws(PlaidRefusal) -> Rule {
        try FieldShape.check(json, fields, at: path)
        var rule = Rule(source: json)
        rule.endpoint = json["endpoint"]?.stringValue
        rule.userID = json["user_id"]?.stringValue
        rule.product = json["product"]?.stringValue
        rule.share = try share(json["share"], at: path)
        rule.skip = Int(json["skip"]?.intValue ?? 0)
        rule.count = json["count"]?.intValue.map(Int.init)
        if let least = json["latency_ms"]?.intValue {
            let most = max(least, json["latency_to_ms"]?.intValue ?? least)
            rule.latency = .milliseconds(least) ... .milliseconds(most)
        }
        rule.answer = try answer(json, at: path)
        guard rule.latency != nil || rule.answer != nil else { throw .invalidField(path, "names no fault") }
        return rule
    }

    private static func share(_ json: JSONValue?, at path: String) throws(PlaidRefusal) -> Double {
        let share: Double =
            switch json {
            case .integer(let number): Double(number)
            case .double(let number): number
            default: 1
            }
        guard (0...1).contains(share) else { throw .invalidField(path + "share", "must be from 0 to 1") }
        return share
    }

    private static func answer(_ json: JSONValue, at path: String) throws(PlaidRefusal) -> Fault.Answer? {
        var answers: [Fault.Answer] = []
        let retryAfter = json["retry_after"]?.intValue.map(Int.init)
        if json["error_type"] != nil || json["error_code"] != nil || retryAfter != nil || json["status"] != nil {
            let status = Int(json["status"]?.intValue ?? (retryAfter == nil ? 400 : 429))
            let refusal = PlaidRefusal(
                json["error_type"]?.stringValue ?? (status == 429 ? "RATE_LIMIT_EXCEEDED" : "API_ERROR"),
                json["error_code"]?.stringValue ?? (status == 429 ? "RATE_LIMIT" : "INTERNAL_SERVER_ERROR"),
                json["error_message"]?.stringValue ?? "a fault that was asked for",
                status: status
            )
            answers.append(.error(refusal, retryAfter: retryAfter))
        }
        if json["drop"]?.boolValue == true { answers.append(.drop) }
        if json["html"]?.boolValue == true { answers.append(.html) }
        if let bytes = json["cut_after"]?.intValue { answers.append(.cut(Int(bytes))) }
        if let bytes = json["truncate_to"]?.intValue { answers.append(.truncate(Int(bytes))) }
        if let bytes = json["overpromise"]?.intValue { answers.append(.overpromise(Int(bytes))) }
        guard answers.count <= 1 else { throw .invalidField(path, "names more than one kind of answer") }
        return answers.first
    }
}
