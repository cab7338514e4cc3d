import Basics
import CSimdjson
import Glibc
import JSON
import Testing

@Suite struct StrictParsingTests {
    @Test(arguments: Corpus.accepted)
    func `accepts lawful documents`(_ sample: Sample) throws {
        _ = try JSON.parse(sample.bytes)
        #expect(try JSON.parse(Bytes(sample.bytes)) == JSON.parse(sample.bytes))
        #expect(scan(sample.bytes) == CSIMDJSON_OK)
    }

    @Test(arguments: Corpus.refused)
    func `refuses everything else`(_ sample: Sample) {
        guard let refusal = refusal(of: sample.bytes), case .notJSON = refusal else {
            Issue.record("\(sample.name) was not refused as no JSON")
            return
        }
        #expect(throws: refusal) { try JSON.parse(Bytes(sample.bytes)) }
        #expect(throws: JSONRefusal.self) { try JSON.routingFields(Bytes(sample.bytes), names: ["a"]) }
        #expect(throws: JSONRefusal.self) { try JSON.reportFacts(Bytes(sample.bytes), query: ReportQuery(paths: [])) }
    }

    @Test(arguments: Corpus.unreadable)
    func `tells lawful but unreadable documents from broken ones`(_ sample: Sample) {
        #expect(refusal(of: sample.bytes) == .lawfulButUnreadable)
        #expect(scan(sample.bytes) == CSIMDJSON_OK)
    }

    @Test(arguments: [
        ("", JSONRefusal.Reason.empty), ("  ", .empty), ("[\"a", .unclosedString), ("[\"\n\"]", .controlCharacter),
        ("[1,]", .structure),
    ])
    func `names the kind of fault`(_ text: String, _ reason: JSONRefusal.Reason) {
        #expect(refusal(of: Array(text.utf8)) == .notJSON(reason))
    }

    @Test func `names the encoding as the fault`() {
        #expect(refusal(of: [0x22, 0xFF, 0x22]) == .notJSON(.encoding))
    }

    @Test func `reads every kind of value, order and repeats kept`() throws {
        let text = #"{"b":[1,-2,18446744073709551615,0.5,true,false,null],"a":"x\u00e9\n","b":{}}"#
        let value = try JSON.parse(Array(text.utf8))
        let expected: JSONValue = .object([
            JSONMember(
                key: "b",
                value: .array([
                    .integer(1), .integer(-2), .unsigned(.max), .double(0.5), .bool(true), .bool(false), .null,
                ])
            ),
            JSONMember(key: "a", value: .string("xé\n")),
            JSONMember(key: "b", value: .object([])),
        ])
        #expect(value == expected)
        #expect(value.hasDuplicateKeys)
        #expect(value["a"]?.stringValue == "xé\n")
        #expect(value["b"]?.arrayValue?.count == 7)
        #expect(value["c"] == nil)
    }

    @Test func `every cut of a report is refused`() {
        let whole = Array(Corpus.report.utf8)
        #expect(throws: Never.self) { try JSON.parse(whole) }
        for count in 0..<whole.count {
            #expect(throws: JSONRefusal.self) { try JSON.parse(Array(whole.prefix(count))) }
        }
    }

