// Who and what exists in the sandbox: users, Items, reports being made. A struct without I/O behind one lock.

import Basics
import PlaidAPI

/// The state. Ids follow from the seed and from what a caller named, never from the order of calls.
struct SandboxWorld: Sendable {
    /// Users of the older kind are known by a `user_token` and an id without a prefix.
    enum Family: Sendable { case current, legacy }

    struct User: Sendable {
        let id: String
        let family: Family
        let clientUserID: String
        let token: String?
        let name: PersonName
        let createdAt: Timestamp
        var itemIDs: [String] = []
        var generations: [Generation] = []
    }

    struct Item: Sendable {
        let id: String
        let userID: String?
        let institution: Institution
        let accessToken: String
        let publicToken: String
        let products: [String]
        let webhook: String
        let overrideUsername: String
        let createdAt: Timestamp
        let publicTokenExpires: MonotonicInstant
    }

    /// One `/cra/check_report/create` and what comes of it.
    struct Generation: Sendable {
        let plan: ReportPlan
        let webhook: String
        let readyAt: MonotonicInstant
        let expiresAt: MonotonicInstant
        var served: [ReportProduct: ServedReport] = [:]
    }

    /// What one report's bytes are, once they were made, and how often they were given out whole.
    struct ServedReport: Sendable {
        let sha256: String
        let byteCount: Int
        var times: Int
    }

    let identifiers: Identifiers
    /// Size of base reports whose user asked for none; nil: the usual mix.
    var defaultReportBytes: Int?
    private(set) var users: [String: User] = [:]
    private(set) var userOrder: [String] = []
    private(set) var items: [String: Item] = [:]
    private var userByToken: [String: String] = [:]
    private var userByClientID: [String: String] = [:]
    private var itemByAccessToken: [String: String] = [:]
    private var itemByPublicToken: [String: String] = [:]
    private var looseItems = 0
    /// Link sessions begun, by the user's id.
    private var sessions: [String: Int] = [:]

    /// More would be a leak in a caller's loop.
    static let mostUsers = 100_000
    static let mostItemsOfUser = 20
    static let mostGenerationsOfUser = 1_000

    init(seed: UInt64) { identifiers = Identifiers(seed: seed) }

    // MARK: users

    /// Creates a user; a second call for a current user's `client_user_id` finds the first one's, for a legacy user it
    /// is refused.
    mutating func createUser(
        clientUserID: String,
        family: Family,
        name: PersonName,
        now: Timestamp
    ) throws(PlaidRefusal) -> (user: User, isNew: Bool) {
        let key = "\(family)|\(clientUserID)"
        if let id = userByClientID[key], let user = users[id] {
            guard family == .current else {
                throw .invalidField("client_user_id", "a user with this client_user_id already exists")
            }
            return (user, false)
        }
        guard users.count < Self.mostUsers else { throw .internalError("the sandbox holds no more users") }
        let user =
            switch family {
            case .current:
                User(
                    id: "usr_" + identifiers.token("user", clientUserID, length: 14),
                    family: family,
                    clientUserID: clientUserID,
                    token: nil,
                    name: name,
                    createdAt: now
                )
            case .legacy:
                User(
                    id: identifiers.token("legacy-user", clientUserID, length: 28),
                    family: family,
                    clientUserID: clientUserID,
                    token: "user-sandbox-" + identifiers.uuid("user-token", clientUserID),
                    name: name,
                    createdAt: now
                )
            }
        users[user.id] = user
        userOrder.append(user.id)
        userByClientID[key] = user.id
        if let token = user.token { userByToken[token] = user.id }
        return (user, true)
    }

    func user(_ reference: UserFields) throws(PlaidRefusal) -> User {
        switch reference {
        case .id(let id):
            // An older user's id is no `user_id` of a request; his token is, once he is migrated.
            if let owner = userByToken[id], let user = users[owner] { return user }
            guard let user = users[id], user.family == .current else { throw .userNotFound }
            return user
        case .token(let token):
            guard let id = userByToken[token], let user = users[id] else { throw .invalidUserToken }
            return user
        }
    }

    /// Whom a call is about, for fault rules: by user, token, or the Item's access token.
    func userID(of call: Call) -> String? {
        if let id = call.text("user_id") { return id }
        if let token = call.text("user_token") { return userByToken[token] }
        guard let access = call.text("access_token"), let item = itemByAccessToken[access] else { return nil }
        return items[item]?.userID
    }

    // MARK: Items

    mutating func createItem(
        of user: User?,
        institution: Institution,
        products: [String],
        webhook: String,
        overrideUsername: String,
        now: Timestamp,
        publicTokenExpires: MonotonicInstant
    ) throws(PlaidRefusal) -> Item {
        let key: String
        if let user {
            guard user.itemIDs.count < Self.mostItemsOfUser else { throw .internalError("too many Items of one user") }
            key = "\(user.id)|\(user.itemIDs.count)"
        } else {
            looseItems += 1
            key = "loose|\(looseItems)"
        }
        let item = Item(
            id: identifiers.token("item", key, length: 37),
            userID: user?.id,
            institution: institution,
            accessToken: "access-sandbox-" + identifiers.uuid("access-token", key),
            publicToken: "public-sandbox-" + identifiers.uuid("public-token", key),
            products: products,
            webhook: webhook,
            overrideUsername: overrideUsername,
            createdAt: now,
            publicTokenExpires: publicTokenExpires
        )
        items[item.id] = item
        itemByAccessToken[item.accessToken] = item.id
        itemByPublicToken[item.publicToken] = item.id
        if let user { users[user.id]?.itemIDs.append(item.id) }
        return item
    }

    func items(of user: User) -> [Item] { user.itemIDs.compactMap { items[$0] } }

    func item(accessToken: String) throws(PlaidRefusal) -> Item {
        guard let id = itemByAccessToken[accessToken], let item = items[id] else { throw .invalidAccessToken }
        return item
    }

    /// A public token is good for one exchange.
    mutating func exchange(publicToken: String, now: MonotonicInstant) throws(PlaidRefusal) -> Item {
        guard let id = itemByPublicToken[publicToken], let item = items[id], now < item.publicTokenExpires else {
            throw .invalidPublicToken
        }
        itemByPublicToken[publicToken] = nil
        return item
    }

    /// A name for a user's next session, the same in every run.
    mutating func nextSession(_ reference: UserFields?) -> String {
        let key: String =
            switch reference {
            case .id(let id): id
            case .token(let token): userByToken[token] ?? ""
            case nil: "loose"
            }
        sessions[key, default: 0] += 1
        return "\(key)|\(sessions[key, default: 0])"
    }

    // MARK: reports

    mutating func addGeneration(_ generation: Generation, to userID: String) throws(PlaidRefusal) {
        guard let count = users[userID]?.generations.count, count < Self.mostGenerationsOfUser else {
            throw .internalError("too many reports of one user")
        }
        users[userID]?.generations.append(generation)
    }

    /// Notes what was made of one report and that it was given out.
    mutating func noteServed(_ plan: ReportPlan, _ product: ReportProduct, sha256: String, byteCount: Int) {
        let index = plan.generation - 1
        guard let generations = users[plan.userID]?.generations, generations.indices.contains(index) else { return }
        let times = generations[index].served[product]?.times ?? 0
        users[plan.userID]?.generations[index].served[product] =
            ServedReport(sha256: sha256, byteCount: byteCount, times: times + 1)
    }
}

struct PersonName: Hashable, Sendable {
    let given: String
    let family: String
}

struct Institution: Hashable, Sendable {
    let id: String
    let name: String
}
