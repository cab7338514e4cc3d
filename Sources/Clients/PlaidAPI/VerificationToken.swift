// The JWT of a webhook, taken apart strictly. Nothing in it is believed before its signature is verified.

package import Basics
package import Cryptography
import JSON

/// Why a webhook is refused. For counters; the sender is told none of it.
package enum BadReason: String, Error, CaseIterable, Sendable {
    case missingToken = "missing_token"
    case severalTokens = "several_tokens"
    case tokenTooLong = "token_too_long"
    case malformedToken = "malformed_token"
    case malformedHeader = "malformed_header"
    case wrongAlgorithm = "wrong_algorithm"
    /// A header parameter that would let the token bring its own key or rules.
    case forbiddenParameter = "forbidden_parameter"
    case malformedKeyID = "malformed_key_id"
    case malformedClaims = "malformed_claims"
    case bodyMismatch = "body_mismatch"
    case stale
    case fromTheFuture = "from_the_future"
    case unknownKey = "unknown_key"
    case unfitKey = "unfit_key"
    case expiredKey = "expired_key"
    case badSignature = "bad_signature"
}

/// The two claims Plaid signs.
package struct WebhookClaims: Hashable, Sendable {
    /// Unix seconds.
    package let issuedAt: Timestamp
    package let bodyDigest: SHA256Digest

    /// Up to the year 9999, so that no sum with a duration overflows.
    static let plausibleSeconds: ClosedRange<Int64> = 0...253_402_300_799
}

/// A well-formed token that is not verified.
package struct VerificationToken: Hashable, Sendable {
    /// As received.
    package let text: String
    package let keyID: String
    package let claims: WebhookClaims
    let signedDigest: SHA256Digest
    let signature: [UInt8]

    /// Plaid's tokens have about 360 bytes.
    package static let mostBytes = 2_048

    package static func parse(_ text: String) -> Result<VerificationToken, BadReason> {
        do throws(BadReason) {
            return .success(try VerificationToken(text))
        } catch {
            return .failure(error)
        }
    }

    private init(_ text: String) throws(BadReason) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.mostBytes else { throw .tokenTooLong }
        // A third dot falls into the last segment, whose alphabet has none.
        let dot = UInt8(ascii: ".")
        guard let first = bytes.firstIndex(of: dot), let second = bytes[(first + 1)...].firstIndex(of: dot) else {
            throw .malformedToken
        }
        let span = bytes.span
        guard let header = Base64URL.decode(span.extracting(0..<first)),
            let payload = Base64URL.decode(span.extracting((first + 1)..<second)),
            let signature = Base64URL.decode(span.extracting((second + 1)..<span.count)), signature.count == 64
        else { throw .malformedToken }
        keyID = try Self.keyID(inHeader: header)
        claims = try Self.claims(inPayload: payload)
        self.text = text
        self.signature = signature
        signedDigest = SHA256.hash(span.extracting(0..<second))
    }

    /// Parameters of RFC 7515 and 7797 by which a token could name its own key or change what is signed.
    private static let forbidden: Set<String> = ["jwk", "jku", "x5u", "x5c", "crit", "b64"]

    private static func keyID(inHeader bytes: [UInt8]) throws(BadReason) -> String {
        guard let header = try? JSON.parse(bytes), let members = header.objectValue, !header.hasDuplicateKeys else {
            throw .malformedHeader
        }
        guard header["alg"]?.stringValue == "ES256" else { throw .wrongAlgorithm }
        guard !members.contains(where: { forbidden.contains($0.key) }) else { throw .forbiddenParameter }
        guard let id = header["kid"]?.stringValue, isKeyID(id) else { throw .malformedKeyID }
        return id
    }

    /// 1…64 of A–Z a–z 0–9 - _. The form of a UUID is not promised.
    package static func isKeyID(_ id: String) -> Bool {
        (1...64).contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default:
                    false
                }
            }
    }

    private static func claims(inPayload bytes: [UInt8]) throws(BadReason) -> WebhookClaims {
        guard let payload = try? JSON.parse(bytes), payload.objectValue != nil, !payload.hasDuplicateKeys,
            let seconds = payload["iat"]?.intValue, WebhookClaims.plausibleSeconds.contains(seconds),
            let hash = payload["request_body_sha256"]?.stringValue,
            let digest = digest(hash)
        else { throw .malformedClaims }
        return WebhookClaims(issuedAt: Timestamp(secondsSinceEpoch: seconds), bodyDigest: digest)
    }

    /// Thirty-two bytes from sixty-four hexadecimal digits of either case. On the way of every webhook, hence not
    /// by the general reader, which takes a microsecond.
    private static func digest(_ hex: String) -> SHA256Digest? {
        let digits = Array(hex.utf8)
        guard digits.count == 64 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 32)
        for place in bytes.indices {
            guard let high = value(ofDigit: digits[2 * place]), let low = value(ofDigit: digits[2 * place + 1]) else {
                return nil
            }
            bytes[place] = high << 4 | low
        }
        return SHA256Digest(bytes)
    }

    private static func value(ofDigit digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
