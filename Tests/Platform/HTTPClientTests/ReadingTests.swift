// The tables without I/O: requests that are refused, headers, dates, and the reading of failures.

import Basics
import CCurl
import Testing

@testable import HTTPClient

@Suite struct RequestCheckTests {
    private static let settings = HTTPClientSettings(maxInFlight: 1)

    private func check(_ change: (inout HTTPClientRequest) -> Void) throws -> RequestTarget {
        var request = HTTPClientRequest(url: "https://sandbox.plaid.com/x", isRepeatable: true)
        change(&request)
        return try RequestCheck.target(of: request, settings: Self.settings)
    }

    @Test(arguments: [
        "", "sandbox.plaid.com", "ftp://sandbox.plaid.com/", "http://sandbox.plaid.com/", "https://", "https:///x",
        "https://user:password@sandbox.plaid.com/", "https://user@sandbox.plaid.com/", "https://sandbox.plaid.com/#a",
        "https://sandbox.plaid.com/a b", "https://sandbox.plaid.com/\r\nX: y", "https://sändbox.plaid.com/",
        "https://sandbox.plaid.com:99999/", "file:///etc/passwd",
    ])
    func `a URL that is no plain https URL is refused`(_ url: String) {
        #expect(throws: HTTPClientError.self) { try check { $0.url = url } }
    }

    @Test(arguments: [
        ("https://sandbox.plaid.com/x?y=z", "sandbox.plaid.com", 443, false),
        ("https://127.0.0.1:8443", "127.0.0.1", 8_443, true),
        ("https://[::1]:8443/", "[::1]", 8_443, true),
        ("HTTPS://Sandbox.plaid.com", "Sandbox.plaid.com", 443, false),
    ])
    func `host and port come out of the URL`(_ url: String, _ host: String, _ port: Int, _ isLiteral: Bool) throws {
        let target = try check { $0.url = url }
        #expect(target == RequestTarget(host: host, port: port, isLiteral: isLiteral))
    }

    @Test func `a request printed or dumped shows neither header values nor body`() {
        let request = HTTPClientRequest(
            url: "https://sandbox.plaid.com/x",
            headers: [("PLAID-CLIENT-ID", "hunter2"), ("PLAID-SECRET", .secret(Secret("hunter2")))],
            body: Array("{\"access_token\":\"hunter2\"}".utf8),
            isRepeatable: true
        )
        var dumped = ""
        dump(request, to: &dumped)
        for shown in ["\(request)", String(reflecting: [request]), dumped] {
            #expect(shown.contains("PLAID-SECRET") && !shown.contains("hunter2"), "\(shown)")
            #expect(!shown.contains("104, 117, 110, 116"), "the body's bytes as numbers")
        }
    }

    @Test(arguments: ["a\r\nX: b", "a\nb", "a\rb", "a\0b", "a\u{7F}", "\u{1}"])
    func `a header's value with a control character is refused, plain or secret, and not shown`(_ value: String) {
        for value in [HeaderValue.plain(value), .secret(Secret(value))] {
            #expect {
                _ = try check { $0.headers = [("X-Id", value)] }
            } throws: { error in
                let error = error as? HTTPClientError
                return error?.kind == .invalidRequest && error?.message.contains("X-Id") == true
                    && error?.message.contains("b") == false
            }
        }
    }

    @Test(arguments: [
        "", "X Y", "X:", "X\r\n", "Ünicode", "Content-Length", "host", "Transfer-Encoding", "Accept-Encoding", "Expect",
    ])
    func `a header's name that is no token, or the client's own, is refused`(_ name: String) {
        #expect(throws: HTTPClientError.self) { try check { $0.headers = [(name, "x")] } }
    }

    @Test func `other bounds`() throws {
        #expect(throws: HTTPClientError.self) { try check { $0.method = "BREW" } }
        #expect(throws: HTTPClientError.self) {
            try check {
                $0.method = "GET"
                $0.body = [1]
            }
        }
        #expect(throws: HTTPClientError.self) { try check { $0.maxResponseBytes = -1 } }
        #expect(throws: HTTPClientError.self) { try check { $0.timeouts.whole = .zero } }
        #expect(throws: HTTPClientError.self) { try check { $0.timeouts.stall = .seconds(86_401) } }
        #expect(throws: HTTPClientError.self) {
            try check { $0.headers = [("X", .plain(String(repeating: "y", count: 65_536)))] }
        }
        _ = try check { $0.headers = [("X-Tab", "a\tb"), ("X-Umlaut", "ü")] }
    }

    @Test func `a secret header shows nothing`() {
        let value = HeaderValue.secret(Secret("sesame"))
        #expect(!"\(value)".contains("sesame"))
        var text = ""
        dump(HTTPClientRequest(url: "https://x", headers: [("Plaid-Secret", value)], isRepeatable: true), to: &text)
        #expect(!text.contains("sesame"))
    }
}

