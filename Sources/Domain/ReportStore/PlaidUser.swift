// A user of the lender's as Plaid knows it: one row, every id it was ever named by.

package import Basics
package import PlaidAPI

package struct PlaidUser: Sendable {
    /// The row's own number: never changes.
    package let rowID: Int64
    /// The canonical id: the `usr_…` one if there is one, else the first.
    package let userID: String
    package let clientUserID: String?
    /// Every id, the canonical one among them, in the order they were added.
    package let aliases: [String]
    /// The legacy API's token, where the user has one.
    package let userToken: Secret?

    /// What a request about the user of a webhook must name.
    ///
    /// A `usr_…` or `user-…` id is itself what requests accept. A legacy id is not: the user's token stands for it, and
    /// where there is none (a webhook sent under both ids of a newer user) the canonical id, if requests accept that.
    /// nil: nothing known names this user in a request.
    package func reference(forWebhookID id: String) -> UserReference? {
        if let reference = UserReference(webhookUserID: id) { return reference }
        if let userToken { return .userToken(userToken) }
        return UserReference(webhookUserID: userID)
    }

    /// The canonical one of ids given in the order they were added; nil for none.
    static func canonical(_ aliases: [String]) -> String? { aliases.first { $0.hasPrefix("usr_") } ?? aliases.first }
}

/// A user as operators see it in lists: without the token.
package struct PlaidUserSummary: Hashable, Sendable {
    package let rowID: Int64
    package let userID: String
    package let clientUserID: String?
    package let aliases: [String]
    package let hasUserToken: Bool
    package let createdAt: Timestamp
    package let updatedAt: Timestamp
}
