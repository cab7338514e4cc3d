import Basics
import Cryptography
import PlaidAPI
import Postgres
import ReportStore
import Testing

@Suite struct UserRepositoryTests {
    private static let legacy = "pQ9xWm4TnB7cVd2LrKs81HyzJfGe"
    private static let token = "user-sandbox-1b2c3d4e-invented"

    private static func with(
        keys: String = "a",
        _ body: (UserRepository, TestDatabase) async throws -> Void
    ) async throws {
        try await TestDatabase.with { database in
            let keyRing = try keyRing(keys)
            try await body(UserRepository(pool: database.pool, keyRing: keyRing, environment: .sandbox), database)
        }
    }

    @Test func `finds a user by any id, byte for byte`() async throws {
        try await Self.with { users, _ in
            let composed = "caf\u{E9}"
            let decomposed = "cafe\u{301}"
            _ = try await users.add(userID: composed, deadline: soon())
            #expect(try await users.resolve(alias: composed, deadline: soon())?.userID == composed)
            for other in [decomposed, "CAF\u{C9}", "caf", composed + " ", "", "a\u{0}b"] {
                let found = try await users.resolve(alias: other, deadline: soon())
                #expect(found == nil, "\(other.debugDescription)")
            }
        }
    }

    @Test(arguments: [
        (["old-1", "old-2"], "old-1"), (["old", "usr_1"], "usr_1"), (["usr_1", "old"], "usr_1"),
        (["usr_2", "usr_1", "old"], "usr_2"), (["user-sandbox-9", "usr_1"], "usr_1"),
        (["user-sandbox-9", "old"], "user-sandbox-9"),
    ])
    func `the canonical id is the usr one if there is one, else the first`(
        _ ids: [String],
        _ canonical: String
    ) async throws {
        try await Self.with { users, _ in
            var last = ""
            for id in ids { last = try await users.add(userID: id, clientUserID: "c", deadline: soon()).canonicalID }
            #expect(last == canonical)
            for id in ids {
                let user = try #require(try await users.resolve(alias: id, deadline: soon()))
                #expect(user.userID == canonical)
                #expect(user.aliases == ids)
                #expect(user.clientUserID == "c")
            }
        }
    }

    @Test func `a new id under a known client id is one more name of that user`() async throws {
        try await Self.with { users, database in
            let first = try await users.add(
                userID: Self.legacy,
                clientUserID: "cust-1",
                userToken: Secret(Self.token),
                deadline: soon()
            )
            #expect(first == (.created, canonicalID: Self.legacy))
            let second = try await users.add(userID: "usr_1", clientUserID: "cust-1", deadline: soon())
            #expect(second == (.aliasAdded, canonicalID: "usr_1"))
            let again = try await users.add(userID: "usr_1", clientUserID: "cust-1", deadline: soon())
            #expect(again == (.updated, canonicalID: "usr_1"))
            let user = try #require(try await users.resolve(alias: "usr_1", deadline: soon()))
            #expect(user.userToken?.reveal() == Self.token)
            #expect(try await database.count("plaid_users") == 1)
        }
    }

