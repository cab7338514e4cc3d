// What can go wrong in this module. No case carries key material, plaintext or ciphertext.

package enum CryptographyError: Error, Hashable, Sendable {
    /// A coordinate or scalar is not 32 bytes long.
    case wrongLength(expected: Int, actual: Int)
    /// The coordinates are no point of P-256, or the scalar is outside 1…n−1.
    case invalidKey
    /// libcrypto refused a call that our inputs cannot make fail: memory, or a broken installation.
    case library(String)
}

package enum CryptographyLibrary {
    /// The loaded libcrypto's version line, for the start-up log.
    package static var version: String { LibCrypto.version }

    /// Fetches the algorithms. Programs call it once at start, so that a broken libcrypto stops them there.
    package static func start() throws(CryptographyError) {
        guard LibCrypto.start() else {
            throw .library("SHA-256, HMAC or AES-256-GCM is missing from \(LibCrypto.version)")
        }
    }
}
