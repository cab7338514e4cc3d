// The reports: storing one exactly as received, and knowing which event needs no fetch.

package import Basics
package import Cryptography
package import PlaidAPI
package import Postgres

/// A fetched report, ready to be stored.
package struct NewReport: Sendable {
    /// The user's canonical id, or the webhook's where no row names the user.
    package var userID: String
    package var product: ReportProduct
    package var reportID: String
    package var clientReportID: String?
    /// Cut to microseconds by the database; ordering only.
    package var generatedAt: Timestamp?
    /// As the report spells it.
    package var generatedAtText: String?
    package var fetchStartedAt: Timestamp
    package var fetchedAt: Timestamp
    /// Receipt of the newest READY of this user and product that stood in the lane when the fetch started.
    package var coversReceivedAt: Timestamp
    /// UTF-8 without NUL bytes, at most 64 MiB; stored as it is.
    package var body: Bytes
    package var bodySHA256: SHA256Digest
    package var fraudAlert: Bool
    /// False: a strict parser refuses the body, or `json` operators cannot read it.
    package var strictJSON: Bool
    /// `ce_id` of the webhook that led to the fetch.
    package var webhookEventID: String?

    package init(
        userID: String,
        product: ReportProduct,
        reportID: String,
        clientReportID: String? = nil,
        generatedAt: Timestamp? = nil,
        generatedAtText: String? = nil,
        fetchStartedAt: Timestamp,
        fetchedAt: Timestamp,
        coversReceivedAt: Timestamp,
        body: Bytes,
        bodySHA256: SHA256Digest,
        fraudAlert: Bool = false,
        strictJSON: Bool = true,
        webhookEventID: String? = nil
    ) {
        self.userID = userID
        self.product = product
        self.reportID = reportID
        self.clientReportID = clientReportID
        self.generatedAt = generatedAt
        self.generatedAtText = generatedAtText
        self.fetchStartedAt = fetchStartedAt
        self.fetchedAt = fetchedAt
        self.coversReceivedAt = coversReceivedAt
        self.body = body
        self.bodySHA256 = bodySHA256
        self.fraudAlert = fraudAlert
        self.strictJSON = strictJSON
        self.webhookEventID = webhookEventID
    }
}

/// A stored report without its body: what an announcement is made from.
package struct StoredReportReference: Hashable, Sendable {
    package let userID: String
    /// Plaid's name.
    package let product: String
    package let reportID: String
    package let clientReportID: String?
    package let generatedAtText: String?
    package let fetchedAt: Timestamp
    package let coversReceivedAt: Timestamp
    package let byteCount: Int
    /// 64 lower-case hex digits.
    package let bodySHA256: String
    package let fraudAlert: Bool
    package let strictJSON: Bool
    package let webhookEventID: String?
}

package enum StoreResult: Hashable, Sendable {
    /// A new row.
    case inserted(StoredReportReference)
    /// The report was there: its first body stays, its coverage reaches at least as far as this fetch's.
    case raised(StoredReportReference)
    /// The id belongs to another user's report, which was left alone: a mixed-up answer, an alarm.
    case foreignUser
}

