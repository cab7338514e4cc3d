// What is awaited: one row for each user and product, set by the newest READY, FAILED or create by receipt.
//
// Every write names the receipt of the event behind it, and an event older than the row's changes nothing; so writes
// may be repeated and may come in any order.

package import Basics
package import PlaidAPI
package import Postgres

package enum RequestState: String, CaseIterable, Hashable, Sendable {
    case pending, stored, failed, expired, dead
}

/// One row of `report_requests`.
package struct ReportRequest: Hashable, Sendable {
    package let userID: String
    /// Plaid's name.
    package let product: String
    package let state: RequestState
    /// Receipt of the event that set the row last.
    package let receivedAt: Timestamp
    package let webhookEventID: String?
    package let attempts: Int
    package let nextAttemptAt: Timestamp?
    package let deadline: Timestamp?
    package let lastErrorType: String?
    package let lastErrorCode: String?
    /// The report that answered.
    package let reportID: String?
    package let updatedAt: Timestamp
}

/// A webhook about one user, as the requests see it.
package struct RequestEvent: Hashable, Sendable {
    /// The user's canonical id, or the webhook's where no row names the user.
    package var userID: String
    package var receivedAt: Timestamp
    /// `ce_id`.
    package var webhookEventID: String?

    package init(userID: String, receivedAt: Timestamp, webhookEventID: String? = nil) {
        self.userID = userID
        self.receivedAt = receivedAt
        self.webhookEventID = webhookEventID
    }
}

