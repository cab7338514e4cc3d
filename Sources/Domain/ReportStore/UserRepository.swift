// Users, the ids they go by, and their sealed tokens.

package import Basics
package import Cryptography
package import PlaidAPI
package import Postgres

/// The `plaid_users` of one environment.
package struct UserRepository: Sendable {
    static let table = "plaid_users"
    static let tokenColumn = "user_token"

    let pool: PostgresPool
    let keyRing: KeyRing
    let environment: PlaidEnvironment

    package init(pool: PostgresPool, keyRing: KeyRing, environment: PlaidEnvironment) {
        self.pool = pool
        self.keyRing = keyRing
        self.environment = environment
    }

    /// The user that goes by this id, compared byte for byte; nil when no row names it.
    ///
    /// - Throws: ``PostgresError``; ``StoreError/unknownKey(_:table:column:)`` when the token's key is not configured
    ///   (pause: the program's settings are to blame), ``StoreError/tampered(table:column:)`` when it does not open.
    package func resolve(alias: String, deadline: MonotonicInstant) async throws -> PlaidUser? {
        // No row can hold a NUL, and the server would refuse to look for one.
        guard !alias.utf8.contains(0) else { return nil }
        let result = try await pool.query(
            .reading(
                """
                select u.id, u.user_id, u.client_user_id, u.aliases, u.user_token
                  from plaid_user_aliases a join plaid_users u on u.id = a.plaid_user
                 where a.environment = $1 and a.alias = $2
                """,
                .text(environment.rawValue),
                .text(alias)
            ),
            deadline: deadline
        )
        return try result.rows.first.map { try user($0, from: 0) }
    }

    /// Users by row number, the oldest first.
    ///
    /// - Parameters:
    ///   - after: The last row of the page before.
    ///   - limit: 1…1,000.
    package func list(
        after: Int64 = 0,
        limit: Int = 100,
        deadline: MonotonicInstant
    ) async throws -> [PlaidUserSummary] {
        let result = try await pool.query(
            .reading(
                "\(Self.summarySelect) where environment = $1 and id > $2 order by id limit $3",
                .text(environment.rawValue),
                .int8(after),
                .int8(Int64(min(max(limit, 1), 1_000)))
            ),
            deadline: deadline
        )
        return try result.rows.map { try Self.summary($0) }
    }

    /// The user of an id, or of a client's own id, without the token.
    package func show(_ id: String, deadline: MonotonicInstant) async throws -> PlaidUserSummary? {
        guard !id.utf8.contains(0) else { return nil }
        let result = try await pool.query(
            .reading(
                """
                \(Self.summarySelect) where id = coalesce(
                    (select plaid_user from plaid_user_aliases where environment = $1 and alias = $2),
                    (select id from plaid_users where environment = $1 and client_user_id = $2))
                """,
                .text(environment.rawValue),
                .text(id)
            ),
            deadline: deadline
        )
        return try result.rows.first.map { try Self.summary($0) }
    }

    private static let summarySelect = """
        select id, user_id, client_user_id, aliases, user_token is not null, created_at, updated_at from plaid_users
        """

    private static func summary(_ row: SQLRow) throws(StoreError) -> PlaidUserSummary {
        let reader = RowReader(row: row, table: table)
        return PlaidUserSummary(
            rowID: try reader.int(0, "id"),
            userID: try reader.text(1, "user_id"),
            clientUserID: row.text(2),
            aliases: try reader.texts(3, "aliases"),
            hasUserToken: try reader.bool(4, "user_token"),
            createdAt: try reader.time(5, "created_at"),
            updatedAt: try reader.time(6, "updated_at")
        )
    }
}
