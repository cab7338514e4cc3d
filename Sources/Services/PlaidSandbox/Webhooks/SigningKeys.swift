// The keys webhooks are signed with, and what the key endpoint says of them.

import Basics
import Cryptography
import JSON

/// Several live keys; the newest signs. Keys follow from the seed, so that a receiver's cached key stays good when the
/// sandbox is started again.
struct SigningKeys: Sendable {
    struct Key: Sendable {
        let id: String
        let key: ES256PrivateKey
        let createdAt: Timestamp
        var expiredAt: Timestamp?
    }

    private let identifiers: Identifiers
    private(set) var keys: [Key] = []

    static let mostKeys = 1_000

    init(identifiers: Identifiers, now: Timestamp) throws {
        self.identifiers = identifiers
        try rotate(now: now, expiresOlder: false)
    }

    var current: Key { keys[keys.count - 1] }

    func key(id: String) -> Key? { keys.last { $0.id == id } }

    /// A new key signs from now on. The older ones verify on, or are said to have expired now.
    mutating func rotate(now: Timestamp, expiresOlder: Bool) throws {
        guard keys.count < Self.mostKeys else { throw PlaidRefusal.internalError("the sandbox makes no more keys") }
        let name = "signing-\(keys.count + 1)"
        var attempt = 0
        while true {
            // A hash that is no valid scalar comes up about never; the next one then.
            if let key = try? ES256PrivateKey(scalar: identifiers.hash("key", "\(name)#\(attempt)")) {
                if expiresOlder {
                    for index in keys.indices where keys[index].expiredAt == nil { keys[index].expiredAt = now }
                }
                keys.append(Key(id: identifiers.uuid("kid", name), key: key, createdAt: now))
                return
            }
            attempt += 1
            if attempt > 8 { throw CryptographyError.invalidKey }
        }
    }
}

extension SigningKeys.Key {
    /// The JWT for a body: ES256 over `iat` and the body's hash.
    func token(for body: [UInt8], issuedAt: Timestamp) throws -> String {
        var header = JSONWriter()
        header.object { writer in
            writer.field("alg", "ES256")
            writer.field("kid", id)
            writer.field("typ", "JWT")
        }
        var claims = JSONWriter()
        claims.object { writer in
            writer.field("iat", issuedAt.seconds)
            writer.field("request_body_sha256", SHA256.hash(body).hex)
        }
        let signed = Base64URL.encode(header.bytes) + "." + Base64URL.encode(claims.bytes)
        let signature = try key.sign(digest: SHA256.hash(Array(signed.utf8)))
        return signed + "." + Base64URL.encode(signature)
    }

    func write(_ writer: inout JSONWriter) {
        writer.object("key") { writer in
            writer.field("alg", "ES256")
            writer.field("created_at", createdAt.seconds)
            writer.field("crv", "P-256")
            writer.name("expired_at")
            if let expiredAt { writer.value(expiredAt.seconds) } else { writer.null() }
            writer.field("kid", id)
            writer.field("kty", "EC")
            writer.field("use", "sig")
            writer.field("x", Base64URL.encode(key.publicX))
            writer.field("y", Base64URL.encode(key.publicY))
        }
    }
}
