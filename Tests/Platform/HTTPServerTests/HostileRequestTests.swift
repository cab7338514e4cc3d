// Raw bytes against the running server: what is refused, what is served but closed, and that nothing behind an
// ambiguous request is ever served.

import Basics
import HTTPServer
import Testing

struct RawCase: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    /// Statuses in order. Of a malformed length the library writes its answer's head twice: one is counted.
    let answers: [Int]
    /// Paths that reach the service.
    let served: [String]

    var testDescription: String { name }

    init(_ name: String, _ text: String, answers: [Int] = [], served: [String] = []) {
        self.name = name
        bytes = Array(text.utf8)
        self.answers = answers
        self.served = served
    }
}

/// Behind each hostile request stands a second one that must not be served.
private let second = post("/second")
private func head(_ fields: String, line: String = "POST /hook HTTP/1.1") -> String { "\(line)\r\n\(fields)\r\n" }

private let chunks = head("Host: a\r\nTransfer-Encoding: chunked\r\n")

@Suite struct HostileRequestTests {
    static let refused: [RawCase] = [
        // Two ways to say where the body ends.
        RawCase(
            "length and coding",
            head("Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
            answers: [400]
        ),
        RawCase(
            "coding and length",
            head("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n") + "0\r\n\r\n",
            answers: [400]
        ),
        RawCase("equal lengths", head("Host: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n") + "{}", answers: [400]),
        RawCase("other lengths", head("Host: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n") + "{}", answers: [400]),
        RawCase(
            "lengths in another case",
            head("Host: a\r\nContent-Length: 2\r\ncontent-length: 40\r\n") + "{}",
            answers: [400]
        ),
        RawCase(
            "two codings",
            head("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
            answers: [400]
        ),
        RawCase("no length at all", head("Host: a\r\n"), answers: [400]),
        RawCase("negative length", head("Host: a\r\nContent-Length: -1\r\n"), answers: [400]),
        RawCase("signed length", head("Host: a\r\nContent-Length: +2\r\n") + "{}", answers: [400]),
        RawCase("hexadecimal length", head("Host: a\r\nContent-Length: 0x2\r\n") + "{}", answers: [400]),
        RawCase("list of lengths", head("Host: a\r\nContent-Length: 2, 2\r\n") + "{}", answers: [400]),
        RawCase("empty length", head("Host: a\r\nContent-Length:\r\n") + "{}", answers: [400]),
        RawCase("length over 64 bits", head("Host: a\r\nContent-Length: 18446744073709551616\r\n"), answers: [413]),
        RawCase("length over 63 bits", head("Host: a\r\nContent-Length: 9223372036854775808\r\n"), answers: [413]),
        RawCase("10 GB length", head("Host: a\r\nContent-Length: 10737418240\r\n"), answers: [413]),
        RawCase("folded length", head("Host: a\r\nContent-Length: 2\r\n 9\r\n") + "{}", answers: [400]),
        RawCase("folded coding", head("Host: a\r\nTransfer-Encoding:\r\n chunked\r\n") + "0\r\n\r\n", answers: [400]),
        RawCase("folded host", head("Host: a\r\n b\r\nContent-Length: 2\r\n") + "{}", answers: [400]),
        RawCase("space before the colon", head("Host: a\r\nContent-Length : 2\r\n") + "{}", answers: [400]),
        RawCase(
            "a longer name",
            head("Host: a\r\nContent-Length-X: 2\r\nContent-Length: 2\r\n") + "{}",
            answers: [400]
        ),
        // Codings.
        RawCase(
            "gzip and chunked",
            head("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n",
            answers: [400]
        ),
        RawCase("identity", head("Host: a\r\nTransfer-Encoding: identity\r\n") + "{}", answers: [400]),
        RawCase("not quite chunked", head("Host: a\r\nTransfer-Encoding: xchunked\r\n") + "0\r\n\r\n", answers: [400]),
        RawCase(
            "chunked, chunked",
            head("Host: a\r\nTransfer-Encoding: chunked, chunked\r\n") + "0\r\n\r\n",
            answers: [400]
        ),
        RawCase("CHUNKED", head("Host: a\r\nTransfer-Encoding: CHUNKED\r\n") + "0\r\n\r\n", answers: [400]),
        RawCase(
            "coding in 1.0",
            head("Transfer-Encoding: chunked\r\nConnection: Keep-Alive\r\n", line: "POST /hook HTTP/1.0") + "0\r\n\r\n",
            answers: [400]
        ),
        // Whose request it is.
        RawCase("no host", head("Content-Length: 2\r\n") + "{}", answers: [400]),
        RawCase("two hosts", head("Host: a\r\nHost: b\r\nContent-Length: 2\r\n") + "{}", answers: [400]),
        RawCase("equal hosts", head("Host: a\r\nHost: a\r\nContent-Length: 2\r\n") + "{}", answers: [400]),
        // Fields.
        RawCase("no colon", head("Host: a\r\nX\r\nContent-Length: 2\r\n") + "{}", answers: [400]),
        RawCase("bad byte in a name", head("Host: a\r\nX@Y: 1\r\nContent-Length: 2\r\n") + "{}", answers: [400]),
        RawCase("empty name", head("Host: a\r\n: 1\r\nContent-Length: 2\r\n") + "{}", answers: [400]),
        RawCase("control in a value", head("Host: a\r\nX: \u{1}\r\nContent-Length: 2\r\n") + "{}", answers: [400]),
        RawCase("delete in a value", head("Host: a\r\nX: \u{7F}\r\nContent-Length: 2\r\n") + "{}", answers: [400]),
        RawCase(
            "65 fields",
            head("Host: a\r\n" + String(repeating: "X: 1\r\n", count: 63) + "Content-Length: 2\r\n") + "{}",
            answers: [431]
        ),
        RawCase(
            "9 KiB of header",
            head("Host: a\r\nX: " + String(repeating: "x", count: 9_000) + "\r\nContent-Length: 2\r\n") + "{}",
            answers: [431]
        ),
        RawCase("1 MB of header", head("Host: a\r\nX: " + String(repeating: "x", count: 1 << 20)), answers: [431]),
        RawCase("20,000 fields", head("Host: a\r\n" + String(repeating: "X: 1\r\n", count: 20_000)), answers: [431]),
        // Request lines.
        RawCase(
            "long target",
            head("Host: a\r\n", line: "GET /" + String(repeating: "x", count: 5_000) + " HTTP/1.1"),
            answers: [414]
        ),
        RawCase(
            "longer target",
            head("Host: a\r\n", line: "GET /" + String(repeating: "x", count: 1 << 20) + " HTTP/1.1"),
            answers: [414]
        ),
        RawCase(
            "space in the target",
            head("Host: a\r\nContent-Length: 2\r\n", line: "POST /hook x HTTP/1.1") + "{}",
            answers: [400]
        ),
        RawCase(
            "tab in the target",
            head("Host: a\r\nContent-Length: 2\r\n", line: "POST /hook\tx HTTP/1.1") + "{}",
            answers: [400]
        ),
        RawCase(
            "control in the target",
            head("Host: a\r\nContent-Length: 2\r\n", line: "POST /hook\u{1} HTTP/1.1") + "{}",
            answers: [400]
        ),
        RawCase(
            "version 1.2",
            head("Host: a\r\nContent-Length: 2\r\n", line: "POST /hook HTTP/1.2") + "{}",
            answers: [505]
        ),
        RawCase(
            "version 1.9",
            head("Host: a\r\nContent-Length: 2\r\n", line: "POST /hook HTTP/1.9") + "{}",
            answers: [505]
        ),
        RawCase(
            "version 2.0",
            head("Host: a\r\nContent-Length: 2\r\n", line: "POST /hook HTTP/2.0") + "{}",
            answers: [505]
        ),
        RawCase("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", answers: [505]),
        RawCase("version 0.9", head("", line: "POST /hook HTTP/0.9"), answers: [505]),
        RawCase("another protocol", head("Host: a\r\n", line: "POST /hook HTTX/1.1"), answers: [400]),
        RawCase("no version", "GET /hook\r\n\r\n", answers: [400]),
        RawCase("one word", "GET\r\n\r\n", answers: []),
        // Chunks.
        RawCase(
            "bad chunk size",
            head("Host: a\r\nTransfer-Encoding: chunked\r\n") + "zz\r\n{}\r\n0\r\n\r\n",
            answers: [400]
        ),
        RawCase(
            "negative chunk",
            head("Host: a\r\nTransfer-Encoding: chunked\r\n") + "-2\r\n{}\r\n0\r\n\r\n",
            answers: [400]
        ),
        RawCase(
            "chunk without its end",
            head("Host: a\r\nTransfer-Encoding: chunked\r\n") + "2\r\n{}0\r\n\r\n",
            answers: [400]
        ),
        RawCase(
            "chunk over 64 bits",
            head("Host: a\r\nTransfer-Encoding: chunked\r\n") + "10000000000000000\r\n{}",
            answers: [413]
        ),
        RawCase(
            "trailers over the pool",
            head("Host: a\r\nTransfer-Encoding: chunked\r\n") + "0\r\n" + String(repeating: "X: 1\r\n", count: 20_000),
            answers: [431]
        ),
        // Routes.
        RawCase("another path", post("/other"), answers: [404]),
        RawCase("encoded path", post("/%68ook"), answers: [404]),
        RawCase("encoded slash", post("/%2fhook"), answers: [404]),
        RawCase("encoded NUL", post("/hook%00"), answers: [404]),
        RawCase("dots", post("/x/../hook"), answers: [404]),
        RawCase("slash behind", post("/hook/"), answers: [404]),
        RawCase("star", head("Host: a\r\n", line: "OPTIONS * HTTP/1.1"), answers: [404]),
        RawCase("connect", head("Host: a\r\n", line: "CONNECT a:443 HTTP/1.1"), answers: [404]),
        RawCase("high bytes in the target", head("Host: a\r\n", line: "GET /hook\u{E9} HTTP/1.1"), answers: [404]),
        RawCase("another method", head("Host: a\r\n", line: "GET /hook HTTP/1.1"), answers: [405]),
        RawCase("no method we know", head("Host: a\r\n", line: "GRAB{} /hook HTTP/1.1"), answers: [405]),
        RawCase("another medium", post(headers: "Content-Type: text/plain\r\n"), answers: [415]),
        RawCase("a content coding", post(headers: "Content-Encoding: gzip\r\n"), answers: [415]),
    ]

    @Test(arguments: refused)
    func `refuses, closes, and serves nothing behind it`(_ raw: RawCase) async throws {
        let service = HookService()
        let answers = try await withServer(service) { server in
            let client = try server.client()
            client.send(raw.bytes + Array(second.utf8))
            return try client.answersUntilClosed()
        }
        #expect(answers.map(\.status) == raw.answers)
        #expect(answers.allSatisfy { $0.closes })
        #expect(service.served == [])
    }

    static let lastOnes: [RawCase] = [
        RawCase(
            "chunks, extensions, trailers",
            head("Host: a\r\nTransfer-Encoding: chunked\r\n") + "1;x=y\r\n{\r\n1\r\n}\r\n0\r\nX: 1\r\n\r\n",
            answers: [200],
            served: ["/hook"]
        ),
        RawCase("bare LF in chunk lines", chunks + "2\n{}\n0\n\n", answers: [200], served: ["/hook"]),
        RawCase("bare LF", post().replacing("\r\n", with: "\n"), answers: [200], served: ["/hook"]),
        RawCase(
            "one bare LF",
            "POST /hook HTTP/1.1\r\nHost: a\nContent-Length: 2\r\n\r\n{}",
            answers: [200],
            served: ["/hook"]
        ),
        RawCase("NUL in a value", post(headers: "X: a\0b\r\n"), answers: [200], served: ["/hook"]),
        RawCase("NUL in the target", post("/hook\0x"), answers: [200], served: ["/hook"]),
        RawCase("folded field", post(headers: "X: a\r\n b\r\n"), answers: [200], served: ["/hook"]),
        RawCase("no space after the colon", post(headers: "X:1\r\n"), answers: [200], served: ["/hook"]),
        RawCase("two spaces after the colon", post(headers: "X:  1\r\n"), answers: [200], served: ["/hook"]),
        RawCase(
            "two spaces in the request line",
            "POST  /hook HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
            answers: [200],
            served: ["/hook"]
        ),
        RawCase("client closes", post(headers: "Connection: close\r\n"), answers: [200], served: ["/hook"]),
        RawCase("HTTP/1.0", "POST /hook HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}", answers: [200], served: ["/hook"]),
    ]

    @Test(arguments: lastOnes)
    func `serves it as the last of its connection`(_ raw: RawCase) async throws {
        let service = HookService()
        let answers = try await withServer(service) { server in
            let client = try server.client()
            client.send(raw.bytes + Array(second.utf8))
            return try client.answersUntilClosed()
        }
        #expect(answers.map(\.status) == raw.answers)
        #expect(answers.allSatisfy { $0.closes })
        #expect(service.served.map(\.path) == raw.served)
    }

    static let plain: [RawCase] = [
        RawCase("lines before the request", "\r\n\r\n" + post(), answers: [200, 200], served: ["/hook", "/second"]),
        RawCase(
            "space behind a value",
            post(headers: "Content-Type: application/json \r\n"),
            answers: [200, 200],
            served: ["/hook", "/second"]
        ),
        RawCase("a length", post(), answers: [200, 200], served: ["/hook", "/second"]),
        RawCase("a query", post("/hook?a=/b?c"), answers: [200, 200], served: ["/hook", "/second"]),
        RawCase("absolute form", post("http://elsewhere/hook"), answers: [200, 200], served: ["/hook", "/second"]),
        RawCase(
            "absolute form over TLS",
            post("HTTPS://u@elsewhere:1/hook?x"),
            answers: [200, 200],
            served: ["/hook", "/second"]
        ),
        RawCase(
            "64 fields",
            post(headers: String(repeating: "X: 1\r\n", count: 62)),
            answers: [200, 200],
            served: ["/hook", "/second"]
        ),
        RawCase(
            "tab and high bytes in a value",
            post(headers: "X: a\t\u{E9}\r\n"),
            answers: [200, 200],
            served: ["/hook", "/second"]
        ),
        RawCase("an empty value", post(headers: "X: \r\n"), answers: [200, 200], served: ["/hook", "/second"]),
        RawCase(
            "upgrade is not taken",
            post(headers: "Connection: Upgrade\r\nUpgrade: h2c\r\n"),
            answers: [200, 200],
            served: ["/hook", "/second"]
        ),
        RawCase(
            "media with a parameter",
            post(headers: "content-type: Application/JSON; charset=utf-8\r\n"),
            answers: [200, 200],
            served: ["/hook", "/second"]
        ),
        RawCase(
            "keep-alive in 1.0",
            "POST /hook HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\n{}",
            answers: [200, 200],
            served: ["/hook", "/second"]
        ),
    ]

    @Test(arguments: plain)
    func `serves it and the next one on the same connection`(_ raw: RawCase) async throws {
        let service = HookService()
        let answers = try await withServer(service) { server in
            let client = try server.client()
            client.send(raw.bytes + Array(second.utf8))
            let answers = try [client.answer(), client.answer()]
            client.send(post())
            return try answers + [client.answer()]
        }
        #expect(answers.map(\.status) == raw.answers + [200])
        #expect(answers.allSatisfy { !$0.closes })
        #expect(service.served.map(\.path) == raw.served + ["/hook"])
        #expect(service.served.allSatisfy { $0.body == Array("{}".utf8) })
    }

    /// What costs the library work or memory: some answer or none, but soon, and others are served meanwhile.
    static let costly: [RawCase] = [
        RawCase(
            "2,000 query arguments",
            head("Host: a\r\n", line: "GET /hook?" + String(repeating: "&a", count: 2_000) + " HTTP/1.1")
        ),
        RawCase("cookies", head("Host: a\r\nCookie: " + String(repeating: "a=b; ", count: 1_500) + "\r\n")),
        RawCase("200,000 chunks of one byte", chunks + String(repeating: "1\r\nx\r\n", count: 200_000)),
        RawCase("a chunk extension of 1 MB", chunks + "1;" + String(repeating: "x", count: 1 << 20)),
        RawCase("100,000 trailers", chunks + "0\r\n" + String(repeating: "a:b\r\n", count: 100_000)),
        RawCase("a chunk of 2^64-1", chunks + "ffffffffffffffff\r\nx"),
        RawCase("empty lines without end", String(repeating: "\r\n", count: 500_000)),
        RawCase("no text at all", String(repeating: "\u{1}\u{7F}z", count: 300_000)),
    ]

    @Test(arguments: costly)
    func `bounds what a costly request costs`(_ raw: RawCase) async throws {
        let service = HookService()
        var limits = HTTPServer.Limits()
        limits.firstTimeout = .milliseconds(500)
        limits.headTimeout = .milliseconds(500)
        limits.bodyTimeout = .milliseconds(500)
        let metrics = try await withServer(service, limits) { server in
            let hostile = try server.client()
            let sender = try server.client()
            hostile.send(raw.bytes)
            sender.send(post())
            #expect(try sender.answer().status == 200)
            #expect(hostile.closes(within: .seconds(8)))
            sender.send(post())
            #expect(try sender.answer().status == 200)
            return server.metrics { $0.openConnections == 1 }
        }
        #expect(metrics.openConnections == 1)
        #expect(metrics.longestTurn < .seconds(2))
        #expect(service.served.map(\.path) == ["/hook", "/hook"])
    }

    @Test func `answers TLS on the plain port with an error or silence`() async throws {
        let service = HookService()
        let answers = try await withServer(service) { server in
            let client = try server.client()
            client.send([
                0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03, 0x0A, 0x0D, 0x0A, 0x0D, 0x0A,
            ])
            return try client.answersUntilClosed()
        }
        #expect(answers.allSatisfy { $0.status == 400 })
        #expect(service.served == [])
    }
}
