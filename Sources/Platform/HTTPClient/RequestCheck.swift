// What a request must be before it is accepted: checked on the caller's thread, refused by name and never by value.

import Basics
import CCurl

/// Where a request goes, taken out of its URL.
struct RequestTarget: Hashable, Sendable {
    /// As libcurl's address cache wants it.
    let host: String
    let port: Int
    /// An IP address: nothing to resolve.
    let isLiteral: Bool
}

enum RequestCheck {
    static let methods: Set<String> = ["GET", "POST", "PUT", "PATCH", "DELETE"]

    /// Headers that say how the message is framed or coded, or where it goes: the client's own.
    static let ownedHeaders: Set<String> = [
        "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    ]

    static let maxHeaderBytes = 64 * 1_024

    static let maxTimeout: Duration = .seconds(86_400)

    /// Largest answer that can be asked for: 1 GiB, far from any arithmetic's end.
    static let maxResponseBytes = 1 << 30

    static func target(of request: HTTPClientRequest, settings: HTTPClientSettings) throws(HTTPClientError)
        -> RequestTarget
    {
        guard methods.contains(request.method) else { throw invalid("the method is not one of ours") }
        guard request.method != "GET" || request.body.isEmpty else { throw invalid("a GET has no body") }
        guard (0...maxResponseBytes).contains(request.maxResponseBytes) else {
            throw invalid("the cap on the answer is out of range")
        }
        let clocks = request.timeouts
        guard
            [clocks.connect, clocks.firstByte, clocks.stall, clocks.whole].allSatisfy({
                $0 > .zero && $0 <= maxTimeout
            })
        else {
            throw invalid("a timeout is not positive, or over a day")
        }
        try check(request.headers)
        return try target(of: request.url, settings: settings)
    }

    private static func check(_ headers: [(name: String, value: HeaderValue)]) throws(HTTPClientError) {
        var total = 0
        for (name, value) in headers {
            guard !name.isEmpty, name.utf8.allSatisfy(isTokenByte) else {
                throw invalid("a header's name is no token")
            }
            guard !ownedHeaders.contains(name.lowercased()) else {
                throw invalid("the header \(name) is set by the client itself")
            }
            let bytes = value.bytes
            // libcurl sends what follows a line break as another header.
            guard bytes.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }) else {
                throw invalid("the header \(name) has a control character in its value")
            }
            total += name.utf8.count + bytes.count + 4
        }
        guard total <= maxHeaderBytes else { throw invalid("the headers are larger than \(maxHeaderBytes) bytes") }
    }

    private static func target(of url: String, settings: HTTPClientSettings) throws(HTTPClientError) -> RequestTarget {
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw invalid("the URL has a space or a byte outside ASCII")
        }
        var parts = cp_url()
        guard cp_url_parse(url, &parts), let host = parts.host else {
            throw invalid("the URL is not an absolute https URL without credentials and fragment")
        }
        defer { cp_url_free(&parts) }
        guard !parts.is_plain || settings.allowsPlainHTTP else { throw invalid("http URLs are not allowed here") }
        guard (1...65_535).contains(parts.port) else { throw invalid("the URL's port is out of range") }
        return RequestTarget(host: String(cString: host), port: parts.port, isLiteral: parts.is_literal)
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    private static func invalid(_ message: String) -> HTTPClientError {
        HTTPClientError(.invalidRequest, message: message)
    }
}