/// The `report_requests` of one environment.
package struct RequestRepository: Sendable {
    let pool: PostgresPool
    let environment: PlaidEnvironment

    package init(pool: PostgresPool, environment: PlaidEnvironment) {
        self.pool = pool
        self.environment = environment
    }

    // MARK: Set by webhooks

    /// A READY names or expects these products.
    ///
    /// - Parameters:
    ///   - products: Plaid's names.
    ///   - lifetimeEnd: The event's receipt and `REPORT_LIFETIME`.
    /// - Returns: The products whose row was set; one whose row was set by this or a newer event is not among them,
    ///   unless this event was dead: it has been replayed.
    @discardableResult
    package func readySeen(
        _ event: RequestEvent,
        products: [String],
        lifetimeEnd: Timestamp,
        deadline: MonotonicInstant
    ) async throws -> [String] {
        let statement = SQLStatement(
            """
            insert into report_requests as q
                   (environment, user_id, product, state, received_at, webhook_event_id, deadline)
            select $1, $2, p, 'pending', $4, $5, $6 from unnest($3::text[]) p group by p order by p
            on conflict (environment, user_id, product) do update
               set state = 'pending', received_at = excluded.received_at, webhook_event_id = excluded.webhook_event_id,
                   attempts = 0, next_attempt_at = null, deadline = excluded.deadline, last_error_type = null,
                   last_error_code = null, report_id = null, updated_at = now()
             where q.received_at < excluded.received_at
                or (q.received_at = excluded.received_at and q.state = 'dead')
            returning product
            """,
            .text(environment.rawValue),
            .text(event.userID),
            .textArray(products),
            .timestamp(event.receivedAt),
            .optional(event.webhookEventID),
            .timestamp(lifetimeEnd)
        )
        return try await write(statement, event.userID, deadline).rows.compactMap { $0.text(0) }
    }

    /// A FAILED, or a READY's `failed_products`.
    ///
    /// - Parameters:
    ///   - products: Plaid's names; nil or empty means all that the user has rows for, else `expected`.
    ///   - errorType: Plaid's, where the webhook says why; likewise `errorCode`.
    /// - Returns: The products whose row was set.
    @discardableResult
    package func failed(
        _ event: RequestEvent,
        products: [String]?,
        expected: [String],
        errorType: String? = nil,
        errorCode: String? = nil,
        deadline: MonotonicInstant
    ) async throws -> [String] {
        let statement = SQLStatement(
            """
            insert into report_requests as q (environment, user_id, product, state, received_at, webhook_event_id,
                   last_error_type, last_error_code)
            select $1, $2, p, 'failed', $5, $6, $7, $8
              from unnest(coalesce(
                       nullif($3::text[], '{}'),
                       nullif(array(select product from report_requests where environment = $1 and user_id = $2), '{}'),
                       $4::text[])) p
             group by p order by p
            on conflict (environment, user_id, product) do update
               set state = 'failed', received_at = excluded.received_at, webhook_event_id = excluded.webhook_event_id,
                   attempts = 0, next_attempt_at = null, deadline = null, report_id = null,
                   last_error_type = excluded.last_error_type, last_error_code = excluded.last_error_code,
                   updated_at = now()
             where q.received_at < excluded.received_at
            returning product
            """,
            .text(environment.rawValue),
            .text(event.userID),
            .textArray(products ?? []),
            .textArray(expected),
            .timestamp(event.receivedAt),
            .optional(event.webhookEventID),
            .optional(errorType),
            .optional(errorCode)
        )
        return try await write(statement, event.userID, deadline).rows.compactMap { $0.text(0) }
    }

    // MARK: Set by their outcome

    /// Another try failed and the next is planned.
    ///
    /// - Parameters:
    ///   - attempts: Tries of this event so far, so that a repeat counts once.
    ///   - nextAttemptAt: nil while it is retried in memory.
    package func noteAttempt(
        _ event: RequestEvent,
        product: ReportProduct,
        attempts: Int,
        nextAttemptAt: Timestamp?,
        errorType: String?,
        errorCode: String?,
        deadline: MonotonicInstant
    ) async throws {
        let statement = SQLStatement(
            """
            update report_requests
               set attempts = greatest(attempts, $5), next_attempt_at = $6, last_error_type = $7, last_error_code = $8,
                   updated_at = now()
             where environment = $1 and user_id = $2 and product = $3 and received_at <= $4 and state = 'pending'
            """,
            .text(environment.rawValue),
            .text(event.userID),
            .text(product.rawValue),
            .timestamp(event.receivedAt),
            .int4(Int32(clamping: attempts)),
            .optional(nextAttemptAt),
            .optional(errorType),
            .optional(errorCode)
        )
        _ = try await write(statement, event.userID, deadline)
    }

    /// The event was found answered by a report that is there already. (``ReportRepository/store(_:deadline:)`` does
    /// the same for the report it stores.)
    package func stored(
        _ event: RequestEvent,
        product: ReportProduct,
        reportID: String,
        deadline: MonotonicInstant
    ) async throws {
        let statement = SQLStatement(
            """
            update report_requests
               set state = 'stored', report_id = $5, next_attempt_at = null, last_error_type = null,
                   last_error_code = null, updated_at = now()
             where environment = $1 and user_id = $2 and product = $3 and received_at <= $4
               and (state <> 'stored' or report_id is distinct from $5)
            """,
            .text(environment.rawValue),
            .text(event.userID),
            .text(product.rawValue),
            .timestamp(event.receivedAt),
            .text(reportID)
        )
        _ = try await write(statement, event.userID, deadline)
    }

    /// The event's lifetime ended before its report was fetched.
    ///
    /// - Returns: Whether the row now says so; false when a newer event or an outcome stands there.
    package func expired(
        _ event: RequestEvent,
        product: ReportProduct,
        deadline: MonotonicInstant
    ) async throws -> Bool {
        try await end(event, product, as: .expired, errorType: nil, errorCode: nil, deadline)
    }

    /// The event became a dead letter.
    ///
    /// - Returns: Whether the row now says so; false when a newer event or an outcome stands there.
    package func dead(
        _ event: RequestEvent,
        product: ReportProduct,
        errorType: String?,
        errorCode: String?,
        deadline: MonotonicInstant
    ) async throws -> Bool {
        try await end(event, product, as: .dead, errorType: errorType, errorCode: errorCode, deadline)
    }

    /// Makes the row where there is none; the state itself counts as changed, so that a repeat answers alike.
    private func end(
        _ event: RequestEvent,
        _ product: ReportProduct,
        as state: RequestState,
        errorType: String?,
        errorCode: String?,
        _ deadline: MonotonicInstant
    ) async throws -> Bool {
        let statement = SQLStatement(
            """
            insert into report_requests as q (environment, user_id, product, state, received_at, webhook_event_id,
                   last_error_type, last_error_code)
            values ($1, $2, $3, $4, $5, $6, $7, $8)
            on conflict (environment, user_id, product) do update
               set state = excluded.state, next_attempt_at = null,
                   last_error_type = coalesce(excluded.last_error_type, q.last_error_type),
                   last_error_code = coalesce(excluded.last_error_code, q.last_error_code),
                   updated_at = now()
             where q.received_at <= excluded.received_at and q.state in ('pending', excluded.state)
            returning true
            """,
            .text(environment.rawValue),
            .text(event.userID),
            .text(product.rawValue),
            .text(state.rawValue),
            .timestamp(event.receivedAt),
            .optional(event.webhookEventID),
            .optional(errorType),
            .optional(errorCode)
        )
        return try await !write(statement, event.userID, deadline).rows.isEmpty
    }

    private func write(
        _ statement: SQLStatement,
        _ userID: String,
        _ deadline: MonotonicInstant
    ) async throws -> SQLResult {
        try await pool.write([statement], sortKey: userID, byteCount: 512, deadline: deadline).first
            ?? SQLResult(rows: [], affected: 0)
    }
}
