// The keys Plaid signs webhooks with, and the answers of the service that gives them out.

package import Basics
package import Cryptography
import HTTPClient
import JSON

/// A key that may verify webhooks.
package struct VerificationKey: Sendable {
    package let kid: String
    package let publicKey: ES256PublicKey
    package let createdAt: Timestamp?
    /// From then on the key verifies nothing. Nil while it is active.
    package let expiredAt: Timestamp?

    package init(kid: String, publicKey: ES256PublicKey, createdAt: Timestamp? = nil, expiredAt: Timestamp? = nil) {
        self.kid = kid
        self.publicKey = publicKey
        self.createdAt = createdAt
        self.expiredAt = expiredAt
    }

    package func isExpired(at now: Timestamp) -> Bool {
        expiredAt.map { $0 <= now } ?? false
    }
}

/// What came of one look-up.
package struct VerificationKeyAnswer: Sendable {
    package enum Outcome: Sendable {
        case key(VerificationKey)
        /// Plaid says that it has no such key: what it signed is forged.
        case unknownKey
        /// Plaid has the key, and it is not for this: another type, curve, algorithm or use.
        case unfit
        /// Nothing was learnt about the key: what it signed cannot be decided.
        case failed(PlaidFailure)
    }

    package let outcome: Outcome
    /// Plaid's clock when it answered, to see whether ours can be trusted with `iat`.
    package let serverDate: Timestamp?

    package init(outcome: Outcome, serverDate: Timestamp?) {
        self.outcome = outcome
        self.serverDate = serverDate
    }
}

extension VerificationKeyAnswer.Outcome {
    /// Judges the `key` of an answer.
    init(_ json: JSONValue, asked id: String, _ response: HTTPClientResponse) {
        self = .failed(PlaidFailure(response, class: .retry(slow: false), "a key that cannot be read"))
        guard json["kid"]?.stringValue == id,
            let type = json["kty"]?.stringValue, let curve = json["crv"]?.stringValue,
            let algorithm = json["alg"]?.stringValue, let use = json["use"]?.stringValue
        else { return }
        guard type == "EC", curve == "P-256", algorithm == "ES256", use == "sig" else {
            self = .unfit
            return
        }
        guard let x = Self.coordinate(json["x"]), let y = Self.coordinate(json["y"]),
            let expiry = Self.time(json["expired_at"]), let creation = Self.time(json["created_at"]),
            let publicKey = try? ES256PublicKey(x: x, y: y)
        else { return }
        let key = VerificationKey(kid: id, publicKey: publicKey, createdAt: creation.time, expiredAt: expiry.time)
        self = .key(key)
    }

    /// Thirty-two bytes; a shorter number is filled up with zeros in front.
    private static func coordinate(_ json: JSONValue?) -> [UInt8]? {
        guard let text = json?.stringValue, let bytes = Base64URL.decode(text), (1...32).contains(bytes.count) else {
            return nil
        }
        return [UInt8](repeating: 0, count: 32 - bytes.count) + bytes
    }

    /// Unix seconds; null and absent mean "none". Nil for anything else.
    private static func time(_ json: JSONValue?) -> (time: Timestamp?, Void)? {
        switch json {
        case nil, .null: (nil, ())
        case .integer(let seconds) where WebhookClaims.plausibleSeconds.contains(seconds):
            (Timestamp(secondsSinceEpoch: seconds), ())
        default: nil
        }
    }
}
