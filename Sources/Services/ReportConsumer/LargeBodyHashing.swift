// Hashing of large bodies on the threads that also parse them.

import Basics
import Cryptography
import JSON

enum LargeBodyHashing {
    /// Bytes: below it hashing costs less than handing the body over.
    static let threshold = 1 << 20

    /// Waits for one of the two seats.
    static func hash(_ body: Bytes) async throws -> SHA256Digest {
        try await LargeBodies.shared.run { SHA256.hash(body) }
    }
}
