// Load as Plaid makes it: every answer other than 200 is sent again, signed anew. What was answered 200 is an
// obligation of the receiver's, whatever happened to it since.

import Basics
import Cryptography
import HTTPClient
import PipelineEvents

/// One webhook of the load: what its record must look like when it is found.
struct ObligedWebhook: Sendable {
    enum Kind: CaseIterable { case checkReport, item, link, unheardOf, forged }

    let number: Int
    let kind: Kind
    let body: [UInt8]
    /// Of the record.
    let key: String
    let type: String

    /// Bytes that an honest copy keeps and a careless one does not: blanks, escapes beside what they stand for, a long
    /// one now and then.
    init(_ number: Int) {
        self.number = number
        kind =
            switch number % 16 {
            case 3: .item
            case 7: .link
            case 11: .unheardOf
            case 13: .forged
            default: .checkReport
            }
        let filler = number % 97 == 5 ? String(repeating: "ü ", count: 60_000) : "\\u00fcü\\/ /"
        let (type, code, field) =
            switch kind {
            case .checkReport: ("CHECK_REPORT", "USER_CHECK_REPORT_READY", "user_id")
            case .item: ("ITEM", "ERROR", "item_id")
            case .link: ("LINK", "SESSION_FINISHED", "user_id")
            case .unheardOf: ("SOMETHING_NEW", "HAPPENED", "user_id")
            case .forged: ("CHECK_REPORT", "USER_CHECK_REPORT_READY", "user_id")
            }
        key = "load-\(number)"
        self.type = "com.plaid.webhook.\(type).\(code)"
        body = Array(
            """
            {\r
              "environment": "sandbox",   "note": "\(filler)",
            \t"\(field)" : "\(key)",
              "webhook_code": "\(code)",
              "webhook_type": "\(type)"
            }

            """.utf8
        )
    }

    func topic(in topics: Topics) -> String {
        switch kind {
        case .checkReport, .forged: topics.checkReport
        case .item: topics.item
        case .link: topics.link
        case .unheardOf: topics.other
        }
    }
}

/// One time one webhook was sent, and what came of it.
struct ObligationAttempt: Sendable {
    let number: Int
    let token: String
    let issuedAt: Int64
    /// Nil: no answer came.
    let status: Int?
    let retryAfter: Duration?
    let took: Duration
    let sentAt: MonotonicInstant
}

final class ObligationLoad: Sendable {
    typealias Condition = @Sendable (ObligationAttempt) -> Bool

    private struct State {
        var next = 0
        var unsettled: [(due: MonotonicInstant, number: Int)] = []
        var underWay = 0
        var makesNew = true
        var isStopped = false
        var attempts: [ObligationAttempt] = []
        var watchers: [(left: Int, matches: Condition, promise: Promise<Void>)] = []
    }
    /// Plaid waits as it is told; here it comes back sooner, so that a short run sees repeats.
    private static let repeatAfter = Duration.seconds(2)

    private let state = Locked(State())
    private let signer: WebhookSigner
    private let forger: WebhookSigner
    private let url: String
    private let gap: Duration

    /// - Parameter perSecond: All connections together, when every answer comes at once.
    init(signer: WebhookSigner, url: String, connections: Int, perSecond: Int) throws {
        self.signer = signer
        forger = try WebhookSigner()
        self.url = url
        self.connections = connections
        gap = .seconds(1) * connections / perSecond
    }

    let connections: Int

    var attempts: [ObligationAttempt] { state.withLock { $0.attempts } }

    /// Sends until ``settle(within:)`` ends it.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<connections {
                group.addTask { [self] in
                    var due = MonotonicClock.system.now() + gap * number / connections
                    while !state.withLock({ $0.isStopped }) {
                        try await TimerQueue.shared.sleep(until: due)
                        if let number = take() { try await send(number) }
                        due = max(due + gap, MonotonicClock.system.now())
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Makes no new webhooks any more, waits until each has its final answer, and ends ``run()``.
    func settle(within limit: Duration) async throws {
        state.withLock { $0.makesNew = false }
        defer { stop() }
        try await eventually("every webhook has its final answer", within: limit) { () -> Bool? in
            state.withLock { $0.unsettled.isEmpty && $0.underWay == 0 } ? true : nil
        }
    }

    func stop() { state.withLock { $0.isStopped = true } }

    /// Waits for that many answers, from now on, of a kind.
    func until(_ count: Int, _ what: String, within limit: Duration, _ matches: @escaping Condition) async throws {
        let promise = Promise<Void>()
        state.withLock { $0.watchers.append((count, matches, promise)) }
        let token = TimerQueue.shared.schedule(at: soon(limit)) { [self] in
            let last = Dictionary(grouping: attempts.suffix(200), by: { $0.status ?? 0 }).mapValues(\.count)
            promise.resolve(.failure(TimedOut(description: "\(count) \(what): not within \(limit); last \(last)")))
        }
        defer { TimerQueue.shared.cancel(token) }
        try await promise.value()
    }

    private func take() -> Int? {
        let now = MonotonicClock.system.now()
        return state.withLock { state in
            if let index = state.unsettled.firstIndex(where: { $0.due <= now }) {
                state.underWay += 1
                return state.unsettled.remove(at: index).number
            }
            guard state.makesNew else { return nil }
            defer { state.next += 1 }
            state.underWay += 1
            return state.next
        }
    }

    private func send(_ number: Int) async throws {
        let webhook = ObligedWebhook(number)
        let issuedAt = WallClock.system.now()
        let token = try (webhook.kind == .forged ? forger : signer).token(for: webhook.body, issuedAt: issuedAt)
        let start = MonotonicClock.system.now()
        let answer: HTTPClientResponse?
        do {
            answer = try await TestHTTP.shared.send(
                "POST",
                url,
                webhook.body,
                headers: [("Plaid-Verification", .plain(token))]
            )
        } catch is HTTPClientError {
            answer = nil
        }
        let now = MonotonicClock.system.now()
        let attempt = ObligationAttempt(
            number: number,
            token: token,
            issuedAt: issuedAt.seconds,
            status: answer?.status,
            retryAfter: answer?.retryAfter,
            took: now - start,
            sentAt: start
        )
        let met = state.withLock { state in
            state.attempts.append(attempt)
            state.underWay -= 1
            if attempt.status == nil || attempt.status == 429 {
                state.unsettled.append((now + Self.repeatAfter, number))
            }
            var met: [Promise<Void>] = []
            for index in state.watchers.indices.reversed() where state.watchers[index].matches(attempt) {
                state.watchers[index].left -= 1
                if state.watchers[index].left == 0 { met.append(state.watchers.remove(at: index).promise) }
            }
            return met
        }
        for promise in met { promise.resolve(.success(())) }
    }
}
