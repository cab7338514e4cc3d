// The scan of a webhook's body against a plain reader of the same rules, on bodies made and bodies broken.

import Basics
import PipelineEvents
import PlaidAPI
import Testing

@testable import WebhookReceiver

@Suite struct BodyFuzzTests {
    /// Bodies that found something or come near an edge of the rules; where the next ones begin.
    static let corpus: [String] = [
        readyBody,
        #"{"webhook_type":"ITEM","webhook_code":"ERROR","item_id":"i","error":{"webhook_type":"x","user_id":[1]}}"#,
        #"{"webhook\u005ftype":"LINK","webhook_code":"A","\u0075ser_id":"u","link_token":null}"#,
        #"{"webhook_type":"A","webhook_type":"A","webhook_code":"B"}"#,
        #"{"webhook_type":"A","webhook\u005Ftype":"A","webhook_code":"B"}"#,
        #"{"webhook_type":"A\u0000","webhook_code":"\ud83d\ude00","environment":"sandbox"}"#,
        #"{"webhook_type":"A","webhook_code":"B","x":"\ud83d"}"#,
        #"{"webhook_type":"A","webhook_code":"B","\ude00":1}"#,
        #"{"webhook_type":"A","webhook_code":"B","x":[1e308,1e309,-0,0.1e-400,18446744073709551616]}"#,
        #"{"webhook_type":"A","webhook_code":"B","environment":"production"}"#,
        #"{"webhook_type":"","webhook_code":"B"}"#, #"{"webhook_type":{},"webhook_code":[]}"#,
        "\u{FEFF}{}", " \t\r\n{ } ", "[{\"webhook_type\":\"A\"}]", "\"webhook_type\"", "{\"a\":[[[[[[[[]]]]]]]]}", "",
        "{\"webhook_type\":\"A\",\"webhook_code\":\"B\"}\0", "{\"webhook_type\":\"A\n\",\"webhook_code\":\"B\"}",
        #"{"webhook_type":"A","webhook_code":"B",}"#, #"{"webhook_type" "A"}"#, #"{'webhook_type':'A'}"#,
        #"{"webhook_type":"A","webhook_code":"B"}{"webhook_type":"A","webhook_code":"B"}"#, "nul", "-", "1.", "01",
        "1e",
    ]

    static let names = ["webhook_type", "webhook_code", "user_id", "item_id", "link_token", "environment"]

    private static let snippets: [[UInt8]] =
        (names.flatMap { ["\"\($0)\":", ",\"\($0)\":\"a\"", "\"\($0)\":null,"] } + [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0000", "\\ud800", "\\udc00", "\\u005f", "null", "true",
            "1e999",
            "\"sandbox\"", "\"environment\":\"sandbox\",", "/**/", "NaN", "99999999999999999999", "\u{FEFF}", "é", "😀",
        ]).map { Array($0.utf8) } + [[0xC3], [0xFF], [0xED, 0xA0, 0x80], [0xC0, 0xAF], [0]]

