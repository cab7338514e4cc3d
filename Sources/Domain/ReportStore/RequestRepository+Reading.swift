// Requests as operators and the lifecycle read them.

package import Basics
import PlaidAPI
import Postgres

extension RequestRepository {
    /// All requests of a user, by product.
    package func requests(userID: String, deadline: MonotonicInstant) async throws -> [ReportRequest] {
        let result = try await pool.query(
            .reading(
                "select \(Self.columns) from report_requests where environment = $1 and user_id = $2 order by product",
                .text(environment.rawValue),
                .text(userID)
            ),
            deadline: deadline
        )
        return try result.rows.map { try Self.request($0) }
    }

    /// How many rows each state has: for `checkctl status`.
    package func counts(deadline: MonotonicInstant) async throws -> [RequestState: Int] {
        let result = try await pool.query(
            .reading(
                "select state, count(*) from report_requests where environment = $1 group by state",
                .text(environment.rawValue)
            ),
            deadline: deadline
        )
        var counts: [RequestState: Int] = [:]
        for row in result.rows {
            let reader = RowReader(row: row, table: "report_requests")
            let state = try reader.need(RequestState(rawValue: try reader.text(0, "state")), "state")
            counts[state] = Int(try reader.int(1, "count"))
        }
        return counts
    }

    private static let columns = """
        user_id, product, state, received_at, webhook_event_id, attempts, next_attempt_at, deadline, \
        last_error_type, last_error_code, report_id, updated_at
        """

    private static func request(_ row: SQLRow) throws(StoreError) -> ReportRequest {
        let reader = RowReader(row: row, table: "report_requests")
        return ReportRequest(
            userID: try reader.text(0, "user_id"),
            product: try reader.text(1, "product"),
            state: try reader.need(RequestState(rawValue: try reader.text(2, "state")), "state"),
            receivedAt: try reader.time(3, "received_at"),
            webhookEventID: row.text(4),
            attempts: Int(try reader.int(5, "attempts")),
            nextAttemptAt: row.timestamp(6),
            deadline: row.timestamp(7),
            lastErrorType: row.text(8),
            lastErrorCode: row.text(9),
            reportID: row.text(10),
            updatedAt: try reader.time(11, "updated_at")
        )
    }
}
