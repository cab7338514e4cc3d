// Reports as operators read them: lists without bodies, one body whole.

package import Basics
import PlaidAPI
import Postgres

/// Which reports to list.
package struct ReportFilter: Hashable, Sendable {
    /// Any id of the user.
    package var userID: String?
    /// Plaid's name of the product.
    package var product: String?
    package var fetchedAfter: Timestamp?
    /// 1…1,000.
    package var limit: Int

    package init(userID: String? = nil, product: String? = nil, fetchedAfter: Timestamp? = nil, limit: Int = 100) {
        self.userID = userID
        self.product = product
        self.fetchedAfter = fetchedAfter
        self.limit = limit
    }
}

extension ReportRepository {
    package static let maxListed = 1_000

    /// The newest reports by fetch time.
    package func list(_ filter: ReportFilter, deadline: MonotonicInstant) async throws -> [StoredReportReference] {
        let result = try await pool.query(
            .reading(
                """
                select \(Self.referenceColumns) from reports r
                 where r.environment = $1
                   and ($2::text is null or r.user_id = $2 or r.user_id in (
                       select b.alias from plaid_user_aliases a join plaid_user_aliases b using (plaid_user)
                        where a.environment = $1 and a.alias = $2))
                   and ($3::text is null or r.product = $3)
                   and ($4::timestamptz is null or r.fetched_at > $4)
                 order by r.fetched_at desc, r.report_id limit $5
                """,
                .text(environment.rawValue),
                .optional(filter.userID),
                .optional(filter.product),
                .optional(filter.fetchedAfter),
                .int8(Int64(min(max(filter.limit, 1), Self.maxListed)))
            ),
            deadline: deadline
        )
        return try result.rows.map { try Self.reference($0) }
    }

    /// One report with its body, or nil.
    package func show(
        product: String,
        reportID: String,
        deadline: MonotonicInstant
    ) async throws -> (reference: StoredReportReference, body: Bytes)? {
        let result = try await pool.query(
            .reading(
                """
                select \(Self.referenceColumns), r.body from reports r
                 where r.environment = $1 and r.product = $2 and r.report_id = $3
                """,
                .text(environment.rawValue),
                .text(product),
                .text(reportID)
            ),
            deadline: deadline
        )
        guard let row = result.rows.first else { return nil }
        let body = try RowReader(row: row, table: "reports").need(row.body(Self.referenceColumnCount), "body")
        return (try Self.reference(row), body)
    }

    /// Whether the stored bytes still have the hash they were stored with, computed by the server; nil: no such report.
    package func verify(product: String, reportID: String, deadline: MonotonicInstant) async throws -> Bool? {
        let result = try await pool.query(
            .reading(
                """
                select sha256(convert_to(body, 'UTF8')) = body_sha256 from reports
                 where environment = $1 and product = $2 and report_id = $3
                """,
                .text(environment.rawValue),
                .text(product),
                .text(reportID)
            ),
            deadline: deadline
        )
        return result.rows.first?.bool(0)
    }
}
