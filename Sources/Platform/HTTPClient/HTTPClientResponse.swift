// A complete answer: nothing of this type was cut, encoded or too large.

package import Basics

/// An answer of which every byte has come. Any status: 3xx, 4xx and 5xx are answers, redirects are not followed.
package struct HTTPClientResponse: Sendable {
    package let status: Int
    /// The body as sent, adopted from the C buffer without a copy, 64 zero bytes readable behind it. While it
    /// lives, its room in the ``BodyBudget`` is taken.
    package let body: Bytes
    /// In order, names in lower case. Values that are not UTF-8 are left out.
    package let headers: [(name: String, value: String)]
    /// How long the server asks to wait: from a number of seconds, an HTTP date or an ISO time; never negative.
    package let retryAfter: Duration?
    /// The server's clock when it answered.
    package let date: Timestamp?
    /// How often libcurl sent this request again by itself, after a reused connection had died without an answer:
    /// the server may have seen it this many times more.
    package let silentRepeats: Int
    /// From ``HTTPClient/send(_:)`` to the last byte.
    package let elapsed: Duration

    package init(
        status: Int,
        body: Bytes,
        headers: [(name: String, value: String)],
        retryAfter: Duration? = nil,
        date: Timestamp? = nil,
        silentRepeats: Int = 0,
        elapsed: Duration = .zero
    ) {
        self.status = status
        self.body = body
        self.headers = headers
        self.retryAfter = retryAfter
        self.date = date
        self.silentRepeats = silentRepeats
        self.elapsed = elapsed
    }

    /// The first value of a header. `name` in any case.
    package func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name == wanted }?.value
    }

    /// The media type without parameters, in lower case: `application/json`.
    package var contentType: String? {
        guard let value = header("content-type") else { return nil }
        let type = value.prefix { $0 != ";" }
        return type.filter { $0 != " " && $0 != "\t" }.lowercased()
    }
}
