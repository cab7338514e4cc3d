// Who a webhook's user is and which reports may answer the webhook: one round trip, since every event asks both.

package import Basics
package import PlaidAPI
import Postgres

/// What the tables know about a webhook before anything is fetched.
package struct WebhookKnowledge: Sendable {
    /// nil: no row names the user.
    package let user: PlaidUser?
    /// The user's reports of the product whose coverage reaches the instant asked for, the least coverage first. They
    /// carry the user's canonical id, or the webhook's where no row names the user.
    package let reports: [StoredReportReference]
}

extension UserRepository {
    /// Reports in one answer. A user has a handful of them in the time that one lane's events span.
    package static let maxCovering = 32

    /// Resolves a webhook's user as ``resolve(alias:deadline:)`` does, and finds the reports stored for this event or
    /// a later one. Rows under any id of the user count, since one may have been stored before its ids were known as
    /// one.
    ///
    /// - Parameter from: The least `covers_received_at` of interest.
    package func resolve(
        alias: String,
        product: ReportProduct,
        coveringFrom from: Timestamp,
        deadline: MonotonicInstant
    ) async throws -> WebhookKnowledge {
        // No row can hold a NUL, and the server would refuse to look for one.
        guard !alias.utf8.contains(0) else { return WebhookKnowledge(user: nil, reports: []) }
        let result = try await pool.query(
            .reading(
                """
                select \(ReportRepository.referenceColumns), u.id, u.user_id, u.client_user_id, u.aliases, u.user_token
                  from (values (1)) as always
                  left join (plaid_user_aliases a join plaid_users u on u.id = a.plaid_user)
                         on a.environment = $1 and a.alias = $2
                  left join lateral (
                       select s.user_id, s.product, s.report_id, s.client_report_id, s.generated_at_text, s.fetched_at,
                              s.covers_received_at, s.byte_count, s.body_sha256, s.fraud_alert, s.strict_json,
                              s.webhook_event_id
                         from reports s
                        where s.environment = $1 and s.product = $3
                          and s.user_id = any (coalesce(u.aliases, array[$2::text])) and s.covers_received_at >= $4
                        order by s.covers_received_at limit \(Self.maxCovering)) r on true
                """,
                .text(environment.rawValue),
                .text(alias),
                .text(product.rawValue),
                .timestamp(from)
            ),
            deadline: deadline
        )
        let columns = ReportRepository.referenceColumnCount
        let user = try result.rows.first.flatMap { row in
            try row.isNull(columns) ? nil : self.user(row, from: columns)
        }
        let reports = try result.rows
            .filter { !$0.isNull(0) }
            .map { try ReportRepository.reference($0, userID: user?.userID ?? alias) }
            .sorted { $0.coversReceivedAt < $1.coversReceivedAt }
        return WebhookKnowledge(user: user, reports: reports)
    }

    /// Reads `id, user_id, client_user_id, aliases, user_token` beginning at a column.
    func user(_ row: SQLRow, from place: Int) throws -> PlaidUser {
        let reader = RowReader(row: row, table: Self.table)
        let rowID = try reader.int(place, "id")
        return PlaidUser(
            rowID: rowID,
            userID: try reader.text(place + 1, "user_id"),
            clientUserID: row.text(place + 2),
            aliases: try reader.texts(place + 3, "aliases"),
            userToken: try row.bytes(place + 4).map { try open($0, rowID: rowID) }
        )
    }
}
