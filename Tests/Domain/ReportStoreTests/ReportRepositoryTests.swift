import Basics
import Cryptography
import PlaidAPI
import Postgres
import ReportStore
import TestSupport
import Testing

@Suite struct ReportRepositoryTests {
    /// Bodies that json, jsonb or a careless layer would change or refuse.
    private static let bodies: [(name: String, bytes: [UInt8])] = [
        ("spaces, order, doubles", Array("{ \"b\":1.10,\r\n\t\"a\" : -0, \"a\":1e400,\"c\":\"\\/\" }\n".utf8)),
        ("far planes", Array("{\"x\":\"\u{10FFFF}é\u{1F600}\"}".utf8)),
        ("byte order mark", [0xEF, 0xBB, 0xBF] + Array("{}".utf8)),
        ("not JSON", Array("<html>'$1' \\ % \u{1}</html>".utf8)),
        ("empty", []),
        ("escaped zero", Array(#"{"report":{"report_id":"\u0000"}}"#.utf8)),
        ("two megabytes", Array(repeating: UInt8(ascii: "z"), count: 2 * 1024 * 1024)),
    ]

    private func repository(_ database: TestDatabase, _ environment: PlaidEnvironment = .sandbox) -> ReportRepository {
        ReportRepository(pool: database.pool, environment: environment)
    }

    @Test func `keeps every byte of every body, and the server's hash says so too`() async throws {
        try await TestDatabase.with { database in
            let reports = repository(database)
            for (name, bytes) in Self.bodies {
                let body = Bytes(bytes)
                let result = try await reports.store(report(name, body: body, strict: false), deadline: soon())
                guard case .inserted(let reference) = result else {
                    Issue.record("\(name): \(result)")
                    continue
                }
                #expect(reference.byteCount == bytes.count)
                #expect(reference.bodySHA256 == SHA256.hash(bytes).hex)
                let shown = try await reports.show(product: "cra_base_report", reportID: name, deadline: soon())
                #expect(shown?.body == body, "\(name)")
                #expect(shown?.reference == reference)
                let verified = try await reports.verify(product: "cra_base_report", reportID: name, deadline: soon())
                #expect(verified == true, "\(name)")
            }
            let mismatches = try await database.sql(
                """
                select count(*) from reports where sha256(convert_to(body, 'UTF8')) <> body_sha256
                    or octet_length(body) <> byte_count
                """
            )
            #expect(mismatches == ["0"])
        }
    }

    @Test func `notices a body that was changed behind its back`() async throws {
        try await TestDatabase.with { database in
            let reports = repository(database)
            _ = try await reports.store(report(), deadline: soon())
            try await database.sql("update reports set body = body || ' '")
            #expect(try await reports.verify(product: "cra_base_report", reportID: "r1", deadline: soon()) == false)
            #expect(try await reports.verify(product: "cra_base_report", reportID: "no", deadline: soon()) == nil)
        }
    }

    @Test func `leaves bodies that json operators cannot read out of the view`() async throws {
        try await TestDatabase.with { database in
            let reports = repository(database)
            let poison = Bytes(utf8: #"{"report":{"report_id":"\u0000"}}"#)
            let surrogate = Bytes(utf8: #"{"report":{"report_id":"\ud800"}}"#)
            _ = try await reports.store(report("zero", body: poison, strict: false), deadline: soon())
            _ = try await reports.store(report("lone", body: surrogate, strict: false), deadline: soon())
            _ = try await reports.store(report("empty", body: .empty, strict: false), deadline: soon())
            _ = try await reports.store(report("fine"), deadline: soon())
            let rows = try await database.sql(
                "select report_id, body->'report'->>'report_id' from report_documents where body->'report'->>'report_id' <> ''"
            )
            #expect(rows == ["fine|r1"])
            #expect(try await database.count("reports") == 4)
        }
    }

    @Test func `a body that PostgreSQL refuses is blamed alone`() async throws {
        try await TestDatabase.with { database in
            let reports = repository(database)
            let results = await withTaskGroup(of: (String, Bool).self) { group in
                for (id, body) in [
                    ("good", Bytes(utf8: "{}")), ("zero byte", Bytes([0x7B, 0x00, 0x7D])),
                    ("not UTF-8", Bytes([0x22, 0xFF, 0x22])), ("also good", Bytes(utf8: "[]")),
                ] {
                    group.addTask {
                        do {
                            _ = try await reports.store(report(id, body: body), deadline: soon())
                            return (id, true)
                        } catch {
                            return (id, (error as? PostgresError)?.blamesValues != true)
                        }
                    }
                }
                return await group.reduce(into: [String: Bool]()) { $0[$1.0] = $1.1 }
            }
            #expect(results == ["good": true, "also good": true, "zero byte": false, "not UTF-8": false])
            let count = try await database.count("reports")
            #expect(count == 2)
        }
    }

    // MARK: READY is a level

    @Test func `five webhooks that one fetch answers make one row, and none of them needs another fetch`() async throws
    {
        try await TestDatabase.with { database in
            let reports = repository(database)
            let receipts = (1...5).map { moment(Double($0)) }
            // The fetch started while all five stood in the lane: the newest is what it covers.
            let result = try await reports.store(report(covers: receipts[4]), deadline: soon())
            guard case .inserted = result else {
                Issue.record("\(result)")
                return
            }
            let covering = try #require(
                try await reports.covering(userID: "usr_1", product: .baseReport, deadline: soon())
            )
            #expect(receipts.allSatisfy { $0 <= covering.coversReceivedAt })
            #expect(moment(5.000001) > covering.coversReceivedAt)
            #expect(covering.reportID == "r1")
            #expect(try await database.count("reports") == 1)
        }
    }

    @Test func `a second generation announced by identical bytes is a second row`() async throws {
        try await TestDatabase.with { database in
            let reports = repository(database)
            _ = try await reports.store(report("r1", covers: moment(1)), deadline: soon())
            let covering = try await reports.covering(userID: "usr_1", product: .baseReport, deadline: soon())
            // The same READY, byte for byte, a day later: newer than what is covered, so it is fetched.
            #expect(try #require(covering).coversReceivedAt < moment(86_400))
            _ = try await reports.store(report("r2", covers: moment(86_400)), deadline: soon())
            #expect(try await database.count("reports") == 2)
            let newest = try await reports.covering(userID: "usr_1", product: .baseReport, deadline: soon())
            #expect(newest?.reportID == "r2")
            #expect(newest?.coversReceivedAt == moment(86_400))
        }
    }

    @Test func `the same report fetched again raises its coverage and keeps its first body`() async throws {
        try await TestDatabase.with { database in
            let reports = repository(database)
            let first = report(covers: moment(1), body: Bytes(utf8: #"{"request_id":"a"}"#))
            _ = try await reports.store(first, deadline: soon())
            let again = report(covers: moment(9), body: Bytes(utf8: #"{"request_id":"another"}"#))
            guard case .raised(let reference) = try await reports.store(again, deadline: soon()) else {
                Issue.record("not raised")
                return
            }
            #expect(reference.coversReceivedAt == moment(9))
            #expect(reference.byteCount == first.body.count)
            #expect(reference.bodySHA256 == first.bodySHA256.hex)
            #expect(reference.fetchedAt == first.fetchedAt)
            #expect(reference.webhookEventID == first.webhookEventID)

            // A late repeat of the first never lowers it.
            guard case .raised(let repeated) = try await reports.store(first, deadline: soon()) else {
                Issue.record("not raised")
                return
            }
            #expect(repeated.coversReceivedAt == moment(9))
            let shown = try await reports.show(product: "cra_base_report", reportID: "r1", deadline: soon())
            #expect(shown?.body == first.body)
            #expect(try await database.count("reports") == 1)
        }
    }

    @Test func `of stores of one report at once one inserts, and the newest coverage wins`() async throws {
        try await TestDatabase.with { database in
            let reports = repository(database)
            let inserted = try await withThrowingTaskGroup(of: Bool.self) { group in
                for second in 1...24 {
                    group.addTask {
                        let result = try await reports.store(report(covers: moment(Double(second))), deadline: soon())
                        if case .inserted = result { return true }
                        return false
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(inserted == 1)
            let covering = try await reports.covering(userID: "usr_1", product: .baseReport, deadline: soon())
            #expect(covering?.coversReceivedAt == moment(24))
        }
    }

    @Test func `what is being stored while the server crashes is there once, and every caller is told`() async throws {
        try await TestDatabase.withOwnServer { database in
            let reports = repository(database)
            let body = Bytes(Array(repeating: UInt8(ascii: "z"), count: 20_000))
            let count = 300
            let firstIsStored = Promise<Void>()
            let told = try await withThrowingTaskGroup(of: String.self) { group in
                for number in 1...count {
                    group.addTask {
                        let new = report("r\(number)", user: "usr_\(number % 7)", body: body)
                        defer { firstIsStored.resolve(.success(())) }
                        switch try await reports.store(new, deadline: soon(60)) {
                        case .inserted(let reference), .raised(let reference): return reference.reportID
                        case .foreignUser: return "foreign"
                        }
                    }
                }
                group.addTask {
                    try await firstIsStored.value()
                    try await database.server.crash()
                    try await database.server.startAgain()
                    return "crash"
                }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            #expect(told == Set((1...count).map { "r\($0)" } + ["crash"]))
            #expect(try await database.count("reports") == count)
        }
    }

    @Test func `another user's report under the same id is left alone, request and all`() async throws {
        try await TestDatabase.with { database in
            let reports = repository(database)
            let requests = RequestRepository(pool: database.pool, environment: .sandbox)
            let owner = report(user: "usr_owner", covers: moment(1))
            _ = try await reports.store(owner, deadline: soon())
            let stranger = RequestEvent(userID: "usr_stranger", receivedAt: moment(5))
            try await requests.readySeen(
                stranger,
                products: ["cra_base_report"],
                lifetimeEnd: moment(86_405),
                deadline: soon()
            )
            let mixedUp = report(user: "usr_stranger", covers: moment(5), body: Bytes(utf8: "{}"))
            #expect(try await reports.store(mixedUp, deadline: soon()) == .foreignUser)

            let shown = try #require(
                try await reports.show(product: "cra_base_report", reportID: "r1", deadline: soon())
            )
            #expect(shown.reference.userID == "usr_owner")
            #expect(shown.reference.coversReceivedAt == moment(1))
            #expect(shown.body == owner.body)
            let request = try await requests.requests(userID: "usr_stranger", deadline: soon())
            #expect(request.map(\.state) == [.pending])
            #expect(try await reports.covering(userID: "usr_stranger", product: .baseReport, deadline: soon()) == nil)
        }
    }

    @Test func `a user's other ids are the same user`() async throws {
        try await TestDatabase.with { database in
            let reports = repository(database)
            let users = UserRepository(pool: database.pool, keyRing: try keyRing("a"), environment: .sandbox)
            _ = try await users.add(userID: "legacy", clientUserID: "c", deadline: soon())
            _ = try await users.add(userID: "usr_1", clientUserID: "c", deadline: soon())
            // Stored by a process that looked the user up before the second id was known.
            _ = try await reports.store(report(user: "legacy", covers: moment(1)), deadline: soon())

            let covering = try await reports.covering(userID: "usr_1", product: .baseReport, deadline: soon())
            #expect(covering?.reportID == "r1")
            #expect(covering?.userID == "usr_1")
            guard
                case .raised(let raised) = try await reports.store(
                    report(user: "usr_1", covers: moment(2)),
                    deadline: soon()
                )
            else {
                Issue.record("taken for a stranger")
                return
            }
            #expect(raised.coversReceivedAt == moment(2))
        }
    }

    @Test func `products and environments cover only themselves`() async throws {
        try await TestDatabase.with { database in
            let sandbox = repository(database)
            let production = repository(database, .production)
            _ = try await sandbox.store(report(), deadline: soon())
            #expect(try await sandbox.covering(userID: "usr_1", product: .incomeInsights, deadline: soon()) == nil)
            #expect(try await production.covering(userID: "usr_1", product: .baseReport, deadline: soon()) == nil)
            #expect(try await production.show(product: "cra_base_report", reportID: "r1", deadline: soon()) == nil)
            let results = [
                try await production.store(report(), deadline: soon()),
                try await sandbox.store(report(product: .incomeInsights), deadline: soon()),
            ]
            for result in results {
                guard case .inserted = result else {
                    Issue.record("\(result)")
                    continue
                }
            }
            #expect(try await database.count("reports") == 3)
        }
    }

    @Test func `lists the newest first, by user under any id, by product, at most as many as asked`() async throws {
        try await TestDatabase.with { database in
            let reports = repository(database)
            let users = UserRepository(pool: database.pool, keyRing: try keyRing("a"), environment: .sandbox)
            for number in 1...5 {
                let new = report(
                    "r\(number)",
                    user: number == 5 ? "usr_2" : "usr_1",
                    product: number == 4 ? .partnerInsights : .baseReport,
                    covers: moment(Double(number))
                )
                _ = try await reports.store(new, deadline: soon())
            }
            _ = try await users.add(userID: "usr_1", clientUserID: "c", deadline: soon())
            _ = try await users.add(userID: "other", clientUserID: "c", deadline: soon())
            func ids(_ filter: ReportFilter) async throws -> [String] {
                try await reports.list(filter, deadline: soon()).map(\.reportID)
            }
            #expect(try await ids(ReportFilter()) == ["r5", "r4", "r3", "r2", "r1"])
            #expect(try await ids(ReportFilter(limit: 2)) == ["r5", "r4"])
            #expect(try await ids(ReportFilter(userID: "other")) == ["r4", "r3", "r2", "r1"])
            #expect(try await ids(ReportFilter(userID: "usr_1", product: "cra_base_report")) == ["r3", "r2", "r1"])
            #expect(try await ids(ReportFilter(fetchedAfter: moment(5))) == ["r5", "r4"])
            #expect(try await ids(ReportFilter(userID: "nobody")).isEmpty)
        }
    }
}
