// What stands for a user's id in logs: a keyed hash, equal across programs that share LOG_HASH_KEY, and not to be
// turned back by somebody who has only the logs.

package import Basics
package import Cryptography

/// Turns ids of persons into tokens for logs. From any thread.
package struct LogHash: Sendable {
    /// 16 hex digits: enough to tell one lender's users apart, short enough to read aloud.
    static let digits = 16

    private let key: HMACKey

    /// - Parameter key: 32 bytes; nil makes one that lasts as long as this process.
    package init(key: Secret?) {
        self.key = key.map { HMACKey($0) } ?? HMACKey(bytes: secureRandom(count: 32))
    }

    package init(key: HMACKey) { self.key = key }

    /// The token of an id, for metadata such as `user.hash`.
    package func callAsFunction(_ id: String) -> String {
        String(Hex.encode(key.authenticate(Array(id.utf8))).prefix(Self.digits))
    }
}
