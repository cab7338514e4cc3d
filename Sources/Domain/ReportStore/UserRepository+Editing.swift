// What operators and onboarding do to users: add and remove.

package import Basics
import Cryptography
import PlaidAPI
import Postgres

/// What adding a user came to.
package enum UserAddition: Hashable, Sendable {
    case created
    /// The id was new, the client's own id was known: one more name of that user.
    case aliasAdded
    /// Both were known, or the row gained a client id or a token.
    case updated
}

package enum UserEditError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The id goes by another client's own id already.
    case clientUserIDDiffers
    /// The id and the client's own id belong to two users; remove the wrong one first.
    case twoUsers
    /// An id is empty, longer than 256 bytes or holds a NUL.
    case unusableID

    package var description: String {
        switch self {
        case .clientUserIDDiffers: "this user is known under another client user id"
        case .twoUsers: "the user id and the client user id belong to two different users"
        case .unusableID: "an id must have 1 to 256 bytes and no NUL"
        }
    }
}

extension UserRepository {
    package static let maxIDBytes = 256

    /// Adds a user, or one more id to a user whose client id is known.
    ///
    /// What was stored under any of the user's ids is moved to the canonical one in the same transaction.
    ///
    /// - Parameters:
    ///   - clientUserID: The lender's own id of the user.
    ///   - userToken: The legacy API's token; nil or empty keeps what there is.
    /// - Returns: What was done, and the user's canonical id now.
    package func add(
        userID: String,
        clientUserID: String? = nil,
        userToken: Secret? = nil,
        deadline: MonotonicInstant
    ) async throws -> (UserAddition, canonicalID: String) {
        for id in [userID, clientUserID].compactMap({ $0 }) {
            guard (1...Self.maxIDBytes).contains(id.utf8.count), !id.utf8.contains(0) else {
                throw UserEditError.unusableID
            }
        }
        let repository = self
        return try await pool.transaction(deadline: deadline, attempts: 5) { transaction in
            // Additions are rare: one at a time is simpler than every race between two of them.
            _ = try transaction.execute(SQLStatement("lock table plaid_users in share row exclusive mode"))
            let byID = try repository.find(
                "id in (select plaid_user from plaid_user_aliases where environment = $1 and alias = $2)",
                userID,
                transaction
            )
            let byClient = try clientUserID.flatMap { try repository.find("client_user_id = $2", $0, transaction) }
            let (rowID, addition) = try repository.place(
                userID,
                clientUserID,
                byID: byID,
                byClient: byClient,
                transaction
            )
            if let userToken, !userToken.isEmpty { try repository.setToken(userToken, rowID: rowID, transaction) }
            return (addition, canonicalID: try repository.settle(rowID, transaction))
        }
    }

    /// Removes the user that goes by this id, with its token and all its ids. Reports and requests stay.
    ///
    /// - Returns: False when there is none.
    package func remove(userID: String, deadline: MonotonicInstant) async throws -> Bool {
        guard !userID.utf8.contains(0) else { return false }
        let result = try await pool.query(
            SQLStatement(
                """
                delete from plaid_users where id in (
                    select plaid_user from plaid_user_aliases where environment = $1 and alias = $2)
                """,
                .text(environment.rawValue),
                .text(userID)
            ),
            deadline: deadline
        )
        return result.affected > 0
    }

    // MARK: Inside the transaction

    private struct Row {
        let id: Int64
        let clientUserID: String?
    }

    private func find(
        _ condition: String,
        _ value: String,
        _ transaction: borrowing PostgresTransaction
    ) throws -> Row? {
        let result = try transaction.execute(
            SQLStatement(
                "select id, client_user_id from plaid_users where environment = $1 and \(condition)",
                .text(environment.rawValue),
                .text(value)
            )
        )
        return try result.rows.first.map {
            Row(id: try RowReader(row: $0, table: Self.table).int(0, "id"), clientUserID: $0.text(1))
        }
    }

