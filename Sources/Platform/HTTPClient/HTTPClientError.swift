// Why there is no complete answer, and what the server may have seen. Decided by facts (bytes sent, header bytes
// received), since one code of libcurl has several meanings.

/// A request that got no complete answer.
package struct HTTPClientError: Error, Sendable, Hashable {
    /// Which clock ran out.
    package enum Phase: String, Sendable, Hashable {
        case connect, firstByte, stall, whole, deadline
    }

    package enum Kind: Sendable, Hashable {
        /// The host has no address that we could learn.
        case nameResolution
        /// Nobody listens there, or (code 55) every kept connection was dead: then a repeat at once, with
        /// ``HTTPClientRequest/needsFreshConnection``, is right.
        case connect
        /// The handshake failed, or what answered does not speak TLS.
        case tls
        /// The server's certificate is not good for this host.
        case certificate
        case timeout(Phase)
        /// The connection ended before the first byte of an answer.
        case emptyAnswer
        /// The answer ended early, or does not say where it ends.
        case cutAnswer
        /// What came is not one well-formed HTTP answer: no HTTP, two lengths, a length that is no number.
        case malformedAnswer
        /// More than ``HTTPClientRequest/maxResponseBytes``.
        case tooLarge
        /// A content coding that was not asked for.
        case encoded
        case cancelled
        /// The client is closing or closed.
        case closed
        /// A bug or unchecked input of the caller's: bad URL, header or bound.
        case invalidRequest
        /// As many requests as the settings allow are in flight and waiting.
        case overloaded
        /// Something on this machine: memory, descriptors, CA file, or libcurl itself.
        case local

        /// The name for metric labels and logs.
        package var name: String {
            switch self {
            case .nameResolution: "name_resolution"
            case .connect: "connect"
            case .tls: "tls"
            case .certificate: "certificate"
            case .timeout(.connect): "timeout_connect"
            case .timeout(.firstByte): "timeout_first_byte"
            case .timeout(.stall): "timeout_stall"
            case .timeout(.whole): "timeout_whole"
            case .timeout(.deadline): "timeout_deadline"
            case .emptyAnswer: "empty_answer"
            case .cutAnswer: "cut_answer"
            case .malformedAnswer: "malformed_answer"
            case .tooLarge: "too_large"
            case .encoded: "encoded"
            case .cancelled: "cancelled"
            case .closed: "closed"
            case .invalidRequest: "invalid_request"
            case .overloaded: "overloaded"
            case .local: "local"
            }
        }
    }

    /// What the server may have seen of the request.
    package enum SendState: String, Sendable, Hashable {
        /// Not one byte was written: it had no effect.
        case never
        /// Bytes were written and no header came back: for what is no read, treat as done.
        case maybe
        /// The server began to answer.
        case answeredInPart
    }

    package let kind: Kind
    package let sent: SendState
    /// libcurl's CURLcode, 0 when the client itself gave up.
    package let code: Int32
    /// For people. Holds host names at most; no header, body or URL.
    package let message: String
    /// The status of the answer that was not complete.
    package let status: Int?
    /// See ``HTTPClientResponse/silentRepeats``.
    package let silentRepeats: Int

    package init(
        _ kind: Kind,
        sent: SendState = .never,
        code: Int32 = 0,
        message: String,
        status: Int? = nil,
        silentRepeats: Int = 0
    ) {
        self.kind = kind
        self.sent = sent
        self.code = code
        self.message = message
        self.status = status
        self.silentRepeats = silentRepeats
    }

    /// True for what hits every request alike until somebody mends it (certificate, TLS, CA file): it opens a
    /// breaker and is not charged to the event.
    package var isGlobalFault: Bool {
        guard sent == .never else { return false }
        switch kind {
        case .tls, .certificate, .local: return true
        default: return false
        }
    }

    /// True when the same read may succeed later without anybody's help. ``isGlobalFault`` comes first.
    package var isRetriable: Bool {
        switch kind {
        case .nameResolution, .connect, .tls, .certificate, .timeout, .emptyAnswer, .cutAnswer, .malformedAnswer,
            .encoded, .overloaded, .local, .closed:
            true
        case .tooLarge, .cancelled, .invalidRequest: false
        }
    }
}

extension HTTPClientError: CustomStringConvertible {
    package var description: String {
        "HTTP \(kind.name), sent: \(sent.rawValue)\(code == 0 ? "" : ", libcurl \(code)"): \(message)"
    }
}
