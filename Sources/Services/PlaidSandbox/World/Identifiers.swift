// Ids that look like Plaid's and follow from the seed alone, so that two runs speak of the same users and reports.

import Basics
import Cryptography

/// Makes ids: each a function of seed, kind and key, whatever the order of the calls.
struct Identifiers: Sendable {
    let seed: UInt64

    /// Letters and digits.
    func token(_ kind: String, _ key: String, length: Int) -> String {
        var text = ""
        var block = 0
        while text.utf8.count < length {
            for byte in hash(kind, "\(key)#\(block)") where text.utf8.count < length {
                text.unicodeScalars.append(Self.alphabet[Int(byte) % Self.alphabet.count])
            }
            block += 1
        }
        return text
    }

    /// In the form of a random UUID.
    func uuid(_ kind: String, _ key: String) -> String {
        var bytes = Array(hash(kind, key).prefix(16))
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let hex = Array(Hex.encode(bytes))
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(hex[$0]) }.joined(separator: "-")
    }

    func number(_ kind: String, _ key: String) -> UInt64 {
        hash(kind, key).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    func hash(_ kind: String, _ key: String) -> [UInt8] {
        SHA256.hash(Array("\(seed)|\(kind)|\(key)".utf8)).bytes
    }

    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".unicodeScalars
    )
}