    private func place(
        _ userID: String,
        _ clientUserID: String?,
        byID: Row?,
        byClient: Row?,
        _ transaction: borrowing PostgresTransaction
    ) throws -> (rowID: Int64, UserAddition) {
        switch (byID, byClient) {
        case (nil, nil):
            let rowID = try insert(userID, clientUserID, transaction)
            try addAlias(userID, rowID: rowID, transaction)
            return (rowID, .created)
        case (nil, let known?):
            try addAlias(userID, rowID: known.id, transaction)
            return (known.id, .aliasAdded)
        case (let known?, nil):
            if let clientUserID {
                guard known.clientUserID == nil else { throw UserEditError.clientUserIDDiffers }
                _ = try transaction.execute(
                    SQLStatement(
                        "update plaid_users set client_user_id = $2 where id = $1",
                        .int8(known.id),
                        .text(clientUserID)
                    )
                )
            }
            return (known.id, .updated)
        case (let one?, let other?):
            guard one.id == other.id else {
                throw one.clientUserID == nil ? UserEditError.twoUsers : UserEditError.clientUserIDDiffers
            }
            return (one.id, .updated)
        }
    }

    private func insert(
        _ userID: String,
        _ clientUserID: String?,
        _ transaction: borrowing PostgresTransaction
    ) throws -> Int64 {
        let result = try transaction.execute(
            SQLStatement(
                """
                insert into plaid_users (environment, user_id, client_user_id, aliases) values ($1, $2, $3, $4)
                returning id
                """,
                .text(environment.rawValue),
                .text(userID),
                .optional(clientUserID),
                .textArray([userID])
            )
        )
        guard let row = result.rows.first else { throw StoreError.unreadable(table: Self.table, column: "id") }
        return try RowReader(row: row, table: Self.table).int(0, "id")
    }

    private func addAlias(_ alias: String, rowID: Int64, _ transaction: borrowing PostgresTransaction) throws {
        _ = try transaction.execute(
            SQLStatement(
                """
                insert into plaid_user_aliases (environment, alias, plaid_user, added_at)
                values ($1, $2, $3, clock_timestamp())
                """,
                .text(environment.rawValue),
                .text(alias),
                .int8(rowID)
            )
        )
    }

    /// Chooses the canonical id and moves to it what stands under the user's other ids.
    private func settle(_ rowID: Int64, _ transaction: borrowing PostgresTransaction) throws -> String {
        let listed = try transaction.execute(
            SQLStatement(
                "select alias from plaid_user_aliases where plaid_user = $1 order by added_at, alias",
                .int8(rowID)
            )
        )
        let aliases = try listed.rows.map { try RowReader(row: $0, table: "plaid_user_aliases").text(0, "alias") }
        guard let canonical = PlaidUser.canonical(aliases) else {
            throw StoreError.unreadable(table: "plaid_user_aliases", column: "alias")
        }
        _ = try transaction.execute(
            SQLStatement(
                "update plaid_users set user_id = $2, aliases = $3, updated_at = now() where id = $1",
                .int8(rowID),
                .text(canonical),
                .textArray(aliases)
            )
        )
        guard aliases.count > 1 else { return canonical }
        try move(aliases, to: canonical, transaction)
        return canonical
    }

    /// Of two requests for one product the newer by receipt remains.
    private func move(
        _ aliases: [String],
        to canonical: String,
        _ transaction: borrowing PostgresTransaction
    ) throws {
        let parameters: [SQLValue] = [.text(environment.rawValue), .textArray(aliases), .text(canonical)]
        _ = try transaction.execute(
            SQLStatement(
                "update reports set user_id = $3 where environment = $1 and user_id = any ($2) and user_id <> $3",
                parameters: parameters
            )
        )
        _ = try transaction.execute(
            SQLStatement(
                """
                delete from report_requests a using report_requests b
                 where a.environment = $1 and b.environment = $1 and a.product = b.product
                   and a.user_id = any ($2) and b.user_id = any ($2)
                   and (a.received_at, a.user_id) < (b.received_at, b.user_id)
                """,
                parameters: Array(parameters.prefix(2))
            )
        )
        _ = try transaction.execute(
            SQLStatement(
                """
                update report_requests set user_id = $3
                 where environment = $1 and user_id = any ($2) and user_id <> $3
                """,
                parameters: parameters
            )
        )
    }
}
