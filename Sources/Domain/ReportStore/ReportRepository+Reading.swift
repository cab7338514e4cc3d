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
        var conditions = ["r.environment = $1"]
        var parameters: [SQLValue] = [.text(environment.rawValue)]
        // Each condition only where it is asked for: a plan for "all or this user" could use no index.
        if let userID = filter.userID {
            parameters.append(.text(userID))
            conditions.append("r.user_id = any (\(Self.idsOfUser("$\(parameters.count)")))")
        }
        if let product = filter.product {
            parameters.append(.text(product))
            conditions.append("r.product = $\(parameters.count)")
        }
        if let fetchedAfter = filter.fetchedAfter {
            parameters.append(.timestamp(fetchedAfter))
            conditions.append("r.fetched_at > $\(parameters.count)")
        }
        parameters.append(.int8(Int64(min(max(filter.limit, 1), Self.maxListed))))
        var statement = SQLStatement(
            """
            select \(Self.referenceColumns) from reports r where \(conditions.joined(separator: " and "))
             order by r.fetched_at desc, r.report_id limit $\(parameters.count)
            """,
            parameters: parameters
        )
        statement.isReading = true
        let result = try await pool.query(statement, deadline: deadline)
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
