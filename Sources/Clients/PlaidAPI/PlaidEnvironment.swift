// Which Plaid, as whom, and for which user.

package import Basics

package enum PlaidEnvironment: String, CaseIterable, Sendable {
    case sandbox
    case production

    package var baseURL: String { "https://\(rawValue).plaid.com" }
}

/// Sent in headers, so that bodies hold no credential of ours.
package struct PlaidCredentials: Sendable {
    package let clientID: String
    package let secret: Secret

    package init(clientID: String, secret: Secret) {
        self.clientID = clientID
        self.secret = secret
    }
}

/// The user a call is about: one of two request fields, never both.
package enum UserReference: Sendable {
    /// A `usr_…` id, or a migrated legacy user's token (`user-<environment>-<uuid>`), which goes in the same field.
    case userID(String)
    /// The token of a legacy user, kept sealed at rest.
    case userToken(Secret)

    /// The reference for an id as webhooks carry it; nil when it is a legacy id, which no request accepts: then the
    /// stored token is needed.
    package init?(webhookUserID id: String) {
        guard UserReference.isUsableInRequests(id) else { return nil }
        self = .userID(id)
    }

    /// Whether Plaid takes this id in a request.
    package static func isUsableInRequests(_ id: String) -> Bool {
        id.hasPrefix("usr_") || id.hasPrefix("user-")
    }

    var field: (name: String, value: String) {
        switch self {
        case .userID(let id): ("user_id", id)
        case .userToken(let token): ("user_token", token.reveal())
        }
    }
}