    @Test func `a client id may come later, but never a different one`() async throws {
        try await Self.with { users, _ in
            _ = try await users.add(userID: "usr_1", deadline: soon())
            _ = try await users.add(userID: "usr_1", clientUserID: "c1", deadline: soon())
            #expect(try await users.resolve(alias: "usr_1", deadline: soon())?.clientUserID == "c1")
            await #expect(throws: UserEditError.clientUserIDDiffers) {
                try await users.add(userID: "usr_1", clientUserID: "c2", deadline: soon())
            }
            _ = try await users.add(userID: "usr_2", clientUserID: "c2", deadline: soon())
            await #expect(throws: UserEditError.clientUserIDDiffers) {
                try await users.add(userID: "usr_1", clientUserID: "c2", deadline: soon())
            }
            _ = try await users.add(userID: "usr_3", deadline: soon())
            await #expect(throws: UserEditError.twoUsers) {
                try await users.add(userID: "usr_3", clientUserID: "c2", deadline: soon())
            }
            #expect(try await users.resolve(alias: "usr_1", deadline: soon())?.clientUserID == "c1")
        }
    }

    @Test(arguments: ["", "a\u{0}b", String(repeating: "a", count: 257)])
    func `refuses an id that no webhook can carry`(_ id: String) async throws {
        try await Self.with { users, _ in
            await #expect(throws: UserEditError.unusableID) { try await users.add(userID: id, deadline: soon()) }
            await #expect(throws: UserEditError.unusableID) {
                try await users.add(userID: "usr_1", clientUserID: id, deadline: soon())
            }
        }
    }

    @Test func `what stood under the other ids moves to the canonical one`() async throws {
        try await Self.with { users, database in
            let reports = ReportRepository(pool: database.pool, environment: .sandbox)
            let requests = RequestRepository(pool: database.pool, environment: .sandbox)
            _ = try await reports.store(report("old", user: Self.legacy, covers: moment(1)), deadline: soon())
            _ = try await reports.store(report("new", user: "usr_1", covers: moment(2)), deadline: soon())
            try await requests.readySeen(
                RequestEvent(userID: Self.legacy, receivedAt: moment(3)),
                products: ["cra_base_report", "cra_income_insights"],
                lifetimeEnd: moment(9),
                deadline: soon()
            )
            _ = try await users.add(userID: Self.legacy, clientUserID: "c", deadline: soon())
            _ = try await users.add(userID: "usr_1", clientUserID: "c", deadline: soon())

            #expect(try await database.sql("select distinct user_id from reports") == ["usr_1"])
            let rows = try await requests.requests(userID: "usr_1", deadline: soon())
            #expect(rows.map(\.product) == ["cra_base_report", "cra_income_insights"])
            // Of two requests for the base report the newer by receipt remained: the pending one.
            #expect(rows.map(\.state) == [.pending, .pending])
            #expect(try await database.count("report_requests") == 2)
        }
    }

    @Test func `additions at once make one user`() async throws {
        try await Self.with { users, database in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...6 {
                    group.addTask {
                        _ = try await users.add(userID: "id-\(number)", clientUserID: "c", deadline: soon())
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await database.count("plaid_users") == 1)
            #expect(try await database.count("plaid_user_aliases") == 6)
        }
    }

    // MARK: Sealed tokens

    @Test func `a token stands nowhere in the clear`() async throws {
        try await Self.with { users, database in
            _ = try await users.add(userID: Self.legacy, userToken: Secret(Self.token), deadline: soon())
            let found = try await database.sql(
                "select position(convert_to('\(Self.token)', 'UTF8') in user_token) from plaid_users"
            )
            #expect(found == ["0"])
            #expect(try await users.resolve(alias: Self.legacy, deadline: soon())?.userToken?.reveal() == Self.token)
        }
    }

    @Test func `a key that is not configured is the program's fault, a changed value is not`() async throws {
        try await Self.with { users, database in
            _ = try await users.add(userID: "one", userToken: Secret("first"), deadline: soon())
            _ = try await users.add(userID: "two", userToken: Secret("second"), deadline: soon())

            let stranger = UserRepository(pool: database.pool, keyRing: try keyRing("b"), environment: .sandbox)
            let expected = StoreError.unknownKey(
                try #require(SealingKeyID("a")),
                table: "plaid_users",
                column: "user_token"
            )
            #expect(expected.isProgramFault)
            #expect(!StoreError.tampered(table: "plaid_users", column: "user_token").isProgramFault)
            await #expect(throws: expected) { try await stranger.resolve(alias: "one", deadline: soon()) }

            try await database.sql(
                "update plaid_users set user_token = (select user_token from plaid_users where user_id = 'two') where user_id = 'one'"
            )
            await #expect(throws: StoreError.tampered(table: "plaid_users", column: "user_token")) {
                try await users.resolve(alias: "one", deadline: soon())
            }
            try await database.sql(
                "update plaid_users set user_token = set_byte(user_token, 20, get_byte(user_token, 20) # 1) where user_id = 'two'"
            )
            await #expect(throws: StoreError.tampered(table: "plaid_users", column: "user_token")) {
                try await users.resolve(alias: "two", deadline: soon())
            }
        }
    }

    @Test func `a new token replaces the old one and survives a change of the canonical id`() async throws {
        try await Self.with { users, _ in
            _ = try await users.add(userID: "old", clientUserID: "c", userToken: Secret("t1"), deadline: soon())
            _ = try await users.add(userID: "old", userToken: Secret("t2"), deadline: soon())
            _ = try await users.add(userID: "usr_1", clientUserID: "c", deadline: soon())
            #expect(try await users.resolve(alias: "old", deadline: soon())?.userToken?.reveal() == "t2")
        }
    }

    @Test func `sealing anew lets an older key go`() async throws {
        try await Self.with { users, database in
            for number in 1...7 {
                _ = try await users.add(userID: "u\(number)", userToken: Secret("t\(number)"), deadline: soon())
            }
            _ = try await users.add(userID: "tokenless", deadline: soon())
            let both = UserRepository(pool: database.pool, keyRing: try keyRing("b", "a"), environment: .sandbox)
            var resealed = 0
            var next: Int64? = 0
            while let after = next {
                let page = try await both.resealTokens(after: after, page: 3, deadline: soon())
                resealed += page.resealed
                next = page.next
            }
            #expect(resealed == 7)
            #expect(try await both.resealTokens(deadline: soon()).resealed == 0)
            let newOnly = UserRepository(pool: database.pool, keyRing: try keyRing("b"), environment: .sandbox)
            for number in 1...7 {
                let user = try await newOnly.resolve(alias: "u\(number)", deadline: soon())
                #expect(user?.userToken?.reveal() == "t\(number)")
            }
        }
    }

    // MARK: Requests, lists

    @Test func `a request names a newer user by id and a legacy one by token`() async throws {
        func name(_ reference: UserReference?) -> String? {
            switch reference {
            case .userID(let id): "id \(id)"
            case .userToken(let token): "token \(token.reveal())"
            case nil: nil
            }
        }
        try await Self.with { users, _ in
            _ = try await users.add(userID: "old", clientUserID: "c", userToken: Secret("t"), deadline: soon())
            _ = try await users.add(userID: "usr_1", clientUserID: "c", deadline: soon())
            _ = try await users.add(userID: "lost", deadline: soon())
            _ = try await users.add(userID: "second", clientUserID: "d", deadline: soon())
            _ = try await users.add(userID: "usr_2", clientUserID: "d", deadline: soon())
            let both = try #require(try await users.resolve(alias: "old", deadline: soon()))
            #expect(name(both.reference(forWebhookID: "old")) == "token t")
            #expect(name(both.reference(forWebhookID: "usr_1")) == "id usr_1")
            #expect(name(both.reference(forWebhookID: "user-sandbox-1")) == "id user-sandbox-1")
            let lost = try #require(try await users.resolve(alias: "lost", deadline: soon()))
            #expect(name(lost.reference(forWebhookID: "lost")) == nil)
            let tokenless = try #require(try await users.resolve(alias: "second", deadline: soon()))
            #expect(name(tokenless.reference(forWebhookID: "second")) == "id usr_2")
        }
    }

    @Test func `lists in pages, shows by either kind of id and removes with every name`() async throws {
        try await Self.with { users, database in
            for number in 1...5 {
                _ = try await users.add(
                    userID: "usr_\(number)",
                    clientUserID: "c\(number)",
                    userToken: number == 2 ? Secret("t") : nil,
                    deadline: soon()
                )
            }
            let first = try await users.list(limit: 3, deadline: soon())
            #expect(first.map(\.userID) == ["usr_1", "usr_2", "usr_3"])
            #expect(first.map(\.hasUserToken) == [false, true, false])
            let rest = try await users.list(after: first[2].rowID, deadline: soon())
            #expect(rest.map(\.userID) == ["usr_4", "usr_5"])
            #expect(try await users.show("c4", deadline: soon())?.userID == "usr_4")
            #expect(try await users.show("usr_4", deadline: soon())?.clientUserID == "c4")
            #expect(try await users.show("nobody", deadline: soon()) == nil)

            let production = UserRepository(pool: database.pool, keyRing: try keyRing("a"), environment: .production)
            #expect(try await production.list(deadline: soon()).isEmpty)
            #expect(try await !production.remove(userID: "usr_1", deadline: soon()))

            _ = try await users.add(userID: "alias", clientUserID: "c1", deadline: soon())
            #expect(try await users.remove(userID: "alias", deadline: soon()))
            #expect(try await users.resolve(alias: "usr_1", deadline: soon()) == nil)
            #expect(try await !users.remove(userID: "alias", deadline: soon()))
            #expect(try await database.count("plaid_user_aliases") == 4)
        }
    }
}