/// The `reports` of one environment.
package struct ReportRepository: Sendable {
    let pool: PostgresPool
    let environment: PlaidEnvironment

    package init(pool: PostgresPool, environment: PlaidEnvironment) {
        self.pool = pool
        self.environment = environment
    }

    /// The newest report of a user and product by coverage: an event received no later than its `coversReceivedAt`
    /// needs no fetch and is announced from this reference.
    ///
    /// Rows under any id of the user count, since one may have been stored before the user's ids were known as one.
    package func covering(
        userID: String,
        product: ReportProduct,
        deadline: MonotonicInstant
    ) async throws -> StoredReportReference? {
        let result = try await pool.query(
            .reading(
                """
                select \(Self.referenceColumns) from reports r
                 where r.environment = $1 and r.product = $3 and r.user_id = any (\(Self.idsOfUser("$2")))
                 order by r.covers_received_at desc, r.fetched_at desc limit 1
                """,
                .text(environment.rawValue),
                .text(userID),
                .text(product.rawValue)
            ),
            deadline: deadline
        )
        return try result.rows.first.map { try Self.reference($0, userID: userID) }
    }

    /// Stores a report and marks the request that it answers, in one transaction with what waits beside it.
    ///
    /// May be repeated after an unknown outcome: a report that is there already only has its coverage raised.
    ///
    /// - Returns: The reference carries the caller's `userID`.
    /// - Throws: ``PostgresError``; one that ``PostgresError/blamesValues`` is this report's alone.
    /// - Cancellation: The report may still be stored.
    package func store(_ report: NewReport, deadline: MonotonicInstant) async throws -> StoreResult {
        let results = try await pool.write(
            [storing(report)],
            // By user first: what one user's reports and requests lock is locked in one order everywhere.
            sortKey: "\(report.userID)/\(report.product.rawValue)/\(report.reportID)",
            byteCount: report.body.count + 1024,
            deadline: deadline
        )
        guard let row = results.first?.rows.first else { return .foreignUser }
        let reference = try Self.reference(row, userID: report.userID)
        let inserted = try RowReader(row: row, table: "reports").bool(Self.referenceColumnCount, "inserted")
        return inserted ? .inserted(reference) : .raised(reference)
    }

    /// One statement for both rows, so that a foreign report leaves the request untouched.
    ///
    /// `do update` and not `do nothing`: it alone returns the row in every race. Its `where` keeps another user's row
    /// as it is and returns nothing then.
    private func storing(_ report: NewReport) -> SQLStatement {
        SQLStatement(
            """
            with r as (
                insert into reports as r (environment, product, report_id, user_id, client_report_id, generated_at,
                       generated_at_text, fetch_started_at, fetched_at, covers_received_at, body, body_sha256,
                       byte_count, fraud_alert, strict_json, webhook_event_id)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
                on conflict (environment, product, report_id) do update
                   set covers_received_at = greatest(r.covers_received_at, excluded.covers_received_at)
                 where r.user_id = excluded.user_id or exists (
                       select from plaid_user_aliases a join plaid_user_aliases b using (plaid_user)
                        where a.environment = $1 and a.alias = r.user_id
                          and b.environment = $1 and b.alias = excluded.user_id)
                returning user_id, product, report_id, client_report_id, generated_at_text, fetched_at, covers_received_at,
                       byte_count, body_sha256, fraud_alert, strict_json, webhook_event_id, r.xmax = 0 as inserted
            ), q as (
                insert into report_requests as q
                       (environment, user_id, product, state, received_at, webhook_event_id, report_id)
                select $1, $4, $2, 'stored', $10, $16, r.report_id from r
                on conflict (environment, user_id, product) do update
                   set state = 'stored', received_at = excluded.received_at, report_id = excluded.report_id,
                       next_attempt_at = null, last_error_type = null, last_error_code = null, updated_at = now()
                 where q.received_at <= excluded.received_at
                   and (q.state <> 'stored' or q.report_id is distinct from excluded.report_id)
            )
            select \(Self.referenceColumns), r.inserted from r
            """,
            .text(environment.rawValue),
            .text(report.product.rawValue),
            .text(report.reportID),
            .text(report.userID),
            .optional(report.clientReportID),
            .optional(report.generatedAt),
            .optional(report.generatedAtText),
            .timestamp(report.fetchStartedAt),
            .timestamp(report.fetchedAt),
            .timestamp(report.coversReceivedAt),
            .body(report.body),
            .bytes(report.bodySHA256.bytes),
            .int4(Int32(clamping: report.body.count)),
            .bool(report.fraudAlert),
            .bool(report.strictJSON),
            .optional(report.webhookEventID)
        )
    }

    /// Every id of the user that goes by `parameter`, itself included, as an array: so the index serves each of them.
    /// The environment is `$1`.
    static func idsOfUser(_ parameter: String) -> String {
        """
        array(select b.alias from plaid_user_aliases a join plaid_user_aliases b using (plaid_user)
               where a.environment = $1 and a.alias = \(parameter) union all select \(parameter))
        """
    }

    static let referenceColumns = """
        r.user_id, r.product, r.report_id, r.client_report_id, r.generated_at_text, r.fetched_at, \
        r.covers_received_at, r.byte_count, encode(r.body_sha256, 'hex'), r.fraud_alert, r.strict_json, \
        r.webhook_event_id
        """
    static let referenceColumnCount = 12

    /// - Parameter userID: What to name the user by; nil for the row's own id.
    static func reference(_ row: SQLRow, userID: String? = nil) throws(StoreError) -> StoredReportReference {
        let reader = RowReader(row: row, table: "reports")
        let ownID = try reader.text(0, "user_id")
        return StoredReportReference(
            userID: userID ?? ownID,
            product: try reader.text(1, "product"),
            reportID: try reader.text(2, "report_id"),
            clientReportID: row.text(3),
            generatedAtText: row.text(4),
            fetchedAt: try reader.time(5, "fetched_at"),
            coversReceivedAt: try reader.time(6, "covers_received_at"),
            byteCount: Int(try reader.int(7, "byte_count")),
            bodySHA256: try reader.text(8, "body_sha256"),
            fraudAlert: try reader.bool(9, "fraud_alert"),
            strictJSON: try reader.bool(10, "strict_json"),
            webhookEventID: row.text(11)
        )
    }
}
