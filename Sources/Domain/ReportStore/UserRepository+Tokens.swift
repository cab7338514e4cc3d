// The sealed user tokens: opening, sealing, and sealing anew when keys rotate.

package import Basics
import Cryptography
import PlaidAPI
import Postgres

extension UserRepository {
    /// Seals the next tokens with the first key, in pages: call with the last page's end until it is nil.
    ///
    /// - Returns: How many were sealed anew, and where the next page begins.
    /// - Throws: ``StoreError/unknownKey(_:table:column:)`` when a token's key is no longer configured.
    package func resealTokens(
        after: Int64 = 0,
        page: Int = 200,
        deadline: MonotonicInstant
    ) async throws -> (resealed: Int, next: Int64?) {
        let repository = self
        return try await pool.transaction(deadline: deadline, attempts: 5) { transaction in
            let rows = try transaction.execute(
                SQLStatement(
                    """
                    select id, user_token from plaid_users
                     where environment = $1 and id > $2 and user_token is not null order by id limit $3 for update
                    """,
                    .text(repository.environment.rawValue),
                    .int8(after),
                    .int8(Int64(max(1, page)))
                )
            ).rows
            var resealed = 0
            var last: Int64?
            for row in rows {
                let reader = RowReader(row: row, table: Self.table)
                let rowID = try reader.int(0, "id")
                let sealed = try reader.bytes(1, Self.tokenColumn)
                last = rowID
                guard repository.keyRing.isOutdated(sealed) else { continue }
                try repository.setToken(try repository.open(sealed, rowID: rowID), rowID: rowID, transaction)
                resealed += 1
            }
            return (resealed, rows.count < page ? nil : last)
        }
    }

    func open(_ sealed: [UInt8], rowID: Int64) throws(StoreError) -> Secret {
        do {
            return Secret(
                bytes: try keyRing.open(sealed, table: Self.table, column: Self.tokenColumn, row: String(rowID))
            )
        } catch {
            switch error {
            case .unknownKey(let id): throw .unknownKey(id, table: Self.table, column: Self.tokenColumn)
            case .tampered: throw .tampered(table: Self.table, column: Self.tokenColumn)
            case .library: throw .cipherFailed(table: Self.table, column: Self.tokenColumn)
            }
        }
    }

    /// Sealed for this row: the row's number never changes, its ids may.
    func setToken(_ token: Secret, rowID: Int64, _ transaction: borrowing PostgresTransaction) throws {
        let sealed = try keyRing.seal(
            token.bytes,
            table: Self.table,
            column: Self.tokenColumn,
            row: String(rowID)
        )
        _ = try transaction.execute(
            SQLStatement(
                "update plaid_users set user_token = $2, updated_at = now() where id = $1",
                .int8(rowID),
                .bytes(sealed)
            )
        )
    }
}
