// The checks of a head as a pure function: faults by table, and mutations that must never change what is served.

import Basics
import Testing

@testable import HTTPServer

@Suite struct RawHeadTests {
    private static func head(
        _ method: String = "POST",
        _ target: String = "/hook",
        _ version: String = "HTTP/1.1",
        _ fields: [(String, String)] = [("Host", "a"), ("Content-Length", "2")],
        extraBytes: Int = 0
    ) -> RawHead {
        var list = HeaderFields()
        var count = method.utf8.count + target.utf8.count + version.utf8.count + 6
        for (name, value) in fields {
            list.append(name: name.utf8, value: value.utf8)
            count += name.utf8.count + value.utf8.count + 4
        }
        return RawHead(
            method: Array(method.utf8),
            target: Array(target.utf8),
            version: Array(version.utf8),
            fields: list,
            byteCount: count + extraBytes
        )
    }

    private static func inspect(_ head: RawHead) -> Result<RawHead.Facts, HeadFault> { head.inspected(by: .init()) }

    @Test func `takes a plain head`() throws {
        let facts = try Self.inspect(Self.head()).get()
        #expect(facts == RawHead.Facts(framing: RequestFraming(contentLength: 2), isPlain: true))
    }

    @Test(arguments: [-1, 1, 2, 100])
    func `marks a head whose parts do not add up`(_ extra: Int) throws {
        #expect(try Self.inspect(Self.head(extraBytes: extra)).get().isPlain == false)
    }

    @Test(
        arguments: [
            ("GET", "/", "HTTP/1.1", [("Host", "a")], nil),
            ("PUT", "/", "HTTP/1.1", [("Host", "a")], nil),
            ("POST", "/", "HTTP/1.0", [("Content-Length", "0")], nil),
            ("POST", "/", "HTTP/1.1", [("Host", "a")], HeadFault.missingLength),
            ("GET", "/", "HTTP/1.1", [], .missingHost),
            ("GET", "/", "HTTP/1.1", [("Host", "a"), ("hOST", "a")], .repeatedHost),
            ("GET", "/", "HTTP/1.0", [("Host", "a"), ("Host", "a")], .repeatedHost),
            ("GET", "/", "HTTP/1.1", [("Host", "a"), ("Hosta", "a")], .disguisedField),
            ("GET", "/", "HTTP/1.1", [("Host", "a"), ("content-lengthX", "a")], .disguisedField),
            ("GET", "/", "HTTP/1.1", [("Host", "a"), ("TRANSFER-ENCODINGX", "a")], .disguisedField),
            ("GET", "/", "HTTP/1.1", [("Host", "a"), ("Expectation", "a"), ("Hos", "x"), ("Cookie", "y")], nil),
            ("GET", "/", "HTTP/1.2", [("Host", "a")], .unsupportedVersion),
            ("GET", "/", "HTTP/1.", [("Host", "a")], .unsupportedVersion),
            ("GET", "/", "http/1.1", [("Host", "a")], .unsupportedVersion),
            ("GET", "", "HTTP/1.1", [("Host", "a")], .malformedTarget),
            ("GET", "/ ", "HTTP/1.1", [("Host", "a")], .malformedTarget),
            ("GET", "/\u{7F}", "HTTP/1.1", [("Host", "a")], .malformedTarget),
            ("GET", "/", "HTTP/1.1", [("Host", "a"), ("", "a")], .malformedField),
            ("GET", "/", "HTTP/1.1", [("Host", "a"), ("a b", "a")], .malformedField),
            ("GET", "/", "HTTP/1.1", [("Host", "a"), ("a\u{E9}", "a")], .malformedField),
            ("GET", "/", "HTTP/1.1", [("Host", "a"), ("a", "\u{0}")], .malformedField),
            ("GET", "/", "HTTP/1.1", [("Host", "a"), ("a", "\r")], .malformedField),
            ("GET", "/", "HTTP/1.1", [("Host", "a"), ("a", "\t\u{E9}")], nil),
            ("POST", "/", "HTTP/1.1", [("Host", "a"), ("Content-Length", "")], .malformedLength),
            ("POST", "/", "HTTP/1.1", [("Host", "a"), ("Content-Length", " 1")], .malformedLength),
            ("POST", "/", "HTTP/1.1", [("Host", "a"), ("Content-Length", "1,1")], .malformedLength),
            ("POST", "/", "HTTP/1.1", [("Host", "a"), ("Content-Length", "9223372036854775807")], nil),
            ("POST", "/", "HTTP/1.1", [("Host", "a"), ("Content-Length", "9223372036854775808")], .lengthTooLarge),
            (
                "POST", "/", "HTTP/1.1", [("Host", "a"), ("Content-Length", "1"), ("Content-Length", "1")],
                .repeatedLength
            ),
            (
                "POST", "/", "HTTP/1.1",
                [("Host", "a"), ("Content-Length", "1"), ("Transfer-Encoding", "chunked")], .lengthAndCoding
            ),
            (
                "POST", "/", "HTTP/1.1",
                [("Host", "a"), ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], .repeatedCoding
            ),
            ("POST", "/", "HTTP/1.0", [("Transfer-Encoding", "chunked")], .codingInOldVersion),
            ("POST", "/", "HTTP/1.1", [("Host", "a"), ("Transfer-Encoding", "Chunked")], .unknownCoding),
            ("POST", "/", "HTTP/1.1", [("Host", "a"), ("Transfer-Encoding", "chunked ")], .unknownCoding),
            ("POST", "/", "HTTP/1.1", [("Host", "a"), ("transfer-encoding", "chunked")], nil),
        ] as [(String, String, String, [(String, String)], HeadFault?)]
    )
    func `finds the fault`(
        _ method: String,
        _ target: String,
        _ version: String,
        _ fields: [(String, String)],
        _ fault: HeadFault?
    ) {
        switch Self.inspect(Self.head(method, target, version, fields)) {
        case .success: #expect(fault == nil)
        case .failure(let found): #expect(found == fault)
        }
    }

