// Whether a webhook is Plaid's: three outcomes, three types, so that none can be taken for another.

package import Basics
package import Cryptography

/// A webhook whose token, signature and body hash are genuine. Only ``WebhookVerifier`` makes one.
package struct VerifiedWebhook: Hashable, Sendable {
    /// The token as received. Nothing may be keyed on it: one message has many valid spellings.
    package let token: String
    package let keyID: String
    package let issuedAt: Timestamp
    package let bodyDigest: SHA256Digest
    /// When the last byte of the body came.
    package let receivedAt: Timestamp

    fileprivate init(_ checked: WebhookVerifier.CheckedToken) {
        token = checked.token.text
        keyID = checked.token.keyID
        issuedAt = checked.token.claims.issuedAt
        bodyDigest = checked.token.claims.bodyDigest
        receivedAt = checked.receivedAt
    }
}

/// Why nothing can be said now. Never an accusation: the answer is "come again", and somebody is told.
package enum UndecidedReason: Hashable, Sendable {
    /// Our clock and Plaid's differ, or have not been compared yet, so `iat` cannot be judged.
    case clock
    /// The key could not be learnt.
    case key
    /// The cryptographic library failed.
    case library(String)

    /// A label for counters.
    package var name: String {
        switch self {
        case .clock: "clock"
        case .key: "key"
        case .library: "library"
        }
    }
}

/// What is known of our clock.
package enum ClockTrust: Hashable, Sendable {
    /// No answer of Plaid's has shown its clock yet.
    case unchecked
    case good
    /// More than ``WebhookVerifier/mostClockDifference`` away from Plaid's.
    case off

    /// - Parameters:
    ///   - serverDate: The `Date` of an answer.
    ///   - now: Our time when it came.
    package init(serverDate: Timestamp, now: Timestamp) {
        let difference = now - serverDate
        let most = WebhookVerifier.mostClockDifference
        self = difference > most || difference < .zero - most ? .off : .good
    }
}

package struct WebhookVerifier: Sendable {
    /// How old a token may be when its body has come.
    package static let mostAge: Duration = .seconds(300)
    /// How far ahead of our clock.
    package static let mostLead: Duration = .seconds(60)
    package static let mostClockDifference: Duration = .seconds(60)

    /// What the checks without a key say.
    package enum Precheck: Sendable {
        case bad(BadReason)
        case needsKey(CheckedToken)
        case undecided(UndecidedReason)
    }

    package enum Verdict: Sendable {
        case good(VerifiedWebhook)
        case bad(BadReason)
        case undecided(UndecidedReason)
    }

    /// A token that passed everything but key and signature, bound to its receipt. Only
    /// ``check(_:bodyDigest:receivedAt:clock:)`` makes one.
    package struct CheckedToken: Hashable, Sendable {
        package let token: VerificationToken
        package let receivedAt: Timestamp
        package var keyID: String { token.keyID }

        fileprivate init(token: VerificationToken, receivedAt: Timestamp) {
            self.token = token
            self.receivedAt = receivedAt
        }

        /// How old the token was at receipt; negative when it is from the future.
        package var age: Duration { receivedAt - token.claims.issuedAt }
    }

    package init() {}

    /// Everything that costs next to nothing and needs no key.
    ///
    /// A token of the wrong age is bad only when our clock is known to be good. Before Plaid's clock has been seen
    /// the key is asked for first: its answer shows that clock.
    ///
    /// - Parameters:
    ///   - headerValues: Every value of `Plaid-Verification`.
    ///   - bodyDigest: SHA-256 of the bytes received.
    ///   - receivedAt: When the last of them came; never a later time.
    package func check(
        _ headerValues: [String],
        bodyDigest: SHA256Digest,
        receivedAt: Timestamp,
        clock: ClockTrust
    ) -> Precheck {
        guard let text = headerValues.first, !text.isEmpty else { return .bad(.missingToken) }
        guard headerValues.count == 1 else { return .bad(.severalTokens) }
        switch VerificationToken.parse(text) {
        case .failure(let reason): return .bad(reason)
        case .success(let token):
            guard constantTimeEqual(token.claims.bodyDigest, bodyDigest) else { return .bad(.bodyMismatch) }
            let checked = CheckedToken(token: token, receivedAt: receivedAt)
            switch clock {
            case .good: return judgeAge(checked).map { .bad($0) } ?? .needsKey(checked)
            case .unchecked: return .needsKey(checked)
            case .off: return .undecided(.clock)
            }
        }
    }

    /// Age again, key and signature: about one P-256 verification.
    package func decide(_ checked: CheckedToken, key: VerificationKey, clock: ClockTrust) -> Verdict {
        if let verdict = judge(checked, clock: clock) { return verdict }
        // A key of another id is a fault of the caller's cache, not of the webhook.
        guard key.kid == checked.keyID else { return .undecided(.key) }
        guard !key.isExpired(at: checked.receivedAt) else { return .bad(.expiredKey) }
        let token = checked.token
        switch key.publicKey.verify(digest: token.signedDigest, rawSignature: token.signature) {
        case .good: return .good(VerifiedWebhook(checked))
        case .bad: return .bad(.badSignature)
        case .undecided(let reason): return .undecided(.library(reason))
        }
    }

    /// The verdict on a token whose key was looked up with some outcome.
    package func decide(
        _ checked: CheckedToken,
        outcome: VerificationKeyAnswer.Outcome,
        clock: ClockTrust
    ) -> Verdict {
        switch outcome {
        case .key(let key): decide(checked, key: key, clock: clock)
        case .unknownKey: .bad(.unknownKey)
        case .unfit: .bad(.unfitKey)
        case .failed: .undecided(.key)
        }
    }

    /// Nil: the age is right. With a clock not compared yet a right age is believed, a wrong one is not.
    private func judge(_ checked: CheckedToken, clock: ClockTrust) -> Verdict? {
        switch (clock, judgeAge(checked)) {
        case (.off, _), (.unchecked, .some): .undecided(.clock)
        case (.good, .some(let reason)): .bad(reason)
        case (_, nil): nil
        }
    }

    private func judgeAge(_ checked: CheckedToken) -> BadReason? {
        if checked.age > Self.mostAge { return .stale }
        if checked.age < .zero - Self.mostLead { return .fromTheFuture }
        return nil
    }
}
