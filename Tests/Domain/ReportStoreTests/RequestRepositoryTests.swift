import Basics
import PlaidAPI
import Postgres
import ReportStore
import Testing

@Suite struct RequestRepositoryTests {
    private static let base = "cra_base_report"
    private static let income = "cra_income_insights"

    private static func event(_ seconds: Double, user: String = "usr_1") -> RequestEvent {
        RequestEvent(userID: user, receivedAt: moment(seconds), webhookEventID: "event-\(seconds)")
    }

    private static func with(
        _ body: (RequestRepository, ReportRepository, TestDatabase) async throws -> Void
    ) async throws {
        try await TestDatabase.with { database in
            try await body(
                RequestRepository(pool: database.pool, environment: .sandbox),
                ReportRepository(pool: database.pool, environment: .sandbox),
                database
            )
        }
    }

    private static func states(_ requests: RequestRepository, user: String = "usr_1") async throws -> [String:
        RequestState]
    {
        let rows = try await requests.requests(userID: user, deadline: soon())
        return Dictionary(rows.map { ($0.product, $0.state) }, uniquingKeysWith: { first, _ in first })
    }

    @discardableResult
    private static func ready(
        _ requests: RequestRepository,
        _ seconds: Double,
        _ products: [String] = [base]
    ) async throws -> [String] {
        try await requests.readySeen(
            event(seconds),
            products: products,
            lifetimeEnd: moment(seconds + 86_400),
            deadline: soon()
        )
    }

