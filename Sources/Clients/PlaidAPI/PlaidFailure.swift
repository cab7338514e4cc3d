// A call that did not give what was asked, told so that the caller can act without looking inside.

package import HTTPClient

/// Why a call failed and what that asks for. Holds no secret and no body.
package struct PlaidFailure: Error, Sendable {
    package let `class`: FailureClass
    package let errorType: String?
    package let errorCode: String?
    /// The HTTP status, when an answer came.
    package let status: Int?
    package let requestID: String?
    /// How long Plaid asked to wait.
    package let retryAfter: Duration?
    /// What Plaid may have seen of the request.
    package let sent: HTTPClientError.SendState
    /// For people; made from checked names and our own words.
    package let message: String
    /// Plaid's whole error object; its messages are Plaid's words and stay out of logs.
    package let body: PlaidErrorBody?
    /// The transport's error, when there was no complete answer.
    package let transport: HTTPClientError?

    package init(
        class: FailureClass,
        errorType: String? = nil,
        errorCode: String? = nil,
        status: Int? = nil,
        requestID: String? = nil,
        retryAfter: Duration? = nil,
        sent: HTTPClientError.SendState = .answeredInPart,
        message: String,
        body: PlaidErrorBody? = nil,
        transport: HTTPClientError? = nil
    ) {
        self.class = `class`
        self.errorType = errorType
        self.errorCode = errorCode
        self.status = status
        self.requestID = requestID
        self.retryAfter = retryAfter
        self.sent = sent
        self.message = message
        self.body = body
        self.transport = transport
    }

    /// The one failure for which a new report may be created without a person: its 24 hours are over.
    package var isExpired: Bool { errorCode == "CONSUMER_REPORT_EXPIRED" }

    /// Whether the caller ended the request itself.
    package var isCancelled: Bool { transport?.kind == .cancelled }

    /// Whether the call may have done its work all the same; what is no read must not be repeated then.
    package var mayHaveTakenEffect: Bool {
        guard sent != .never else { return false }
        guard let status, body != nil else { return true }
        return !(400...499).contains(status)
    }

    /// Whether the failure speaks of Plaid's health: a time-out, a 5xx, no answer.
    package var isUpstreamTrouble: Bool {
        if let transport { return transport.kind != .cancelled && transport.kind != .closed }
        return (status ?? 0) >= 500
    }
}

extension PlaidFailure: CustomStringConvertible {
    package var description: String { message }
}

extension PlaidFailure {
    init(_ error: HTTPClientError) {
        self.init(
            class: PlaidErrorTable.classify(error),
            status: error.status,
            sent: error.sent,
            message: "no complete answer: \(error.kind.name)",
            transport: error
        )
    }

    /// An answer with Plaid's error object.
    init(_ error: PlaidErrorBody, in response: HTTPClientResponse, class override: FailureClass? = nil) {
        self.init(
            class: override
                ?? PlaidErrorTable.classify(type: error.errorType, code: error.errorCode, status: response.status),
            errorType: error.errorType,
            errorCode: error.errorCode,
            status: response.status,
            requestID: error.requestID ?? response.plaidRequestID,
            retryAfter: response.retryAfter,
            message: "\(error.errorType) \(error.errorCode) (HTTP \(response.status))",
            body: error
        )
    }

    /// An answer that is not what the call gives.
    init(_ response: HTTPClientResponse, class: FailureClass, _ message: String) {
        self.init(
            class: `class`,
            status: response.status,
            requestID: response.plaidRequestID,
            retryAfter: response.retryAfter,
            message: "\(message) (HTTP \(response.status))"
        )
    }
}

extension HTTPClientResponse {
    var plaidRequestID: String? { PlaidName.checked(header("plaid-request-id")) }
}
