import Basics
import PlaidAPI
import Postgres
import ReportStore
import Testing

@Suite struct TraceQueryTests {
    @Test func `tells what happened to one user, under all ids, in order`() async throws {
        try await TestDatabase.with { database in
            let users = UserRepository(pool: database.pool, keyRing: try keyRing("a"), environment: .sandbox)
            let reports = ReportRepository(pool: database.pool, environment: .sandbox)
            let requests = RequestRepository(pool: database.pool, environment: .sandbox)
            let letters = DeadLetterRepository(pool: database.pool)
            _ = try await users.add(userID: "old", clientUserID: "cust-1", userToken: Secret("t"), deadline: soon())
            _ = try await users.add(userID: "usr_1", clientUserID: "cust-1", deadline: soon())
            try await requests.readySeen(
                RequestEvent(userID: "usr_1", receivedAt: moment(1), webhookEventID: "e1"),
                products: ["cra_base_report"],
                lifetimeEnd: moment(86_401),
                deadline: soon()
            )
            _ = try await reports.store(report("r1", covers: moment(1)), deadline: soon())
            _ = try await reports.store(report("elsewhere", user: "usr_2", covers: moment(1)), deadline: soon())
            try await letters.insert(
                DeadLetter(
                    consumerGroup: "income-insights-consumer",
                    topic: "t",
                    partition: 0,
                    offset: 1,
                    recordTime: moment(1),
                    key: Array("old".utf8),
                    headers: [],
                    value: .empty,
                    errorType: "USER_ERROR",
                    errorCode: "USER_NOT_FOUND",
                    attempts: 1,
                    firstFailedAt: moment(4),
                    failedAt: moment(5)
                ),
                deadline: soon()
            )
            // Rows that the database stamped itself are set to invented times, so that the order is known.
            try await database.sql(
                """
                update plaid_users set created_at = '\(moment(-20).rfc3339)';
                update plaid_user_aliases set added_at = case alias when 'old' then '\(moment(-19).rfc3339)'
                       else '\(moment(-18).rfc3339)' end::timestamptz;
                update report_requests set updated_at = '\(moment(4).rfc3339)';
                update dead_letters set replayed_at = '\(moment(9).rfc3339)'
                """
            )
            let trace = TraceQuery(pool: database.pool, environment: .sandbox)
            let entries = try await trace.trace(user: "old", deadline: soon())
            #expect(
                entries.map(\.what) == [
                    .userAdded, .aliasAdded, .aliasAdded, .readyReceived, .requestSet, .fetchStarted, .reportStored,
                    .requestChanged, .deadLetter, .replayed,
                ]
            )
            #expect(entries.map(\.at) == entries.map(\.at).sorted())
            #expect(entries[0].detail == "with a user token")
            #expect(entries[6].subject == "r1")
            #expect(entries[6].detail == "29 bytes, generated 2026-11-20T03:04:05.123456789Z")
            #expect(entries[7].detail == "stored, attempts 0")
            #expect(entries[8].detail == "income-insights-consumer: USER_ERROR USER_NOT_FOUND, attempts 1")
            for name in ["usr_1", "cust-1"] {
                #expect(try await trace.trace(user: name, deadline: soon()) == entries)
            }
            #expect(try await trace.trace(user: "usr_2", deadline: soon()).map(\.what).contains(.reportStored))
            #expect(try await trace.trace(user: "nobody", deadline: soon()).isEmpty)
            #expect(try await trace.trace(user: "no\u{0}body", deadline: soon()).isEmpty)
            // A dead letter names no environment: its key is all there is to find it by.
            let production = TraceQuery(pool: database.pool, environment: .production)
            #expect(try await production.trace(user: "usr_1", deadline: soon()).isEmpty)
        }
    }
}
