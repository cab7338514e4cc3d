// Plaid's side of a webhook, played by the test itself: its own key, its own key endpoint, its own signatures, so that
// every answer of the receiver and its time are seen.

import Basics
import Cryptography
import HTTPClient
import HTTPServer
import JSON

/// Signs webhooks as Plaid does and serves the key they are verified with.
final class WebhookSigner: Sendable {
    private let key: ES256PrivateKey
    private let keyID = "key-of-tests"
    private let server: HTTPServer

    init() throws {
        let key = try ES256PrivateKey()
        let jwk: JSONValue = [
            "key": [
                "alg": "ES256", "created_at": 1_560_466_143, "crv": "P-256", "expired_at": nil, "kid": .string(keyID),
                "kty": "EC", "use": "sig", "x": .string(Base64URL.encode(key.publicX)),
                "y": .string(Base64URL.encode(key.publicY)),
            ],
            "request_id": "r1",
        ]
        let body = jwk.serialized(pretty: false)
        self.key = key
        server = try HTTPServer(
            host: "127.0.0.1",
            port: 0,
            service: Router(
                routes: [
                    Route(.post, "/webhook_verification_key/get", handler: .immediate { _ in .json(200, body) })
                ]
            )
        )
        server.start()
    }

    deinit { server.stop() }

    /// For `PLAID_BASE_URL`.
    var url: String { "http://127.0.0.1:\(server.port)" }

    func token(for body: [UInt8], issuedAt: Timestamp = WallClock.system.now()) throws -> String {
        let header = #"{"alg":"ES256","kid":"\#(keyID)","typ":"JWT"}"#
        let payload = #"{"iat":\#(issuedAt.seconds),"request_body_sha256":"\#(SHA256.hash(body).hex)"}"#
        let signed = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(payload.utf8))
        return signed + "." + Base64URL.encode(try key.sign(digest: SHA256.hash(Array(signed.utf8))))
    }

    /// A READY of an invented user. Two with the same number are the same bytes.
    static func ready(_ number: Int) -> [UInt8] {
        Array(
            """
            {
              "environment": "sandbox",
              "failed_products": [],
              "successful_products": [
                "cra_base_report"
              ],
              "user_id": "usr_loadtest\(number)",
              "webhook_code": "USER_CHECK_REPORT_READY",
              "webhook_type": "CHECK_REPORT"
            }
            """.utf8
        )
    }
}

/// How the receiver answered one webhook.
struct WebhookAnswer: Sendable {
    let number: Int
    /// nil: no answer came.
    let status: Int?
    let retryAfter: Duration?
    let took: Duration
    let answeredAt: MonotonicInstant
}

/// Sends numbered webhooks one after the other on several connections, until it is told to stop.
final class WebhookLoad: Sendable {
    private struct State {
        var next = 0
        var isStopped = false
        var answers: [WebhookAnswer] = []
        var watchers: [(matches: @Sendable ([WebhookAnswer]) -> Bool, promise: Promise<Void>)] = []
    }
    private let state = Locked(State())
    private let signer: WebhookSigner
    private let url: String

    init(signer: WebhookSigner, url: String) {
        self.signer = signer
        self.url = url
    }

    /// Sends until ``stop()``; then every webhook on its way is still waited for.
    func run(connections: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<connections {
                group.addTask { while let number = self.take() { try await self.send(number) } }
            }
            try await group.waitForAll()
        }
    }

    func stop() { state.withLock { $0.isStopped = true } }

    var answers: [WebhookAnswer] { state.withLock { $0.answers } }

    /// Waits until the answers so far are as wanted.
    func untilAnswers(
        _ what: String,
        within limit: Duration,
        _ matches: @escaping @Sendable ([WebhookAnswer]) -> Bool
    ) async throws {
        let promise = Promise<Void>()
        state.withLock { state in
            if matches(state.answers) {
                promise.resolve(.success(()))
            } else {
                state.watchers.append((matches, promise))
            }
        }
        let token = TimerQueue.shared.schedule(at: soon(limit)) { [self] in
            let statuses = Dictionary(grouping: answers, by: { $0.status ?? 0 }).mapValues(\.count)
            promise.resolve(.failure(TimedOut(description: "\(what): not within \(limit); answers \(statuses)")))
        }
        defer { TimerQueue.shared.cancel(token) }
        try await promise.value()
    }

    private func take() -> Int? {
        state.withLock { state in
            guard !state.isStopped else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    private func send(_ number: Int) async throws {
        let body = WebhookSigner.ready(number)
        let token = try signer.token(for: body)
        let start = MonotonicClock.system.now()
        let answer: HTTPClientResponse?
        do {
            answer = try await TestHTTP.shared.send("POST", url, body, headers: [("Plaid-Verification", .plain(token))])
        } catch is HTTPClientError {
            answer = nil
        }
        let now = MonotonicClock.system.now()
        let seen = WebhookAnswer(
            number: number,
            status: answer?.status,
            retryAfter: answer?.retryAfter,
            took: now - start,
            answeredAt: now
        )
        let found = state.withLock { state in
            state.answers.append(seen)
            let answers = state.answers
            var found: [Promise<Void>] = []
            state.watchers.removeAll { watcher in
                guard watcher.matches(answers) else { return false }
                found.append(watcher.promise)
                return true
            }
            return found
        }
        for promise in found { promise.resolve(.success(())) }
    }
}
