// Sealing of secrets at rest: AES-256-GCM under named keys, bound to the place where a value is stored.
//
// A sealed value is   version (1) ‖ length of the key id (1) ‖ key id ‖ nonce (12) ‖ ciphertext ‖ tag (16).
// The associated data are table, column, row, version and key id, each with its length in front, so that
// neither a value moved to another row nor parts shifted into each other open.

package import Basics
import Synchronization

package enum KeyRingError: Error, Hashable, Sendable, CustomStringConvertible {
    case empty
    /// Position from 1. The text between the commas is never quoted: it may be a key.
    case malformed(entry: Int)
    case duplicateID(SealingKeyID)

    package var description: String {
        switch self {
        case .empty: "no key given"
        case .malformed(let entry): "entry \(entry) is not id:base64-of-32-bytes"
        case .duplicateID(let id): "key id \(id) is given twice"
        }
    }
}

package enum SealError: Error, Hashable, Sendable {
    /// The value was sealed with a key that is not configured: a fault of the program, not of the value.
    case unknownKey(SealingKeyID)
    /// Not a sealed value, altered, or sealed for another place.
    case tampered
    /// libcrypto failed.
    case library
}

/// The configured sealing keys: the first seals, all open.
package final class KeyRing: Sendable {
    private static let version: UInt8 = 1

    package let primaryKeyID: SealingKeyID
    private let primary: SealingKey
    private let keys: [SealingKeyID: SealingKey]

    /// - Parameter text: `id:base64-of-32-bytes[,id:base64…]`, base64 with padding.
    package convenience init(parsing text: String) throws(KeyRingError) {
        var parsed: [SealingKey] = []
        guard !text.isEmpty else { throw .empty }
        for (index, entry) in text.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
            let parts = entry.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let id = SealingKeyID(String(parts[0])),
                let key = Base64.decode(String(parts[1])), key.count == SealingKey.byteCount
            else { throw .malformed(entry: index + 1) }
            parsed.append(SealingKey(id: id, key: key))
        }
        try self.init(parsed)
    }

    package convenience init(parsing secret: Secret) throws(KeyRingError) {
        try self.init(parsing: secret.reveal())
    }

    init(_ sealingKeys: [SealingKey]) throws(KeyRingError) {
        guard let first = sealingKeys.first else { throw .empty }
        var keys: [SealingKeyID: SealingKey] = [:]
        for key in sealingKeys {
            guard keys.updateValue(key, forKey: key.id) == nil else { throw .duplicateID(key.id) }
        }
        primary = first
        primaryKeyID = first.id
        self.keys = keys
    }

    /// Every configured id, the sealing one first.
    package var keyIDs: [SealingKeyID] {
        [primaryKeyID] + keys.keys.filter { $0 != primaryKeyID }.sorted { $0.name < $1.name }
    }

    /// How many values this process has sealed, all with the primary key.
    package var sealCount: UInt64 { primary.seals.load(ordering: .relaxed) }

    /// Seals a value for one place. Two seals of one value differ: the nonce is fresh.
    ///
    /// - Parameters:
    ///   - table: Name of the table the value is for; likewise `column`.
    ///   - row: The row's key as text, in one agreed spelling.
    package func seal(_ plaintext: [UInt8], table: String, column: String, row: String) throws(SealError) -> [UInt8] {
        let nonce = secureRandom(count: SealingKey.nonceBytes)
        let associated = Self.associatedData(table: table, column: column, row: row, key: primaryKeyID)
        guard let sealed = primary.seal(plaintext, nonce: nonce, associated: associated) else { throw .library }
        let name = Array(primaryKeyID.name.utf8)
        return [Self.version, UInt8(name.count)] + name + nonce + sealed
    }

    /// Opens what ``seal(_:table:column:row:)`` made for the same place.
    package func open(_ sealed: [UInt8], table: String, column: String, row: String) throws(SealError) -> [UInt8] {
        guard let envelope = Envelope(sealed) else { throw .tampered }
        guard let key = keys[envelope.key] else { throw .unknownKey(envelope.key) }
        let associated = Self.associatedData(table: table, column: column, row: row, key: envelope.key)
        switch key.open(envelope.sealed, nonce: envelope.nonce, associated: associated) {
        case .genuine(let plaintext): return plaintext
        case .forged: throw .tampered
        case .failed: throw .library
        }
    }

    /// The key a value says it was sealed with; nil when it is no sealed value. Not verified.
    package func keyID(of sealed: [UInt8]) -> SealingKeyID? { Envelope(sealed)?.key }

    /// Whether a value should be sealed anew with the primary key.
    package func isOutdated(_ sealed: [UInt8]) -> Bool { keyID(of: sealed) != primaryKeyID }

    static func associatedData(table: String, column: String, row: String, key: SealingKeyID) -> [UInt8] {
        var data: [UInt8] = []
        for part in [Array(table.utf8), Array(column.utf8), Array(row.utf8), [version], Array(key.name.utf8)] {
            withUnsafeBytes(of: UInt32(part.count).bigEndian) { data.append(contentsOf: $0) }
            data.append(contentsOf: part)
        }
        return data
    }

    private struct Envelope {
        let key: SealingKeyID
        let nonce: [UInt8]
        let sealed: [UInt8]

        init?(_ bytes: [UInt8]) {
            guard bytes.count > 2, bytes[0] == KeyRing.version else { return nil }
            let nameEnd = 2 + Int(bytes[1])
            let nonceEnd = nameEnd + SealingKey.nonceBytes
            guard bytes.count >= nonceEnd + SealingKey.tagBytes, let key = SealingKeyID(bytes[2..<nameEnd]) else {
                return nil
            }
            self.key = key
            nonce = Array(bytes[nameEnd..<nonceEnd])
            sealed = Array(bytes[nonceEnd...])
        }
    }
}
