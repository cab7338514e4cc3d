// The bytes of reports: exact sizes, odd JSON, the same for the same seed, lawful by Plaid's own specification.

import Basics
import Cryptography
import HTTPClient
import JSON
import PlaidAPI
import TestSupport
import Testing

@testable import PlaidSandbox

@Suite struct ReportContentTests {
    static func plan(
        seed: UInt64 = 1,
        bytes: Int = 60_000,
        traits: String = "",
        days: Int = 365,
        items: Int = 1,
        clientReportID: String? = "loan \"7\"\n"
    ) -> ReportPlan {
        let identifiers = Identifiers(seed: seed)
        return ReportPlan(
            seed: seed,
            userID: "usr_" + identifiers.token("user", "a", length: 14),
            generation: 1,
            ownerName: .init(full: "Zoë \"Z\" O'Brien", email: "zoe@example.com"),
            items: (0..<items).map { index in
                let id = identifiers.token("item", "\(index)", length: 37)
                return .init(
                    id: id,
                    institution: Institution(id: "ins_109508", name: "First Heron Bank"),
                    accounts: BankAccount.accounts(of: id, identifiers: identifiers)
                )
            },
            generatedAt: Fixture.start,
            daysRequested: days,
            clientReportID: clientReportID,
            products: Fixture.allProducts,
            traits: ReportTraits([traits]),
            baseReportBytes: bytes
        )
    }

    static func bytes(_ plan: ReportPlan, _ product: ReportProduct) -> [UInt8] {
        ReportBodies(capacity: 0).body(plan, product).bytes.array
    }

    @Test(arguments: [12_000, 60_000, 60_001, 250_000, 499_999, 1_500_000, 12_000_000], [1, 3])
    func `a base report has exactly the size asked for`(_ size: Int, _ items: Int) throws {
        // Three Items with up to four accounts have a smallest size of their own.
        guard size > 12_000 || items == 1 else { return }
        for days in size > 1_000_000 ? [365] : [180, 365, 731] {
            let bytes = Self.bytes(Self.plan(bytes: size, days: days, items: items), .baseReport)
            #expect(bytes.count == size)
            let facts = try ReportFacts.read(.baseReport, Bytes(bytes))
            #expect(facts.strict)
            #expect(facts.clientReportID == "loan \"7\"\n")
        }
    }

    @Test func `the smallest is still a report`() throws {
        let bytes = Self.bytes(Self.plan(bytes: 4_000), .baseReport)
        let json = try JSON.parse(bytes)
        #expect(json["report"]?["items"]?.arrayValue?.first?["accounts"]?.arrayValue?.isEmpty == false)
    }

    @Test(arguments: ReportProduct.allCases)
    func `the same seed makes the same bytes, another one others`(_ product: ReportProduct) {
        let first = Self.bytes(Self.plan(bytes: 300_000), product)
        #expect(Self.bytes(Self.plan(bytes: 300_000), product) == first)
        #expect(Self.bytes(Self.plan(seed: 2, bytes: 300_000), product) != first)
    }

