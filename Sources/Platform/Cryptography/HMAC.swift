// HMAC-SHA-256 under one key: the keyed hash of user ids in logs.

package import Basics
import CCrypto

/// A key for HMAC-SHA-256.
///
/// `@unchecked Sendable`: the keyed context is never changed after `init`; each call works on a duplicate of
/// it. OpenSSL (openssl-threads(7)): objects are thread-safe as long as no thread modifies them.
package final class HMACKey: @unchecked Sendable {
    private let keyed: OpaquePointer

    package init(bytes: [UInt8]) {
        guard let keyed = bytes.withUnsafeBufferPointer({ ccrypto_hmac_new($0.baseAddress, $0.count) }) else {
            preconditionFailure("libcrypto cannot key an HMAC: \(LibCrypto.version)")
        }
        self.keyed = keyed
    }

    package convenience init(_ secret: Secret) {
        self.init(bytes: secret.bytes)
    }

    deinit { ccrypto_hmac_free(keyed) }

    /// The 32-byte tag of a message.
    package func authenticate(_ message: [UInt8]) -> [UInt8] {
        let tag = message.withUnsafeBufferPointer { buffer in
            LibCrypto.array(count: CCRYPTO_HASH_BYTES) {
                ccrypto_hmac_once(keyed, buffer.baseAddress, buffer.count, $0)
            }
        }
        guard let tag else { preconditionFailure("libcrypto cannot authenticate: \(LibCrypto.version)") }
        return tag
    }
}
