// Answers that end early, end twice, or are none: only a complete one may come out as a response.

import Basics
import HTTPClient
import Testing

@Suite struct AnswerTests {
    /// What the server sends before it ends the connection, and what must come of it.
    struct Cut: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let sends: String
        var resets = false
        let kind: HTTPClientError.Kind
        let sent: HTTPClientError.SendState
    }

    static let cuts: [Cut] = [
        Cut(testDescription: "nothing", sends: "", kind: .emptyAnswer, sent: .maybe),
        Cut(testDescription: "nothing, reset", sends: "", resets: true, kind: .emptyAnswer, sent: .maybe),
        Cut(testDescription: "half the status line", sends: "HTTP/1.1 2", kind: .emptyAnswer, sent: .maybe),
        Cut(
            testDescription: "half the headers",
            sends: "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Le",
            kind: .cutAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "headers with a length and no end",
            sends: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
            kind: .cutAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "headers with a coding and no end",
            sends: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
            kind: .cutAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "half the body",
            sends: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"a\":",
            kind: .cutAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "no byte of the body",
            sends: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
            kind: .cutAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "half the body, reset",
            sends: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"a\":",
            resets: true,
            kind: .cutAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "half a chunk",
            sends: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n{\"a\":",
            kind: .cutAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "chunks without the last",
            sends: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
            kind: .cutAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "no length",
            sends: "HTTP/1.1 200 OK\r\n\r\n{\"a\":",
            kind: .cutAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "no length and no body",
            sends: "HTTP/1.1 200 OK\r\n\r\n",
            kind: .cutAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "two lengths",
            sends: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 2\r\n\r\n{}",
            kind: .malformedAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "the same length twice",
            sends: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            kind: .malformedAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "a list of lengths",
            sends: "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}",
            kind: .malformedAnswer,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "gzip unasked",
            sends: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
            kind: .encoded,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "gzip unasked, empty",
            sends: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
            kind: .encoded,
            sent: .answeredInPart
        ),
        Cut(
            testDescription: "another protocol",
            sends: "220 mail.example.com ESMTP\r\n\r\n",
            kind: .malformedAnswer,
            sent: .maybe
        ),
    ]

    static let cases = Transport.allCases.flatMap { transport in cuts.map { (transport, $0) } }

    @Test(arguments: cases)
    func `what is not one complete answer is an error`(_ transport: Transport, _ cut: Cut) async throws {
        try await Fixture.with(
            transport,
            script: { visit in
                guard visit.request() != nil else { return }
                visit.send(cut.sends)
                guard cut.resets else { return }
                // A reset throws away what the client has not read yet, so it comes when the client has seen the head.
                visit.reset()
            }
        ) { fixture in
            let error = try await fixture.failure()
            if cut.resets, error.kind == .emptyAnswer { return }  // the reset overtook the head
            #expect(error.kind == cut.kind, "\(error)")
            #expect(error.sent == cut.sent)
            #expect(fixture.server.requests.count == 1)
        }
    }

    /// Complete answers, with the body that must come out.
    static let complete: [(String, Int, String)] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}", 200, "{\"a\":1}"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n", 200, "{\"a\":1}"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, ""),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"),
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/elsewhere\r\nContent-Length: 2\r\n\r\n{}", 302, "{}"),
        ("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", 408, ""),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}", 500, "{}"),
    ]

    @Test(arguments: Transport.allCases, complete)
    func `a complete answer comes out byte for byte`(_ transport: Transport, _ answer: (String, Int, String))
        async throws
    {
        try await Fixture.with(
            transport,
            script: { visit in
                while visit.request() != nil { visit.send(answer.0) }
            }
        ) { fixture in
            let response = try await fixture.send()
            #expect(response.status == answer.1)
            #expect(response.body.string() == answer.2)
            #expect(response.body.readablePadding == 64)
            #expect(
                response.body.withUnsafeBytes { bytes in
                    (0..<64).allSatisfy {
                        bytes.baseAddress!.load(fromByteOffset: bytes.count + $0, as: UInt8.self) == 0
                    }
                }
            )
            #expect(fixture.server.requests.count == 1)
        }
    }

    @Test func `the request arrives as written`() async throws {
        try await Fixture.with(script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            _ = try await fixture.send { $0.headers.append(("X-Empty", "")) }
            let request = try #require(fixture.server.requests.first)
            #expect(request.line == "POST /report HTTP/1.1")
            #expect(request.header("Host") == "127.0.0.1:\(fixture.server.port)")
            #expect(request.header("Content-Type") == "application/json")
            #expect(request.header("Plaid-Secret") == "sesame")
            #expect(request.header("Accept-Encoding") == "identity")
            #expect(request.header("X-Empty") == "")
            #expect(request.header("Expect") == nil)
            #expect(String(decoding: request.body, as: UTF8.self) == "{\"user_id\":\"usr_1\"}")
        }
    }

    @Test(arguments: ["GET", "PUT", "PATCH", "DELETE", "POST"])
    func `each method is sent as itself, and without a body when it has none`(_ method: String) async throws {
        try await Fixture.with(script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            _ = try await fixture.send {
                $0.method = method
                $0.body = []
                $0.headers = []
            }
            let request = try #require(fixture.server.requests.first)
            #expect(request.line == "\(method) /report HTTP/1.1")
            #expect(request.header("Content-Type") == nil)
            #expect(request.header("Content-Length") == (method == "GET" ? nil : "0"))
        }
    }

    @Test func `a body over libcurl's upload buffer is sent whole`() async throws {
        let body = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try await Fixture.with(.tls, script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            _ = try await fixture.send { $0.body = body }
            #expect(fixture.server.requests.first?.body == body)
        }
    }

    @Test func `headers, times and the number of repeats come with the answer`() async throws {
        let head =
            "Content-Type: application/json; charset=utf-8\r\nDate: Tue, 16 Jul 2024 01:52:42 GMT\r\nRetry-After: 7\r\nPlaid-Request-ID: abc\r\n"
        try await Fixture.with(script: { visit in
            while visit.request() != nil { visit.answer("429 Too Many Requests", headers: head) }
        }) { fixture in
            let response = try await fixture.send()
            #expect(response.contentType == "application/json")
            #expect(response.header("plaid-REQUEST-id") == "abc")
            #expect(response.date == Timestamp(rfc3339: "2024-07-16T01:52:42Z"))
            #expect(response.retryAfter == .seconds(7))
            #expect(response.silentRepeats == 0)
            #expect(response.elapsed > .zero)
        }
    }

    @Test(arguments: ["Tue, 16 Jul 2024 01:53:42 GMT", "2024-07-16T01:53:42Z", "60"])
    func `each form of Retry-After is measured against the server's own clock`(_ text: String) async throws {
        let head = "Date: Tue, 16 Jul 2024 01:52:42 GMT\r\nRetry-After: \(text)\r\n"
        try await Fixture.with(script: { visit in
            while visit.request() != nil { visit.answer("429 Too Many Requests", headers: head) }
        }) { fixture in
            let response = try await fixture.send()
            #expect(response.retryAfter == .seconds(60))
        }
    }

    @Test func `400 KB of headers are refused`() async throws {
        let line = "X-Filler: " + String(repeating: "y", count: 4_000) + "\r\n"
        let head = String(repeating: line, count: 100)
        try await Fixture.with(script: { visit in
            while visit.request() != nil { visit.answer(headers: head) }
        }) { fixture in
            let error = try await fixture.failure()
            #expect(error.kind == .malformedAnswer)
            #expect(error.sent == .answeredInPart)
        }
    }
}
