// ECDSA on P-256 over SHA-256 with raw 64-byte signatures (JWS "ES256", RFC 7518 §3.4).

import CCrypto

/// What a verification says. "Undecided" is a fault of ours and never means that the signature is bad.
package enum SignatureVerdict: Hashable, Sendable {
    case good
    case bad
    case undecided(reason: String)

    /// Maps the shim's three meanings; anything it does not define is a fault too.
    init(result: Int32, reason: UInt) {
        switch result {
        case 1: self = .good
        case 0: self = .bad
        default: self = .undecided(reason: LibCrypto.text(of: reason))
        }
    }
}

/// A P-256 public key.
///
/// `@unchecked Sendable`: the key is complete before `init` returns and is never changed; each verification makes
/// its own context. OpenSSL (openssl-threads(7), EVP_PKEY): an unchanging key may be used by many threads at once.
package final class ES256PublicKey: @unchecked Sendable {
    private let key: OpaquePointer

    /// - Parameters:
    ///   - x: Big-endian, exactly 32 bytes.
    ///   - y: Likewise.
    /// - Throws: ``CryptographyError/wrongLength(expected:actual:)``, or ``CryptographyError/invalidKey`` when the
    ///   point is not on the curve.
    package init(x: [UInt8], y: [UInt8]) throws(CryptographyError) {
        try requireHalf(x)
        try requireHalf(y)
        let made = x.withUnsafeBufferPointer { x in
            y.withUnsafeBufferPointer { y in ccrypto_es256_public(x.baseAddress!, y.baseAddress!) }
        }
        guard let made else { throw .invalidKey }
        key = made
    }

    deinit { ccrypto_key_free(key) }

    /// Judges a signature over the hash of a message; about the time of one P-256 verification (50–60 µs).
    ///
    /// Both halves of a malleable pair are good. A signature that is not 64 bytes, or has a half outside 1…n−1, is bad.
    package func verify(digest: SHA256Digest, rawSignature: [UInt8]) -> SignatureVerdict {
        guard rawSignature.count == CCRYPTO_SIGNATURE_BYTES else { return .bad }
        var reason: UInt = 0
        let result = digest.bytes.withUnsafeBufferPointer { hash in
            rawSignature.withUnsafeBufferPointer { signature in
                ccrypto_es256_verify(key, hash.baseAddress!, signature.baseAddress!, &reason)
            }
        }
        return SignatureVerdict(result: result, reason: reason)
    }
}

/// A P-256 key pair: what the sandbox signs webhooks with.
///
/// `@unchecked Sendable`: as for ``ES256PublicKey``; signing makes its own context too.
package final class ES256PrivateKey: @unchecked Sendable {
    /// Big-endian, 32 bytes.
    package let publicX: [UInt8]
    /// Big-endian, 32 bytes.
    package let publicY: [UInt8]
    private let key: OpaquePointer

    /// A fresh random pair.
    package convenience init() throws(CryptographyError) {
        guard let made = ccrypto_es256_generate() else { throw .library("P-256 key generation failed") }
        try self.init(adopting: made)
    }

    /// The pair of a private scalar.
    ///
    /// - Parameter scalar: Big-endian, exactly 32 bytes, 1…n−1.
    package convenience init(scalar: [UInt8]) throws(CryptographyError) {
        try requireHalf(scalar)
        guard let made = scalar.withUnsafeBufferPointer({ ccrypto_es256_private($0.baseAddress!) }) else {
            throw .invalidKey
        }
        try self.init(adopting: made)
    }

    private init(adopting made: OpaquePointer) throws(CryptographyError) {
        var y: [UInt8] = []
        let x = LibCrypto.array(count: CCRYPTO_COORDINATE_BYTES) { x in
            guard
                let written = LibCrypto.array(
                    count: CCRYPTO_COORDINATE_BYTES,
                    filledBy: { ccrypto_es256_coordinates(made, x, $0) }
                )
            else { return 0 }
            y = written
            return 1
        }
        guard let x else {
            ccrypto_key_free(made)
            throw .library("a P-256 key without coordinates")
        }
        publicX = x
        publicY = y
        key = made
    }

    deinit { ccrypto_key_free(key) }

    package func publicKey() throws(CryptographyError) -> ES256PublicKey {
        try ES256PublicKey(x: publicX, y: publicY)
    }

    /// The raw signature (r then s, 64 bytes) over the hash of a message.
    package func sign(digest: SHA256Digest) throws(CryptographyError) -> [UInt8] {
        let signature = digest.bytes.withUnsafeBufferPointer { hash in
            LibCrypto.array(count: CCRYPTO_SIGNATURE_BYTES) {
                ccrypto_es256_sign(key, hash.baseAddress!, $0)
            }
        }
        guard let signature else { throw .library("P-256 signing failed") }
        return signature
    }
}

private func requireHalf(_ bytes: [UInt8]) throws(CryptographyError) {
    let expected = CCRYPTO_COORDINATE_BYTES
    guard bytes.count == expected else { throw .wrongLength(expected: expected, actual: bytes.count) }
}
