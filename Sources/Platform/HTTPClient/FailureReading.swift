// From libcurl's code and the counted facts to an error that says what happened and what the server may have seen.

import CCurl

/// The facts of one ended transfer that decide how its failure is read.
struct TransferFacts: Equatable {
    var status = 0
    var requestBytes = 0
    var headerBytes = 0
    var bodyBytes = 0
    var silentRepeats = 0
    var isConnected = false
    var isPaused = false
    var isTooLarge = false
    var isOutOfMemory = false

    /// Decided by bytes alone: a code such as 7 with bytes sent is a failed repeat of something already sent.
    var sent: HTTPClientError.SendState {
        if headerBytes > 0 { return .answeredInPart }
        return requestBytes > 0 ? .maybe : .never
    }

    /// Everything that moved, for the stall clock.
    var progress: Int { requestBytes + headerBytes + bodyBytes }
}

extension TransferFacts {
    init(_ facts: cp_facts) {
        status = facts.status
        requestBytes = facts.request_bytes
        headerBytes = facts.header_bytes
        bodyBytes = facts.body_bytes
        silentRepeats = Int(facts.silent_repeats)
        isConnected = facts.is_connected
        isPaused = facts.is_paused
        isTooLarge = facts.is_too_large
        isOutOfMemory = facts.is_out_of_memory
    }
}

enum FailureReading {
    /// libcurl gives up above 300 KB of headers, with the code of a broken connection.
    private static let tooManyHeaderBytes = 290_000

    /// - Parameter refusal: What our own body hook found, when libcurl's code says that it refused (23).
    static func kind(
        code: CURLcode,
        facts: TransferFacts,
        refusal: HTTPClientError.Kind? = nil
    ) -> HTTPClientError.Kind {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: return .nameResolution
        case CURLE_COULDNT_CONNECT: return .connect
        case CURLE_OPERATION_TIMEDOUT: return .timeout(facts.isConnected ? .whole : .connect)
        case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_ISSUER_ERROR,
            CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_USE_SSL_FAILED:
            return .tls
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_INVALIDCERTSTATUS: return .certificate
        case CURLE_SSL_CACERT_BADFILE, CURLE_OUT_OF_MEMORY, CURLE_FAILED_INIT: return .local
        case CURLE_URL_MALFORMAT, CURLE_BAD_FUNCTION_ARGUMENT, CURLE_UNKNOWN_OPTION, CURLE_NOT_BUILT_IN:
            return .invalidRequest
        case CURLE_FILESIZE_EXCEEDED: return .tooLarge
        case CURLE_WRITE_ERROR:
            if facts.isTooLarge { return .tooLarge }
            return facts.isOutOfMemory ? .local : refusal ?? .local
        // After something was sent, "unsupported protocol" is an answer that is no HTTP.
        case CURLE_UNSUPPORTED_PROTOCOL: return facts.sent == .never ? .invalidRequest : .malformedAnswer
        case CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING: return .malformedAnswer
        case CURLE_PARTIAL_FILE: return .cutAnswer
        default: return brokenConnection(facts)
        }
    }

    /// 52, 55, 56, 65, 42 and whatever else may end a connection.
    private static func brokenConnection(_ facts: TransferFacts) -> HTTPClientError.Kind {
        switch facts.sent {
        case .never: .connect  // every pooled connection was dead
        case .maybe: .emptyAnswer
        case .answeredInPart: facts.headerBytes >= tooManyHeaderBytes ? .malformedAnswer : .cutAnswer
        }
    }
}