@Suite struct AnswerTimesTests {
    private static let now = Timestamp(secondsSinceEpoch: 1_721_094_762)  // 2024-07-16T01:52:42Z

    @Test(arguments: [
        ("0", 0), ("120", 120), ("Tue, 16 Jul 2024 01:53:42 GMT", 60), ("Tuesday, 16-Jul-24 01:53:42 GMT", 60),
        ("Tue Jul 16 01:53:42 2024", 60), ("2024-07-16T01:54:42Z", 120), ("2024-07-16T03:54:42+02:00", 120),
        ("Tue, 16 Jul 2024 01:00:00 GMT", 0), ("99999999999999999999999", 86_400), ("90000", 86_400),
        ("Tue, 16 Jul 2034 01:53:42 GMT", 86_400),
    ])
    func `Retry-After in every form`(_ text: String, _ seconds: Int) {
        #expect(AnswerTimes.retryAfter(text, now: Self.now) == .seconds(seconds))
    }

    @Test(arguments: ["", "soon", "-5", "1.5", "+3", "٣"])
    func `what is no Retry-After is none`(_ text: String) {
        #expect(AnswerTimes.retryAfter(text, now: Self.now) == nil)
    }

    @Test func `dates`() {
        #expect(AnswerTimes.date("Tue, 16 Jul 2024 01:52:42 GMT") == Self.now)
        #expect(AnswerTimes.date("yesterday, or so") == nil)
    }
}

@Suite struct AnswerFramingTests {
    private func framing(length: [String] = [], transfer: [String] = [], content: [String] = []) throws
        -> AnswerFraming
    {
        var lines = AnswerFraming.Lines()
        lines.contentLength = (length.count, length.last)
        lines.transferEncoding = (transfer.count, transfer.last)
        lines.contentEncoding = (content.count, content.last)
        return try AnswerFraming(lines)
    }

    @Test func `a length must be met exactly, chunks end by themselves, and nothing else is complete`() throws {
        #expect(try framing(length: ["5"]).isComplete(status: 200, count: 5))
        #expect(try !framing(length: ["5"]).isComplete(status: 200, count: 4))
        #expect(try framing(transfer: ["Chunked"]).isComplete(status: 200, count: 4))
        #expect(try framing(length: ["9"], transfer: ["chunked"]).isComplete(status: 200, count: 4))
        #expect(try !framing().isComplete(status: 200, count: 4))
        #expect(try !framing().isComplete(status: 200, count: 0))
        #expect(try framing().isComplete(status: 204, count: 0))
        #expect(try framing(length: ["9"]).isComplete(status: 304, count: 0))
    }

    @Test(arguments: [
        ["5", "5"], ["5", "6"], ["5, 5"], ["-1"], ["+5"], ["5x"], [""], ["0x10"], ["99999999999999999999"],
    ])
    func `lengths that are none`(_ values: [String]) {
        #expect(throws: AnswerFraming.Refusal.self) { try framing(length: values) }
    }

    @Test(arguments: [["gzip"], ["br"], ["identity", "identity"], ["gzip, identity"]])
    func `codings that were not asked for`(_ values: [String]) {
        #expect(throws: AnswerFraming.Refusal.encoded) { try framing(length: ["5"], content: values) }
    }

    @Test func `a transfer coding other than chunked`() {
        #expect(throws: AnswerFraming.Refusal.encoded) { try framing(transfer: ["gzip, chunked"]) }
        #expect(throws: AnswerFraming.Refusal.encoded) { try framing(transfer: ["chunked", "chunked"]) }
    }
}

