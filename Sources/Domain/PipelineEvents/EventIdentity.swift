// The ids of events: hashes of what makes two of them the same, so that every repeat of one effect carries one id.

package import Cryptography
package import PlaidAPI

/// Hash functions for `ce_id`. Each input stands behind its length in bytes, so that no two lists of inputs
/// spell the same text; the first one names the kind of event.
package enum EventIdentity {
    /// The id of a webhook delivery: a retry that is signed anew is another delivery, the same bytes received twice
    /// under one token are the same.
    ///
    /// - Parameters:
    ///   - bodyDigest: SHA-256 of the body exactly as received.
    ///   - issuedAt: The token's `iat`, seconds.
    package static func webhook(environment: PlaidEnvironment, bodyDigest: SHA256Digest, issuedAt: Int64) -> String {
        id(["webhook", environment.rawValue, bodyDigest.hex, String(issuedAt)])
    }

    /// The id of a stored report's announcement, the same however often it is announced.
    ///
    /// - Parameter product: Plaid's name of the product, `cra_base_report` for one.
    package static func report(environment: PlaidEnvironment, product: String, reportID: String) -> String {
        id(["report", environment.rawValue, product, reportID])
    }

    /// The id of a lifecycle event: once for each thing that happened to one user's product under one webhook.
    ///
    /// - Parameter cause: What set it off: the webhook's `ce_id`, or the request's own key.
    package static func lifecycle(
        environment: PlaidEnvironment,
        kind: LifecycleEvent.Kind,
        userID: String,
        product: String?,
        cause: String
    ) -> String {
        id(["lifecycle", environment.rawValue, kind.rawValue, userID, product ?? "", cause])
    }

    /// The first 128 bits of SHA-256 over `length ":" text` of each part, as 32 lower-case hex digits.
    private static func id(_ parts: [String]) -> String {
        var input: [UInt8] = []
        for part in parts {
            input.append(contentsOf: String(part.utf8.count).utf8)
            input.append(UInt8(ascii: ":"))
            input.append(contentsOf: part.utf8)
        }
        return String(SHA256.hash(input).hex.prefix(32))
    }
}
