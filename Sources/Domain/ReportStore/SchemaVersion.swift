// The database schema's version, and what a program makes of the one it finds.

package import Basics
package import Postgres

/// The version that this code was written for: the number of the newest file in `schemas/postgres`.
package enum SchemaVersion {
    package static let required = 5

    package enum State: Hashable, Sendable {
        /// Nothing was migrated yet: not ready, look again.
        case missing
        /// Migrated, but not far enough: not ready, look again.
        case older(found: Int)
        /// Ours, or newer: a migration only adds, so what we read and write is still there.
        case usable(found: Int)

        package var isUsable: Bool {
            if case .usable = self { true } else { false }
        }
    }

    /// Looks at the database.
    ///
    /// - Throws: ``PostgresError``; a database that is away says nothing about its schema.
    package static func check(_ pool: PostgresPool, deadline: MonotonicInstant) async throws -> State {
        do {
            let result = try await pool.query(
                .reading("select coalesce(max(version), 0) from schema_migrations"),
                deadline: deadline
            )
            return state(found: Int(result.rows.first?.int(0) ?? 0))
        } catch let error as PostgresError where error.sqlState == "42P01" {
            return .missing
        }
    }

    static func state(found: Int) -> State {
        switch found {
        case ..<1: .missing
        case ..<required: .older(found: found)
        default: .usable(found: found)
        }
    }
}