    @Test func `a READY makes a row for each product it names`() async throws {
        try await Self.with { requests, _, _ in
            #expect(
                try await Self.ready(requests, 1, [Self.income, Self.base, Self.base]) == [Self.base, Self.income]
            )
            let rows = try await requests.requests(userID: "usr_1", deadline: soon())
            #expect(rows.map(\.product) == [Self.base, Self.income])
            let row = try #require(rows.first)
            #expect(row.state == .pending)
            #expect(row.receivedAt == moment(1))
            #expect(row.deadline == moment(86_401))
            #expect(row.webhookEventID == "event-1.0")
            #expect(row.attempts == 0)
        }
    }

    @Test func `only a newer READY starts a row anew`() async throws {
        try await Self.with { requests, _, _ in
            try await Self.ready(requests, 5)
            try await requests.noteAttempt(
                Self.event(5),
                product: .baseReport,
                attempts: 2,
                nextAttemptAt: moment(60),
                errorType: "API_ERROR",
                errorCode: "INTERNAL_SERVER_ERROR",
                deadline: soon()
            )
            #expect(try await Self.ready(requests, 5).isEmpty)
            #expect(try await Self.ready(requests, 4).isEmpty)
            var row = try #require(try await requests.requests(userID: "usr_1", deadline: soon()).first)
            #expect(row.attempts == 2)
            #expect(row.nextAttemptAt == moment(60))
            #expect(row.lastErrorCode == "INTERNAL_SERVER_ERROR")

            #expect(try await Self.ready(requests, 6) == [Self.base])
            row = try #require(try await requests.requests(userID: "usr_1", deadline: soon()).first)
            #expect(row.attempts == 0)
            #expect(row.nextAttemptAt == nil)
            #expect(row.lastErrorType == nil)
            #expect(row.deadline == moment(86_406))
        }
    }

    @Test func `READY and FAILED set a row in the order of receipt, whatever the order of arrival`() async throws {
        for newestIsReady in [true, false] {
            for readyFirst in [true, false] {
                try await Self.with { requests, _, _ in
                    let readyAt: Double = newestIsReady ? 2 : 1
                    let failedAt: Double = newestIsReady ? 1 : 2
                    if readyFirst { try await Self.ready(requests, readyAt) }
                    try await requests.failed(
                        Self.event(failedAt),
                        products: [Self.base],
                        expected: [],
                        errorType: "CHECK_REPORT_ERROR",
                        errorCode: "DATA_UNAVAILABLE",
                        deadline: soon()
                    )
                    if !readyFirst { try await Self.ready(requests, readyAt) }
                    let row = try #require(try await requests.requests(userID: "usr_1", deadline: soon()).first)
                    #expect(row.state == (newestIsReady ? .pending : .failed))
                    #expect(row.receivedAt == moment(2))
                    #expect(row.lastErrorCode == (newestIsReady ? nil : "DATA_UNAVAILABLE"))
                }
            }
        }
    }

    @Test func `a FAILED that names no product means all the user's, else the expected ones`() async throws {
        try await Self.with { requests, _, _ in
            try await Self.ready(requests, 1, [Self.base, Self.income])
            let set = try await requests.failed(
                Self.event(2),
                products: [],
                expected: ["cra_partner_insights"],
                deadline: soon()
            )
            #expect(set == [Self.base, Self.income])
            #expect(try await Self.states(requests) == [Self.base: .failed, Self.income: .failed])

            let other = try await requests.failed(
                Self.event(2, user: "usr_new"),
                products: nil,
                expected: [Self.base],
                deadline: soon()
            )
            #expect(other == [Self.base])
            #expect(try await Self.states(requests, user: "usr_new") == [Self.base: .failed])
        }
    }

    @Test func `storing a report answers the READYs it covers and leaves a newer one pending`() async throws {
        try await Self.with { requests, reports, _ in
            try await Self.ready(requests, 1)
            _ = try await reports.store(report(covers: moment(1)), deadline: soon())
            var row = try #require(try await requests.requests(userID: "usr_1", deadline: soon()).first)
            #expect(row.state == .stored)
            #expect(row.reportID == "r1")

            try await Self.ready(requests, 3)
            // The fetch had started before the READY of second 3 came.
            _ = try await reports.store(report("r2", covers: moment(2)), deadline: soon())
            row = try #require(try await requests.requests(userID: "usr_1", deadline: soon()).first)
            #expect(row.state == .pending)
            #expect(row.receivedAt == moment(3))
        }
    }

    @Test func `a report without a request row makes one`() async throws {
        try await Self.with { requests, reports, _ in
            _ = try await reports.store(report(covers: moment(1)), deadline: soon())
            #expect(try await Self.states(requests) == [Self.base: .stored])
            // The READY it answered, delivered again, starts nothing.
            #expect(try await Self.ready(requests, 1).isEmpty)
        }
    }

    @Test func `an event found answered marks its request`() async throws {
        try await Self.with { requests, _, _ in
            try await Self.ready(requests, 2)
            try await requests.stored(Self.event(1), product: .baseReport, reportID: "r0", deadline: soon())
            #expect(try await Self.states(requests) == [Self.base: .pending])
            try await requests.stored(Self.event(2), product: .baseReport, reportID: "r1", deadline: soon())
            #expect(try await Self.states(requests) == [Self.base: .stored])
        }
    }

    @Test func `counts tries once however often they are told, and only the row's own`() async throws {
        try await Self.with { requests, _, _ in
            try await Self.ready(requests, 2)
            for attempts in [1, 3, 3, 2] {
                try await requests.noteAttempt(
                    Self.event(2),
                    product: .baseReport,
                    attempts: attempts,
                    nextAttemptAt: nil,
                    errorType: nil,
                    errorCode: nil,
                    deadline: soon()
                )
            }
            try await requests.noteAttempt(
                Self.event(1),
                product: .baseReport,
                attempts: 99,
                nextAttemptAt: nil,
                errorType: nil,
                errorCode: nil,
                deadline: soon()
            )
            let row = try #require(try await requests.requests(userID: "usr_1", deadline: soon()).first)
            #expect(row.attempts == 3)
        }
    }

    @Test func `an expired or dead request stays so until something newer comes`() async throws {
        try await Self.with { requests, _, _ in
            try await Self.ready(requests, 1)
            #expect(try await requests.expired(Self.event(1), product: .baseReport, deadline: soon()))
            #expect(try await requests.expired(Self.event(1), product: .baseReport, deadline: soon()))
            let isDead = try await requests.dead(
                Self.event(1),
                product: .baseReport,
                errorType: "x",
                errorCode: nil,
                deadline: soon()
            )
            #expect(!isDead)
            #expect(try await Self.states(requests) == [Self.base: .expired])
            try await Self.ready(requests, 2)
            #expect(try await Self.states(requests) == [Self.base: .pending])
            #expect(try await !requests.expired(Self.event(1), product: .baseReport, deadline: soon()))
            let died = try await requests.dead(
                Self.event(2),
                product: .baseReport,
                errorType: "INVALID_INPUT",
                errorCode: "INVALID_API_KEYS",
                deadline: soon()
            )
            #expect(died)
            let row = try #require(try await requests.requests(userID: "usr_1", deadline: soon()).first)
            #expect(row.state == .dead)
            #expect(row.lastErrorType == "INVALID_INPUT")
            #expect(try await requests.counts(deadline: soon()) == [.dead: 1])
        }
    }

    @Test func `what was stored cannot expire`() async throws {
        try await Self.with { requests, reports, _ in
            try await Self.ready(requests, 1)
            _ = try await reports.store(report(covers: moment(1)), deadline: soon())
            #expect(try await !requests.expired(Self.event(1), product: .baseReport, deadline: soon()))
            #expect(try await Self.states(requests) == [Self.base: .stored])
        }
    }
}