    @Test func `limits the depth of trees and of documents`() throws {
        func nested(_ levels: Int, _ open: String, _ close: String, _ inner: String) -> [UInt8] {
            Array((String(repeating: open, count: levels) + inner + String(repeating: close, count: levels)).utf8)
        }
        let empty = ReportQuery(paths: [])
        for (open, close, inner) in [("[", "]", "1"), ("{\"a\":", "}", "1")] {
            _ = try JSON.parse(nested(JSON.mostTreeLevels, open, close, inner))
            #expect(throws: JSONRefusal.tooDeep) { try JSON.parse(nested(JSON.mostTreeLevels + 1, open, close, inner)) }
            _ = try JSON.reportFacts(Bytes(nested(1_024, open, close, inner)), query: empty)
            #expect(throws: JSONRefusal.tooDeep) {
                try JSON.reportFacts(Bytes(nested(1_025, open, close, inner)), query: empty)
            }
            // The scan that judges unreadable documents has the same limit.
            let unreadable = nested(1_024, open, close, "1e999")
            #expect(try JSON.reportFacts(Bytes(unreadable), query: empty).isStrict == false)
            #expect(scan(nested(1_025, open, close, "1")) == CSIMDJSON_TOO_DEEP)
        }
    }

    @Test func `reads to the last byte of a page and no further`() throws {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let mapped = mmap(nil, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        let base = try #require(mapped != MAP_FAILED ? mapped : nil)
        defer { munmap(base, 2 * page) }
        try #require(mprotect(base + page, page, PROT_NONE) == 0)
        for text in [Corpus.report, "1", #""\ud83d""#, "[1", #"["#] {
            let source = Array(text.utf8)
            let start = base + page - source.count
            start.copyMemory(from: source, byteCount: source.count)
            let bytes = Bytes(adopting: start, count: source.count, readablePadding: 0) { _ in }
            // What matters is that none of these reads beyond the page.
            _ = try? JSON.parse(bytes)
            _ = try? JSON.reportFacts(bytes, query: ReportQuery(paths: [["report", "report_id"]]))
            _ = try? JSON.routingFields(bytes, names: ["request_id"])
        }
        let source = Array(Corpus.report.utf8)
        let start = base + page - source.count
        start.copyMemory(from: source, byteCount: source.count)
        let bytes = Bytes(adopting: start, count: source.count, readablePadding: 0) { _ in }
        #expect(try JSON.routingFields(bytes, names: ["request_id"]) == ["request_id": .string("bQ3")])
    }

    @Test func `many tasks parse at once, each with its own result`() async {
        await withTaskGroup(of: Bool.self) { group in
            for task in 0..<8 {
                group.addTask {
                    (0..<200).allSatisfy { round in
                        let text = "{\"task\":\(task),\"round\":[\(round)],\"text\":\"t\(task)r\(round)\"}"
                        let value = try? JSON.parse(Array(text.utf8))
                        return value?["task"]?.intValue == Int64(task)
                            && value?["text"]?.stringValue == "t\(task)r\(round)"
                    }
                }
            }
            for await right in group { #expect(right) }
        }
    }

    private func refusal(of bytes: [UInt8]) -> JSONRefusal? {
        do throws(JSONRefusal) {
            _ = try JSON.parse(bytes)
            return nil
        } catch {
            return error
        }
    }
}

/// The parser and the grammar scan are two implementations of one grammar.
@Suite struct GrammarScanTests {
    @Test func `agrees with the parser on ten thousand altered documents`() {
        var random = SeededGenerator(seed: 20_261_126)
        let seeds = (Corpus.accepted + Corpus.unreadable + [Sample("report", Corpus.report)]).map(\.bytes)
        let alphabet = Array("{}[]:,\"\\ue0123456789.+-Ettrufalsn \n/dD8cC".utf8)
        var lawful = 0
        var unlawful = 0
        for _ in 0..<10_000 {
            var bytes = seeds.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                let byte = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = byte
                case 1: bytes.insert(byte, at: index)
                default: bytes.remove(at: index)
                }
            }
            let scanned = scan(bytes)
            do throws(JSONRefusal) {
                _ = try JSON.parse(bytes)
                lawful += 1
                #expect(scanned == CSIMDJSON_OK, "\(String(decoding: bytes, as: UTF8.self))")
            } catch {
                switch error {
                case .notJSON(.encoding): continue
                case .lawfulButUnreadable: #expect(scanned == CSIMDJSON_OK)
                default:
                    unlawful += 1
                    #expect(scanned == CSIMDJSON_STRUCTURE, "\(String(decoding: bytes, as: UTF8.self))")
                }
            }
        }
        #expect(lawful > 500 && unlawful > 500)
    }
}

func scan(_ bytes: [UInt8]) -> csimdjson_status {
    csimdjson_status(rawValue: UInt32(csimdjson_scan(bytes, bytes.count)))
}
