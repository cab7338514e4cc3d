// Reading an answer's headers: how the body ends, how long to wait, what time it is there.

import Basics
import CCurl

/// How an answer says where its body ends.
struct AnswerFraming: Equatable {
    let contentLength: Int?
    let isChunked: Bool

    /// The lines that decide it, as they came: how often each, and its last value.
    struct Lines {
        var contentLength: (count: Int, value: String?) = (0, nil)
        var transferEncoding: (count: Int, value: String?) = (0, nil)
        var contentEncoding: (count: Int, value: String?) = (0, nil)
    }

    enum Refusal: Error, Equatable {
        case malformed(String)
        case encoded
    }

    init(_ lines: Lines) throws(Refusal) {
        if lines.contentEncoding.count > 0 {
            let coding = (lines.contentEncoding.value ?? "").lowercased()
            guard lines.contentEncoding.count == 1, coding == "identity" || coding.isEmpty else { throw .encoded }
        }
        switch lines.transferEncoding.count {
        case 0: isChunked = false
        case 1 where lines.transferEncoding.value?.lowercased() == "chunked": isChunked = true
        case 1 where lines.transferEncoding.value?.lowercased() == "identity": isChunked = false
        default: throw .encoded
        }
        switch lines.contentLength.count {
        case 0: contentLength = nil
        case 1:
            guard let text = lines.contentLength.value, !text.isEmpty,
                text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let length = Int(text)
            else { throw .malformed("the answer's length is no number") }
            contentLength = length
        default: throw .malformed("the answer has two lengths")  // libcurl takes the last: a smuggler's tool
        }
    }

    /// Whether a body of `count` bytes is all of it. A connection that just closed proves nothing.
    func isComplete(status: Int, count: Int) -> Bool {
        if status == 204 || status == 304 { return count == 0 }
        if isChunked { return true }  // libcurl saw the last chunk, or it had reported an error
        return contentLength == count
    }
}

extension AnswerFraming.Lines {
    init(of transfer: OpaquePointer) {
        func line(_ name: String) -> (Int, String?) {
            var value: UnsafePointer<CChar>?
            let count = cp_transfer_header(transfer, name, &value)
            return (count, value.flatMap { String(validatingCString: $0) })
        }
        contentLength = line("content-length")
        transferEncoding = line("transfer-encoding")
        contentEncoding = line("content-encoding")
    }
}

/// The headers of the last answer on `transfer`, names in lower case; bounded by libcurl (300 KB).
func readHeaders(of transfer: OpaquePointer) -> [(name: String, value: String)] {
    var headers: [(name: String, value: String)] = []
    var current = cp_transfer_next_header(transfer, nil)
    while let header = current {
        if let name = String(validatingCString: header.pointee.name),
            let value = String(validatingCString: header.pointee.value)
        {
            headers.append((name.lowercased(), value))
        }
        current = cp_transfer_next_header(transfer, header)
    }
    return headers
}

/// `Retry-After` and `Date`.
enum AnswerTimes {
    /// Longest wait that is believed.
    static let maxRetryAfter: Duration = .seconds(24 * 3_600)

    /// One of the three forms of RFC 9110 §5.6.7.
    static func date(_ text: String) -> Timestamp? {
        let seconds = cp_http_date(text)
        return seconds < 0 ? nil : Timestamp(secondsSinceEpoch: seconds)
    }

    /// Reads a number of seconds, an HTTP date or an ISO time; nil for anything else.
    /// - Parameter now: The server's clock where known: dates are its own.
    static func retryAfter(_ text: String, now: Timestamp) -> Duration? {
        if !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            return min(.seconds(Int64(text) ?? .max / 4), maxRetryAfter)
        }
        guard let time = Timestamp(rfc3339: text) ?? date(text) else { return nil }
        return min(max(time - now, .zero), maxRetryAfter)
    }
}