    @Test func `has a status of the contract for each fault`() {
        let statuses = Dictionary(grouping: HeadFault.allCases, by: \.status)
        #expect(Set(statuses.keys) == [400, 413, 414, 431, 505])
        #expect(statuses[400]?.count == HeadFault.allCases.count - 5)
    }

    @Test(
        arguments: [
            ("/a", "/a", nil), ("/a?", "/a", ""), ("/a?b?c", "/a", "b?c"), ("/a%2Fb", "/a%2Fb", nil),
            ("http://h/a?b", "/a", "b"), ("HTTPS://h:1", "/", nil), ("http://h?b", "/", "b"), ("http://", "/", nil),
            ("httpx://h/a", "httpx://h/a", nil), ("*", "*", nil), ("h:443", "h:443", nil), ("//h/a", "//h/a", nil),
        ] as [(String, String, String?)]
    )
    func `takes a target apart`(_ target: String, _ path: String, _ query: String?) {
        let parsed = RequestTarget(Array(target.utf8)[...])
        #expect(parsed.path == path)
        #expect(parsed.query == query)
    }

    /// 30,000 mutations of good heads: no trap, and what is served has one Host, one way to say its length, and names
    /// and values that cannot hide anything.
    @Test func `never serves a mutated head that is ambiguous`() {
        var random = SeededGenerator(seed: 17)
        let seeds: [[(String, String)]] = [
            [("Host", "a"), ("Content-Length", "2"), ("Content-Type", "application/json")],
            [("Host", "a"), ("Transfer-Encoding", "chunked"), ("Expect", "100-continue")],
        ]
        let snippets = [
            "Content-Length", "Transfer-Encoding", "Host", "chunked", " ", "\t", "\0", "\r\n ", ":", ",", "9", "é",
        ]
        var served = 0
        for _ in 0..<30_000 {
            var fields = seeds.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let index = Int.random(in: 0..<max(1, fields.count), using: &random)
                let snippet = snippets.randomElement(using: &random) ?? ""
                switch Int.random(in: 0..<6, using: &random) {
                case 0 where !fields.isEmpty: fields[index].0 += snippet
                case 1 where !fields.isEmpty: fields[index].1 += snippet
                case 2 where !fields.isEmpty: fields[index].1 = snippet
                case 3 where !fields.isEmpty: fields.remove(at: index)
                case 4 where !fields.isEmpty: fields.append(fields[index])
                default: fields.append((snippet, snippet))
                }
            }
            let version = Bool.random(using: &random) ? "HTTP/1.1" : "HTTP/1.0"
            guard case .success(let facts) = Self.inspect(Self.head("POST", "/", version, fields)) else { continue }
            served += 1
            let names = fields.map { $0.0.lowercased() }
            let lengths = names.filter { $0 == "content-length" }.count
            let codings = names.filter { $0 == "transfer-encoding" }.count
            #expect(lengths + codings == 1)
            #expect(names.filter { $0 == "host" }.count == (version == "HTTP/1.1" ? 1 : names.contains("host") ? 1 : 0))
            #expect((facts.framing.contentLength != nil) == (lengths == 1))
            #expect(facts.framing.isChunked == (codings == 1))
            #expect(fields.allSatisfy { name, value in !(name + value).utf8.contains { $0 < 0x20 && $0 != 9 } })
        }
        #expect(served > 500)
    }
}