    @Test(arguments: FuzzEffort.seeds)
    func `reads every body as a plain reader does, or refuses what no reader must read`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var (lawful, refused, extreme) = (0, 0, 0)
        for round in 0..<FuzzEffort.rounds(share: 0.4) {
            let origin = random.once(in: 2) ? Array(random.pick(Self.corpus).utf8) : Self.body(&random)
            let bytes = random.once(in: 3) ? origin : mutated(origin, snippets: Self.snippets, &random)
            // Whether a byte order mark is skipped is a reader's choice.
            if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { continue }
            let found = WebhookFields.read(Bytes(bytes), environment: .sandbox)
            let reference = ReferenceJSON(bytes)
            let expected = Self.expected(reference)
            switch expected {
            case .success: lawful += 1
            case .failure: refused += 1
            }
            var agrees = found == expected
            if reference.root != nil, reference.isExtreme {
                extreme += 1
                agrees = agrees || found == .failure(.init(reason: .notJSON))
            }
            if !agrees {
                Issue.record(
                    "seed \(seed), round \(round): \(found), not \(expected): \(String(decoding: bytes, as: UTF8.self))"
                )
                return
            }
        }
        // Neither side may be rare, or the comparison says little.
        #expect(min(lawful, refused) > FuzzEffort.rounds(share: 0.4) / 20, "\(lawful) lawful, \(refused) refused")
        #expect(extreme > 0)
    }

    /// The contract's rules on a body, once more.
    private static func expected(_ document: ReferenceJSON) -> Result<WebhookRouting, WebhookFields.Refusal> {
        func refusal(_ reason: Answer.Unusable) -> Result<WebhookRouting, WebhookFields.Refusal> {
            .failure(.init(reason: reason))
        }
        guard case .object(let members) = document.root else { return refusal(.notJSON) }
        let found = names.map { name in members.filter { $0.name == Array(name.utf8) }.map(\.value) }
        var texts: [String?] = []
        // The first fault in the order of the names is the one that counts.
        for (index, values) in found.enumerated() {
            guard values.count < 2 else { return refusal(.repeatedField) }
            switch values.first {
            case nil, .null: texts.append(nil)
            case .string(let bytes) where bytes.count > 1_024: return refusal(.fieldTooLong)
            case .string(let bytes): texts.append(bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self))
            default: return refusal(.fieldType)
            }
            if index < 2, texts[index] == nil { return refusal(.missingField) }
        }
        guard let type = texts[0], let code = texts[1] else { return refusal(.missingField) }
        if let environment = texts[5], environment != "sandbox" { return refusal(.otherEnvironment) }
        return .success(
            WebhookRouting(type: type, code: code, userID: texts[2], itemID: texts[3], linkToken: texts[4])
        )
    }

    // MARK: Bodies from the grammar

    private static func body(_ random: inout SeededGenerator) -> [UInt8] {
        var members: [String] = []
        for name in names where !random.once(in: 8) {
            let usual = name == "environment" ? "\"sandbox\"" : "\"A\""
            let value = random.once(in: 12) ? value(&random, depth: 0) : usual
            members.append(quoted(name, &random) + blank(&random) + ":" + value)
        }
        for _ in 0..<Int.random(in: 0...2, using: &random) {
            members.append(
                quoted(random.pick(["x", "y", "z", "", "webhook_Type", "user_id "] + names), &random) + ":"
                    + value(&random, depth: 0)
            )
        }
        members.shuffle(using: &random)
        return Array(("{" + members.joined(separator: "," + blank(&random)) + blank(&random) + "}").utf8)
    }

    private static func value(_ random: inout SeededGenerator, depth: Int) -> String {
        switch Int.random(in: 0..<(depth < 4 ? 8 : 6), using: &random) {
        case 0: return random.pick(["null", "true", "false"])
        case 1:
            return random.pick(["0", "-0", "1", "-12", "1.5", "1e3", "2E-2", "9223372036854775807", "1e308", "1e309"])
        case 2, 3, 4, 5:
            return quoted(random.pick(["", "a", "é😀", "webhook_type", "a\"b\\c/d", "\u{7F}\u{2028}"]), &random)
        case 6:
            let count = Int.random(in: 0...3, using: &random)
            return "[" + (0..<count).map { _ in value(&random, depth: depth + 1) }.joined(separator: ",") + "]"
        default:
            let count = Int.random(in: 0...3, using: &random)
            return "{"
                + (0..<count).map { _ in quoted(random.pick(names), &random) + ":" + value(&random, depth: depth + 1) }
                .joined(separator: ",") + "}"
        }
    }

    private static func blank(_ random: inout SeededGenerator) -> String {
        random.pick(["", "", "", " ", "\n", "\t\r\n"])
    }

    /// A string in one of its many spellings.
    private static func quoted(_ text: String, _ random: inout SeededGenerator) -> String {
        var spelled = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" {
                spelled += "\\\(scalar)"
            } else if random.once(in: 12), scalar.value < 0x10000 {
                let digits = String(scalar.value, radix: 16, uppercase: random.once(in: 2))
                spelled += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            } else {
                spelled.unicodeScalars.append(scalar)
            }
        }
        return spelled + "\""
    }
}
