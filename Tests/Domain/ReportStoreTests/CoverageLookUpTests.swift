import Basics
import PlaidAPI
import ReportStore
import Testing

@Suite struct CoverageLookUpTests {
    @Test func `one look-up gives the user and what may answer, the least coverage first`() async throws {
        try await TestDatabase.with { database in
            let users = UserRepository(pool: database.pool, keyRing: try keyRing("k1"), environment: .sandbox)
            let reports = ReportRepository(pool: database.pool, environment: .sandbox)
            for (index, user) in ["usr_1", "usr_1", "old", "usr_2", "usr_1"].enumerated() {
                let stored = report("r\(index)", user: user, covers: moment(Double(index)))
                guard case .inserted = try await reports.store(stored, deadline: soon()) else {
                    Issue.record("r\(index) was not inserted")
                    return
                }
            }
            func known(_ alias: String, from second: Double) async throws -> (String?, [String]) {
                let known = try await users.resolve(
                    alias: alias,
                    product: .baseReport,
                    coveringFrom: moment(second),
                    deadline: soon()
                )
                #expect(Set(known.reports.map(\.userID)).isSubset(of: [known.user?.userID ?? alias]))
                return (known.user?.userID, known.reports.map(\.reportID))
            }
            #expect(try await known("usr_1", from: 0) == (nil, ["r0", "r1", "r4"]))
            #expect(try await known("usr_1", from: 1) == (nil, ["r1", "r4"]))
            #expect(try await known("usr_1", from: 4.000001) == (nil, []))
            _ = try await users.add(userID: "old", clientUserID: "c", deadline: soon())
            _ = try await users.add(userID: "usr_1", clientUserID: "c", deadline: soon())
            #expect(try await known("old", from: 1) == ("usr_1", ["r1", "r2", "r4"]))
            #expect(try await known("nobody", from: 0) == (nil, []))
            #expect(try await known("a\u{0}b", from: 0) == (nil, []))
        }
    }

    @Test func `a replayed dead event makes its request pending again, a repeat of a live one changes nothing`()
        async throws
    {
        try await TestDatabase.with { database in
            let requests = RequestRepository(pool: database.pool, environment: .sandbox)
            let event = RequestEvent(userID: "usr_1", receivedAt: moment(0), webhookEventID: "e")
            func ready() async throws -> [String] {
                try await requests.readySeen(
                    event,
                    products: ["cra_base_report"],
                    lifetimeEnd: moment(86_400),
                    deadline: soon()
                )
            }
            #expect(try await ready() == ["cra_base_report"])
            #expect(try await ready().isEmpty)
            let isDead = try await requests.dead(
                event,
                product: .baseReport,
                errorType: "T",
                errorCode: "C",
                deadline: soon()
            )
            #expect(isDead)
            #expect(try await ready() == ["cra_base_report"])
            #expect(try await requests.requests(userID: "usr_1", deadline: soon()).map(\.state) == [.pending])
            let isExpired = try await requests.expired(event, product: .baseReport, deadline: soon())
            #expect(isExpired)
            #expect(try await ready().isEmpty)
        }
    }
}
