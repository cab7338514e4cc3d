// A scripted transport, invented data, and the webhook that Plaid's sandbox signed in 2021.

import Basics
import Cryptography
import HTTPClient
import JSON
import PlaidAPI

/// Answers requests in order and keeps them.
final class ScriptedTransport: PlaidTransport {
    private let state: Locked<(answers: [Result<HTTPClientResponse, HTTPClientError>], requests: [HTTPClientRequest])>

    init(_ answers: Result<HTTPClientResponse, HTTPClientError>...) {
        state = Locked((answers, []))
    }

    var requests: [HTTPClientRequest] { state.withLock { $0.requests } }

    func send(_ request: HTTPClientRequest) async throws(HTTPClientError) -> HTTPClientResponse {
        try next(request).get()
    }

    func begin(
        _ request: HTTPClientRequest,
        completion: @escaping @Sendable (Result<HTTPClientResponse, HTTPClientError>) -> Void
    ) {
        completion(next(request))
    }

    private func next(_ request: HTTPClientRequest) -> Result<HTTPClientResponse, HTTPClientError> {
        state.withLock { state in
            state.requests.append(request)
            guard !state.answers.isEmpty else {
                return .failure(HTTPClientError(.connect, message: "the script has ended"))
            }
            return state.answers.removeFirst()
        }
    }
}

extension Result<HTTPClientResponse, HTTPClientError> {
    static func answer(
        _ status: Int,
        _ body: String,
        type: String? = "application/json",
        headers: [(name: String, value: String)] = [],
        retryAfter: Duration? = nil,
        date: Timestamp? = nil
    ) -> Self {
        let contentType = type.map { [(name: "content-type", value: $0)] } ?? []
        return .success(
            HTTPClientResponse(
                status: status,
                body: Bytes(utf8: body),
                headers: contentType + headers,
                retryAfter: retryAfter,
                date: date,
                silentRepeats: 1,
                elapsed: .milliseconds(5)
            )
        )
    }
}

enum Fixture {
    static let credentials = PlaidCredentials(clientID: "client-1", secret: Secret("hush-hush"))

    static func client(_ transport: ScriptedTransport) -> PlaidClient {
        PlaidClient(http: transport, baseURL: "https://plaid.test/prefix/", credentials: credentials)
    }

    static let baseReport = """
        {"report":{"report_id":"rB7kQ1zMxT","date_generated":"2026-11-20T03:04:05.123456789Z",\
        "client_report_id":"loan-88231-r2","items":[]},"warnings":[],"request_id":"bQ3"}
        """

    static func error(_ type: String, _ code: String) -> String {
        #"{"error_type":"\#(type)","error_code":"\#(code)","error_message":"words","display_message":null,"#
            + #""request_id":"e1"}"#
    }
}

/// What a call failed with; nil when it did not.
func failure<Value>(of call: () async throws(PlaidFailure) -> Value) async -> PlaidFailure? {
    do throws(PlaidFailure) {
        _ = try await call()
        return nil
    } catch {
        return error
    }
}

/// Signs webhooks as Plaid does.
struct Signer {
    let pair: ES256PrivateKey
    let keyID: String

    init(keyID: String = "kid-1") throws {
        pair = try ES256PrivateKey()
        self.keyID = keyID
    }

    func key(expiredAt: Timestamp? = nil) throws -> VerificationKey {
        VerificationKey(kid: keyID, publicKey: try pair.publicKey(), expiredAt: expiredAt)
    }

    func token(_ body: [UInt8], issuedAt: Int64) throws -> String {
        try token(
            header: #"{"alg":"ES256","kid":"\#(keyID)","typ":"JWT"}"#,
            payload: #"{"iat":\#(issuedAt),"request_body_sha256":"\#(SHA256.hash(body).hex)"}"#
        )
    }

    func token(header: String, payload: String) throws -> String {
        let signed = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(payload.utf8))
        let signature = try pair.sign(digest: SHA256.hash(Array(signed.utf8)))
        return signed + "." + Base64URL.encode(signature)
    }
}

enum Genuine {
    static let body = Array(
        """
        {
          "error": null,
          "item_id": "xVDbz8kaZRf69Nd18x81I3y83kZaxEF688545",
          "new_transactions": 0,
          "webhook_code": "DEFAULT_UPDATE",
          "webhook_type": "TRANSACTIONS"
        }
        """.utf8
    )
    static let keyID = "6c5516e1-92dc-479e-a8ff-5a51992e0001"
    static let x = "35lvC8uz2QrWpQJ3TUH8t9o9DURMp7ydU518RKDl20k"
    static let y = "I8BuXB2bvxelzJAd7OKhd-ZwjCst05Fx47Mb_0ugros"
    static let issuedAt: Int64 = 1_612_186_627
    static let signed =
        "eyJhbGciOiJFUzI1NiIsImtpZCI6IjZjNTUxNmUxLTkyZGMtNDc5ZS1hOGZmLTVhNTE5OTJlMDAwMSIsInR5cCI6IkpXVCJ9."
        + "eyJpYXQiOjE2MTIxODY2MjcsInJlcXVlc3RfYm9keV9zaGEyNTYiOiJjNDM3NDE5NjRlOWIxNzNkN2JjMWU4NDBhMjFjZTFhZDI2"
        + "Y2ZhMjdjMWEzNzliYmE4Y2I1ZjU3MTVhYWRlNDBhIn0"
    static let token =
        signed + ".7YVXrBFA9Wr-u7eWoPjRxoWW7M5hiNunZYJXpLuFoA6fTop8RBgybDRtNbtIa6W0X2Gvqg8dtb2uaMcHzHI9WQ"
    /// The same message under (r, n − s).
    static let twin =
        signed + ".7YVXrBFA9Wr-u7eWoPjRxoWW7M5hiNunZYJXpLuFoA5gsXWCu-fNlMuSykS3lFpLXYVLA5f56MdFUQO7L_Dn-A"

    static func key(expiredAt: Timestamp? = nil) throws -> VerificationKey {
        let x = Base64URL.decode(Self.x) ?? []
        let y = Base64URL.decode(Self.y) ?? []
        let publicKey = try ES256PublicKey(x: x, y: y)
        return VerificationKey(kid: keyID, publicKey: publicKey, expiredAt: expiredAt)
    }
}
