// What a caller asks for: one request, its clocks and its bounds.

package import Basics

/// The clocks of one request, all measured by the client's own clock. See ``HTTPClientError/Phase``.
package struct HTTPTimeouts: Sendable, Hashable {
    /// Address, TCP and TLS together, from the moment the request leaves the queue.
    package var connect: Duration
    /// From the moment the request was sent to the first answer header: reports are made while we wait.
    package var firstByte: Duration
    /// Longest silence after the first header. Time spent waiting for the ``BodyBudget`` does not count.
    package var stall: Duration
    /// Everything, queue and budget included.
    package var whole: Duration

    package init(connect: Duration, firstByte: Duration, stall: Duration, whole: Duration) {
        self.connect = connect
        self.firstByte = firstByte
        self.stall = stall
        self.whole = whole
    }

    /// Reports and everything else of Plaid's: 5 s, 120 s, 30 s, 180 s.
    package static let report = HTTPTimeouts(
        connect: .seconds(5),
        firstByte: .seconds(120),
        stall: .seconds(30),
        whole: .seconds(180)
    )
    /// The receiver's look-up of a verification key: 2.5 s in all, since Plaid waits for our answer.
    package static let keyLookup = HTTPTimeouts(
        connect: .milliseconds(1_500),
        firstByte: .milliseconds(2_500),
        stall: .milliseconds(2_500),
        whole: .milliseconds(2_500)
    )
    /// Layer and its token URL: 20 s in all.
    package static let layer = HTTPTimeouts(
        connect: .seconds(5),
        firstByte: .seconds(20),
        stall: .seconds(20),
        whole: .seconds(20)
    )
}

/// A header's value; a secret one is revealed only while the request is handed to libcurl.
package enum HeaderValue: Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    case plain(String)
    case secret(Secret)

    package init(stringLiteral value: String) { self = .plain(value) }

    package var description: String {
        switch self {
        case .plain(let text): text
        case .secret(let secret): secret.description
        }
    }

    var bytes: [UInt8] {
        switch self {
        case .plain(let text): Array(text.utf8)
        case .secret(let secret): secret.bytes
        }
    }
}

/// One request. Everything in it comes from our code; what a caller got from outside (an id in a header) is
/// checked by ``HTTPClient`` and refused as ``HTTPClientError/Kind/invalidRequest``.
package struct HTTPClientRequest: Sendable {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    package var method: String
    /// Absolute `https://` URL (or `http://` where the settings allow it), no credentials, no fragment.
    package var url: String
    /// Sent in this order. Values with CR, LF or NUL are refused, and the names of framing and coding headers
    /// (`Content-Length`, `Host`, `Accept-Encoding`, …), which are the client's.
    package var headers: [(name: String, value: HeaderValue)]
    /// Sent with a `Content-Length` for every method but `GET` (there it must be empty). Copied by libcurl.
    package var body: [UInt8]
    package var timeouts: HTTPTimeouts
    /// Cap on the answer's body, both by its declared length and by count.
    package var maxResponseBytes: Int
    /// False for what is no read (`create`, token exchange, removals): a new connection is made, on which libcurl
    /// does not send a request twice by itself.
    package var isRepeatable: Bool
    /// True for the repeat after a 408 or after a pooled connection had died: reuse is what failed.
    package var needsFreshConnection: Bool
    /// The caller's own deadline on the client's monotonic clock, beside ``timeouts``. Met within 250 ms.
    package var deadline: MonotonicInstant?

    /// 64 MiB: reports beyond 12 MB have been seen, and this many bytes may come in one body.
    package static let defaultMaxResponseBytes = 64 * 1_024 * 1_024

    package init(
        method: String = "POST",
        url: String,
        headers: [(name: String, value: HeaderValue)] = [],
        body: [UInt8] = [],
        timeouts: HTTPTimeouts = .report,
        maxResponseBytes: Int = HTTPClientRequest.defaultMaxResponseBytes,
        isRepeatable: Bool,
        needsFreshConnection: Bool = false,
        deadline: MonotonicInstant? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeouts = timeouts
        self.maxResponseBytes = maxResponseBytes
        self.isRepeatable = isRepeatable
        self.needsFreshConnection = needsFreshConnection
        self.deadline = deadline
    }
}

extension HTTPClientRequest: CustomStringConvertible, CustomReflectable {
    /// Without header values and body: they hold tokens and personal data.
    package var description: String {
        "\(method) \(url), headers \(headers.map(\.name).joined(separator: " ")), \(body.count) bytes"
    }
    package var customMirror: Mirror { Mirror(self, children: ["request": description]) }
}
