// Secure randomness and comparison in constant time.

import CCrypto

/// Random bytes for keys, nonces and ids. The generator is seeded by the system.
///
/// Without randomness nothing here is safe, so its failure stops the program.
package func secureRandom(count: Int) -> [UInt8] {
    guard count > 0 else { return [] }
    guard let bytes = LibCrypto.array(count: count, filledBy: { ccrypto_random($0, count) }) else {
        preconditionFailure("libcrypto has no randomness: \(LibCrypto.version)")
    }
    return bytes
}

/// Whether two byte strings are equal; the time taken tells only their lengths.
package func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    constantTimeEqual(left.span, right.span)
}

/// Whether two byte strings are equal; the time taken tells only their lengths.
package func constantTimeEqual(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    return left.withUnsafeBufferPointer { left in
        right.withUnsafeBufferPointer { right in
            guard let leftBase = left.baseAddress, let rightBase = right.baseAddress else { return true }
            return ccrypto_equal(leftBase, rightBase, left.count) == 1
        }
    }
}

/// Whether two digests are equal; the time taken tells nothing.
package func constantTimeEqual(_ left: SHA256Digest, _ right: SHA256Digest) -> Bool {
    constantTimeEqual(left.bytes.span, right.bytes.span)
}
