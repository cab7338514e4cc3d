// SHA-256: of a whole buffer, or of a body as it arrives.

package import Basics
import CCrypto

/// The 32 bytes of a SHA-256.
package struct SHA256Digest: Hashable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    /// Nil unless `bytes` are exactly 32.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == CCRYPTO_HASH_BYTES else { return nil }
        self.bytes = bytes
    }

    init(trusted bytes: [UInt8]) { self.bytes = bytes }

    /// Sixty-four lower-case digits.
    package var hex: String { Hex.encode(bytes) }

    package var description: String { hex }
}

package enum SHA256 {
    package static func hash(_ bytes: Span<UInt8>) -> SHA256Digest {
        bytes.withUnsafeBufferPointer { hash(UnsafeRawBufferPointer($0)) }
    }

    package static func hash(_ bytes: [UInt8]) -> SHA256Digest {
        bytes.withUnsafeBytes { hash($0) }
    }

    package static func hash(_ bytes: Bytes) -> SHA256Digest {
        bytes.withUnsafeBytes { hash($0) }
    }

    private static func hash(_ buffer: UnsafeRawBufferPointer) -> SHA256Digest {
        let bytes = buffer.assumingMemoryBound(to: UInt8.self)
        guard
            let digest = LibCrypto.array(
                count: CCRYPTO_HASH_BYTES,
                filledBy: { ccrypto_sha256_once(bytes.baseAddress, bytes.count, $0) }
            )
        else { preconditionFailure("libcrypto cannot hash: \(LibCrypto.version)") }
        return SHA256Digest(trusted: digest)
    }
}

/// A running hash. Use one per message: ``finish()`` ends it.
package struct SHA256Hasher: ~Copyable {
    private let context: OpaquePointer

    package init() {
        guard let context = ccrypto_sha256_new() else {
            preconditionFailure("libcrypto cannot start a hash: \(LibCrypto.version)")
        }
        self.context = context
    }

    deinit { ccrypto_sha256_free(context) }

    package mutating func update(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBufferPointer { update($0) }
    }

    package mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBufferPointer { update($0) }
    }

    package consuming func finish() -> SHA256Digest {
        guard
            let digest = LibCrypto.array(
                count: CCRYPTO_HASH_BYTES,
                filledBy: { ccrypto_sha256_finish(context, $0) }
            )
        else { preconditionFailure("libcrypto cannot finish a hash: \(LibCrypto.version)") }
        return SHA256Digest(trusted: digest)
    }

    private mutating func update(_ buffer: UnsafeBufferPointer<UInt8>) {
        precondition(
            ccrypto_sha256_update(context, buffer.baseAddress, buffer.count) == 1,
            "libcrypto cannot hash: \(LibCrypto.version)"
        )
    }
}
