// Everything the database knows of one user, in order of time: `checkctl trace`.

package import Basics
package import PlaidAPI
package import Postgres

/// One thing that happened.
package struct TraceEntry: Hashable, Sendable {
    package enum What: String, CaseIterable, Hashable, Sendable {
        case userAdded = "user-added"
        case aliasAdded = "alias-added"
        case readyReceived = "ready-received"
        case fetchStarted = "fetch-started"
        case reportStored = "report-stored"
        case requestSet = "request-set"
        case requestChanged = "request-changed"
        case deadLetter = "dead-letter"
        case replayed
        case discarded
    }

    package let at: Timestamp
    package let what: What
    /// Plaid's name of the product, where it is about one.
    package let product: String?
    /// A report id, an alias, or a dead letter's number.
    package let subject: String?
    /// A few words: state, size, error code. No personal data.
    package let detail: String?
}

package struct TraceQuery: Sendable {
    package static let maxEntries = 5_000

    let pool: PostgresPool
    let environment: PlaidEnvironment

    package init(pool: PostgresPool, environment: PlaidEnvironment) {
        self.pool = pool
        self.environment = environment
    }

    /// The history of the user that goes by any of its ids, or by the client's own id; the oldest first, the newest
    /// ``maxEntries`` at most. An id without a row is traced under itself.
    package func trace(user: String, deadline: MonotonicInstant) async throws -> [TraceEntry] {
        guard !user.utf8.contains(0) else { return [] }
        let result = try await pool.query(
            .reading(Self.sql, .text(environment.rawValue), .text(user), .int8(Int64(Self.maxEntries))),
            deadline: deadline
        )
        return try result.rows.map { row in
            let reader = RowReader(row: row, table: "trace")
            return TraceEntry(
                at: try reader.time(0, "at"),
                what: try reader.need(TraceEntry.What(rawValue: try reader.text(1, "what")), "what"),
                product: row.text(2),
                subject: row.text(3),
                detail: row.text(4)
            )
        }
    }

    private static let sql = """
        with known as (
            select coalesce(
                   (select plaid_user from plaid_user_aliases where environment = $1 and alias = $2),
                   (select id from plaid_users where environment = $1 and client_user_id = $2)) as id
        ), ids as (
            select alias as id from plaid_user_aliases where plaid_user in (select id from known)
            union select $2
        ), history as (
            select created_at as at, 1 as rank, 'user-added' as what, null as product, user_id as subject,
                   case when user_token is not null then 'with a user token' end as detail
              from plaid_users where id in (select id from known)
            union all
            select added_at, 2, 'alias-added', null, alias, null
              from plaid_user_aliases where plaid_user in (select id from known)
            union all
            select covers_received_at, 3, 'ready-received', product, report_id,
                   'the newest webhook that this report answers'
              from reports where environment = $1 and user_id in (select id from ids)
            union all
            select fetch_started_at, 5, 'fetch-started', product, report_id, null
              from reports where environment = $1 and user_id in (select id from ids)
            union all
            select fetched_at, 6, 'report-stored', product, report_id,
                   byte_count || ' bytes, generated ' || coalesce(generated_at_text, 'at an unknown time')
                   || case when fraud_alert then ', fraud alert' else '' end
                   || case when strict_json then '' else ', not strict JSON' end
              from reports where environment = $1 and user_id in (select id from ids)
            union all
            select received_at, 4, 'request-set', product, webhook_event_id,
                   case when deadline is not null then 'readable until ' || to_char(deadline at time zone 'UTC',
                        'YYYY-MM-DD"T"HH24:MI:SS"Z"') end
              from report_requests where environment = $1 and user_id in (select id from ids)
            union all
            select updated_at, 7, 'request-changed', product, report_id,
                   state || ', attempts ' || attempts || coalesce(', ' || last_error_type, '')
                   || coalesce(' ' || last_error_code, '')
              from report_requests where environment = $1 and user_id in (select id from ids)
            union all
            select failed_at, 8, 'dead-letter', null, id::text,
                   consumer_group || ': ' || error_type || coalesce(' ' || error_code, '') || ', attempts ' || attempts
              from dead_letters where key in (select convert_to(id, 'UTF8') from ids)
            union all
            select replayed_at, 9, 'replayed', null, id::text, consumer_group
              from dead_letters where replayed_at is not null and key in (select convert_to(id, 'UTF8') from ids)
            union all
            select discarded_at, 9, 'discarded', null, id::text, consumer_group
              from dead_letters where discarded_at is not null and key in (select convert_to(id, 'UTF8') from ids)
        ), newest as (
            select * from history order by at desc, rank desc limit $3
        )
        select at, what, product, subject, detail from newest order by at, rank, product, subject
        """
}