@Suite struct FailureReadingTests {
    private static func facts(request: Int = 0, header: Int = 0, connected: Bool = false) -> TransferFacts {
        var facts = TransferFacts()
        facts.requestBytes = request
        facts.headerBytes = header
        facts.isConnected = connected
        return facts
    }

    private static let never = facts()
    private static let maybe = facts(request: 100, connected: true)
    private static let inPart = facts(request: 100, header: 50, connected: true)

    static let table: [(CURLcode, TransferFacts, HTTPClientError.Kind, HTTPClientError.SendState)] = [
        (CURLE_COULDNT_RESOLVE_HOST, never, .nameResolution, .never),
        (CURLE_COULDNT_CONNECT, never, .connect, .never),
        (CURLE_COULDNT_CONNECT, maybe, .connect, .maybe),  // a failed repeat
        (CURLE_SSL_CONNECT_ERROR, never, .tls, .never),
        (CURLE_SSL_CONNECT_ERROR, maybe, .tls, .maybe),
        (CURLE_PEER_FAILED_VERIFICATION, never, .certificate, .never),
        (CURLE_SSL_CACERT_BADFILE, never, .local, .never),
        (CURLE_OPERATION_TIMEDOUT, never, .timeout(.connect), .never),
        (CURLE_OPERATION_TIMEDOUT, maybe, .timeout(.whole), .maybe),
        (CURLE_OPERATION_TIMEDOUT, inPart, .timeout(.whole), .answeredInPart),
        (CURLE_GOT_NOTHING, maybe, .emptyAnswer, .maybe),
        (CURLE_SEND_ERROR, never, .connect, .never),
        (CURLE_SEND_ERROR, maybe, .emptyAnswer, .maybe),
        (CURLE_RECV_ERROR, maybe, .emptyAnswer, .maybe),
        (CURLE_RECV_ERROR, inPart, .cutAnswer, .answeredInPart),
        (CURLE_RECV_ERROR, facts(request: 100, header: 300_000), .malformedAnswer, .answeredInPart),
        (CURLE_SEND_FAIL_REWIND, maybe, .emptyAnswer, .maybe),
        (CURLE_ABORTED_BY_CALLBACK, maybe, .emptyAnswer, .maybe),
        (CURLE_PARTIAL_FILE, inPart, .cutAnswer, .answeredInPart),
        (CURLE_WEIRD_SERVER_REPLY, inPart, .malformedAnswer, .answeredInPart),
        (CURLE_UNSUPPORTED_PROTOCOL, never, .invalidRequest, .never),
        (CURLE_UNSUPPORTED_PROTOCOL, maybe, .malformedAnswer, .maybe),
        (CURLE_FILESIZE_EXCEEDED, inPart, .tooLarge, .answeredInPart),
        (CURLE_OUT_OF_MEMORY, never, .local, .never),
        (CURLE_URL_MALFORMAT, never, .invalidRequest, .never),
    ]

    @Test(arguments: table.indices)
    func `each code is read by the facts around it`(_ row: Int) {
        let (code, facts, kind, sent) = Self.table[row]
        #expect(FailureReading.kind(code: code, facts: facts) == kind)
        #expect(facts.sent == sent)
    }

    @Test func `libcurl's write error is ours to explain`() {
        var facts = Self.inPart
        #expect(FailureReading.kind(code: CURLE_WRITE_ERROR, facts: facts, refusal: .encoded) == .encoded)
        facts.isTooLarge = true
        #expect(FailureReading.kind(code: CURLE_WRITE_ERROR, facts: facts) == .tooLarge)
        facts.isTooLarge = false
        facts.isOutOfMemory = true
        #expect(FailureReading.kind(code: CURLE_WRITE_ERROR, facts: facts) == .local)
    }

    @Test func `a fault is global only when nothing was sent`() {
        #expect(HTTPClientError(.tls, message: "").isGlobalFault)
        #expect(!HTTPClientError(.tls, sent: .maybe, message: "").isGlobalFault)
        #expect(!HTTPClientError(.connect, message: "").isGlobalFault)
    }
}
