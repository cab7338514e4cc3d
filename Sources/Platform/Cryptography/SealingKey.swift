// One AES-256 key: its id, its bytes in memory that is wiped, and the count of what it sealed.

import CCrypto
import Synchronization

/// Names a sealing key in configuration and in sealed values: 1…32 of A–Z a–z 0–9 . _ -
package struct SealingKeyID: Hashable, Sendable, CustomStringConvertible {
    package let name: String

    package init?(_ name: String) {
        let bytes = name.utf8
        guard (1...32).contains(bytes.count), bytes.allSatisfy(Self.isAllowed) else { return nil }
        self.name = name
    }

    init?(_ bytes: ArraySlice<UInt8>) {
        guard let name = String(validating: bytes, as: UTF8.self) else { return nil }
        self.init(name)
    }

    package var description: String { name }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default:
            false
        }
    }
}

/// `@unchecked Sendable`: `bytes` is written in `init` and wiped in `deinit`, read only in between.
final class SealingKey: @unchecked Sendable {
    static let byteCount = CCRYPTO_GCM_KEY_BYTES
    static let nonceBytes = CCRYPTO_GCM_NONCE_BYTES
    static let tagBytes = CCRYPTO_GCM_TAG_BYTES

    let id: SealingKeyID
    /// Seals since start, for a metric: random nonces ask for fewer than 2³² under one key.
    let seals = Atomic<UInt64>(0)
    private let bytes: UnsafeMutablePointer<UInt8>

    /// Copies `key`, which must be 32 bytes.
    init(id: SealingKeyID, key: [UInt8]) {
        precondition(key.count == Self.byteCount, "a sealing key is 32 bytes")
        self.id = id
        bytes = .allocate(capacity: Self.byteCount)
        bytes.initialize(from: key, count: Self.byteCount)
    }

    deinit {
        ccrypto_wipe(bytes, Self.byteCount)
        bytes.deallocate()
    }

    /// Ciphertext and tag; nil when libcrypto failed.
    func seal(_ plaintext: [UInt8], nonce: [UInt8], associated: [UInt8]) -> [UInt8]? {
        precondition(nonce.count == Self.nonceBytes, "a nonce is 12 bytes")
        seals.wrappingAdd(1, ordering: .relaxed)
        return LibCrypto.array(count: plaintext.count + Self.tagBytes) { sealed in
            ccrypto_gcm_seal(bytes, nonce, associated, associated.count, plaintext, plaintext.count, sealed)
        }
    }

    enum Opened {
        case genuine([UInt8])
        case forged
        case failed
    }

    func open(_ sealed: [UInt8], nonce: [UInt8], associated: [UInt8]) -> Opened {
        precondition(nonce.count == Self.nonceBytes, "a nonce is 12 bytes")
        guard sealed.count >= Self.tagBytes else { return .forged }
        var result: Int32 = -1
        // One spare byte keeps the buffer's address real for an empty plaintext.
        let capacity = sealed.count - Self.tagBytes + 1
        let plaintext = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
            result = ccrypto_gcm_open(
                bytes,
                nonce,
                associated,
                associated.count,
                sealed,
                sealed.count,
                buffer.baseAddress!
            )
            initialized = result == 1 ? capacity - 1 : 0
        }
        switch result {
        case 1: return .genuine(plaintext)
        case 0: return .forged
        default: return .failed
        }
    }
}