    @Test func `two runs on one seed give the same ids, webhooks and reports`() async throws {
        func run(_ seed: UInt64, order: [String]) async throws -> [String: [String]] {
            var seen: [String: [String]] = [:]
            try await Fixture.with(seed: seed) { fixture in
                for name in order {
                    let kind: Fixture.Kind = name == "b" ? .legacy : .current
                    let user = try await fixture.user(name, kind)
                    let token = try await fixture.item(user)
                    try await fixture.create(user)
                    var facts = [user.id, user.token ?? "", token]
                    fixture.clock.set(wall: Fixture.start)
                    facts.append(try await fixture.makeReady().text)
                    for product in ReportProduct.allCases {
                        let response = try await fixture.post(product.path, user.naming())
                        let json = try JSON.parse(response.body)
                        facts.append(json["report"]?["report_id"]?.stringValue ?? "")
                        facts.append(String(response.body.count))
                    }
                    seen[name] = facts
                }
            }
            return seen
        }
        let first = try await run(7, order: ["a", "b", "c"])
        #expect(try await run(7, order: ["c", "b", "a"]) == first)
        let other = try await run(8, order: ["a", "b", "c"])
        for name in ["a", "b", "c"] { #expect(other[name]?[0] != first[name]?[0]) }
    }

    @Test func `odd reports are lawful JSON that strict readers stumble over`() async throws {
        let bytes = Self.bytes(Self.plan(bytes: 60_000, traits: "a~odd"), .baseReport)
        #expect(bytes.count == 60_000)
        let text = String(decoding: bytes, as: UTF8.self)
        for odd in [#"\u0000"#, #"\ud800"#, "123456789012345678901234567890.125", "not_in_any_schema"] {
            #expect(text.contains(odd))
        }
        let facts = try ReportFacts.read(.baseReport, Bytes(bytes))
        #expect(!facts.strict)
        #expect(facts.hasReport)
    }

    @Test func `traits are read from names`() {
        let traits = ReportTraits(["customer-1~12mb", "user_good~odd~fraud~noid~failincome~hello"])
        #expect(traits.baseReportBytes == 12_000_000)
        #expect(traits.isOdd && traits.hasFraudAlert && traits.lacksReportID && !traits.fails)
        #expect(traits.failedProducts == ["cra_income_insights"])
        #expect(ReportTraits(["a~60kb"]).baseReportBytes == 60_000)
        #expect(ReportTraits(["a~43210b"]).baseReportBytes == 43_210)
        #expect(ReportTraits(["a~1b"]).baseReportBytes == 12_000)
        #expect(ReportTraits(["a~999mb"]).baseReportBytes == 64_000_000)
        for plain in ["odd", "a~", "a~mb", "a~-5kb", "a~99999999999999999999mb", ""] {
            #expect(ReportTraits([plain]) == ReportTraits())
        }
    }

    @Test(arguments: ReportProduct.allCases)
    func `a fraud alert stands where the pipeline looks for it`(_ product: ReportProduct) throws {
        let alarmed = Self.bytes(Self.plan(traits: "a~fraud"), product)
        #expect(try ReportFacts.read(product, Bytes(alarmed)).fraudAlert)
        #expect(try !ReportFacts.read(product, Bytes(Self.bytes(Self.plan(), product))).fraudAlert)
    }

    @Test func `insights may lack their id`() throws {
        let bytes = Self.bytes(Self.plan(traits: "a~noid"), .incomeInsights)
        let facts = try ReportFacts.read(.incomeInsights, Bytes(bytes))
        #expect(facts.reportID == nil)
        #expect(facts.identity(userID: "u")?.hasPrefix("generated:u:2027") == true)
    }

    @Test func `bodies are kept within a bound and made again the same`() {
        let bodies = ReportBodies(capacity: 150_000)
        let plans = (1...5).map { Self.plan(seed: UInt64($0)) }
        let first = plans.map { bodies.body($0, .baseReport).sha256 }
        #expect(bodies.byteCount <= 150_000)
        #expect(plans.map { bodies.body($0, .baseReport).sha256 } == first)
    }

    @Test func `the usual sizes are mostly from 60 kB to half a megabyte`() {
        let sizes = (0..<2_000).map { ReportPlan.usualBytes(Identifiers(seed: 3).number("size", "\($0)")) }
        #expect(sizes.allSatisfy { (60_000...4_000_000).contains($0) })
        #expect((1_700...1_900).contains(sizes.count { $0 <= 500_000 }))
    }

    @Test func `the default size is a lever`() async throws {
        try await Fixture.with { fixture in
            let put = try await fixture.send("PUT", "/_sandbox/reports", #"{"bytes": 60000}"#)
            #expect(put.status == 200)
            let user = try await fixture.readyUser()
            let response = try await fixture.post(ReportProduct.baseReport.path, user.naming())
            #expect(response.body.count == 60_000)
            #expect(try await fixture.send("PUT", "/_sandbox/reports", #"{"bytes": 1}"#).status == 400)
        }
    }
}
