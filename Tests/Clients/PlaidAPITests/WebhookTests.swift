import Basics
import JSON
import PlaidAPI
import Testing

@Suite struct WebhookTests {
    @Test func `reads the routing fields and ignores the rest`() throws {
        let body = Bytes(
            utf8: #"{"webhook_type":"LINK","webhook_code":"SESSION_FINISHED","status":"SUCCESS","link_token":"l-1","#
                + #""item_id":"k1","user_id":"usr_1","environment":"sandbox","new":{"user_id":[1]}}"#
        )
        let webhook = try Webhook.decode(body)
        #expect(webhook.type == "LINK")
        #expect(webhook.code == "SESSION_FINISHED")
        #expect(webhook.userID == "usr_1")
        #expect(webhook.itemID == "k1")
        #expect(webhook.linkToken == "l-1")
        #expect(webhook.environment == "sandbox")
        #expect(webhook.belongs(to: .sandbox))
        #expect(!webhook.belongs(to: .production))
    }

    @Test func `takes unknown types and codes, absent fields and Plaid's own bytes`() throws {
        let webhook = try Webhook.decode(Bytes(utf8: #"{"webhook_type":"NEW_TYPE","webhook_code":"NEW_CODE"}"#))
        #expect(webhook.type == "NEW_TYPE")
        #expect(webhook.userID == nil)
        #expect(webhook.belongs(to: .production))
        let genuine = try Webhook.decode(Bytes(Genuine.body))
        #expect(genuine.code == "DEFAULT_UPDATE")
        #expect(genuine.itemID == "xVDbz8kaZRf69Nd18x81I3y83kZaxEF688545")
    }

    static let refused: [(String, WebhookRefusal)] = [
        ("", .notJSON(.notJSON(.empty))),
        ("[]", .notJSON(.notJSON(.notAnObject))),
        (#"{"webhook_type":"A","webhook_code":"B""#, .notJSON(.notJSON(.structure))),
        (#"{"webhook_type":"A","webhook_code":"B","x":"\ud83d"}"#, .notJSON(.lawfulButUnreadable)),
        (#"{"webhook_code":"B"}"#, .missing(field: "webhook_type")),
        (#"{"webhook_type":"A"}"#, .missing(field: "webhook_code")),
        (#"{"webhook_type":"","webhook_code":"B"}"#, .missing(field: "webhook_type")),
        (#"{"webhook_type":null,"webhook_code":"B"}"#, .missing(field: "webhook_type")),
        (#"{"webhook_type":1,"webhook_code":"B"}"#, .notAString(field: "webhook_type")),
        (#"{"webhook_type":"A","webhook_code":["B"]}"#, .notAString(field: "webhook_code")),
        (#"{"webhook_type":"A","webhook_code":"B","user_id":7}"#, .notAString(field: "user_id")),
        (#"{"webhook_type":"A","webhook_code":"B","item_id":{}}"#, .notAString(field: "item_id")),
        (#"{"webhook_type":"A","webhook_code":"B","link_token":true}"#, .notAString(field: "link_token")),
        (#"{"webhook_type":"A","webhook_code":"B","environment":[]}"#, .notAString(field: "environment")),
        (#"{"webhook_type":"A","webhook_type":"A","webhook_code":"B"}"#, .repeated(field: "webhook_type")),
        (#"{"webhook_type":"A","webhook_code":"B","webhook_code":"C"}"#, .repeated(field: "webhook_code")),
        (#"{"webhook_type":"A","webhook_code":"B","user_id":"u","user_id":"v"}"#, .repeated(field: "user_id")),
        (#"{"webhook_type":"A","webhook_code":"B","item_id":"u","item_id":null}"#, .repeated(field: "item_id")),
        (
            #"{"webhook_type":"A","webhook_code":"B","environment":"sandbox","environment":"sandbox"}"#,
            .repeated(field: "environment")
        ),
        (
            #"{"webhook_type":"A","webhook_code":"B","user_id":""# + String(repeating: "u", count: 1_025) + #""}"#,
            .tooLong(field: "user_id")
        ),
    ]

    @Test(arguments: refused)
    func `refuses what could be read in two ways`(_ text: String, _ expected: WebhookRefusal) {
        #expect(throws: expected) { try Webhook.decode(Bytes(utf8: text)) }
    }

    @Test func `an absent, null or empty optional field is none`() throws {
        let text = #"{"webhook_type":"A","webhook_code":"B","user_id":null,"item_id":"","environment":null}"#
        let webhook = try Webhook.decode(Bytes(utf8: text))
        #expect(webhook.userID == nil)
        #expect(webhook.itemID == nil)
        #expect(webhook.belongs(to: .sandbox))
    }
}

@Suite struct CheckReportSignalTests {
    private func signal(_ code: String, type: String = "CHECK_REPORT", _ more: String = "") throws -> CheckReportSignal
    {
        try CheckReportSignal.decode(
            Bytes(utf8: #"{"webhook_type":"\#(type)","webhook_code":"\#(code)","user_id":"u"\#(more)}"#)
        )
    }

    @Test(arguments: ["USER_CHECK_REPORT_READY", "CHECK_REPORT_READY"])
    func `reads READY of both families`(_ code: String) throws {
        let lists = #","successful_products":["cra_base_report","cra_new"],"failed_products":["cra_partner_insights"]"#
        let expected = CheckReportSignal.ready(
            successful: ["cra_base_report", "cra_new"],
            failed: ["cra_partner_insights"]
        )
        #expect(try signal(code, lists) == expected)
        #expect(try signal(code) == .ready(successful: nil, failed: nil))
        #expect(try signal(code, #","successful_products":null"#) == .ready(successful: nil, failed: nil))
        #expect(try signal(code, #","successful_products":[]"#) == .ready(successful: [], failed: nil))
        #expect(try signal(code, #","successful_products":"cra_base_report""#) == .ready(successful: nil, failed: nil))
        #expect(try signal(code, #","successful_products":["a",1,null]"#) == .ready(successful: ["a"], failed: nil))
    }

    @Test(arguments: ["USER_CHECK_REPORT_FAILED", "CHECK_REPORT_FAILED"])
    func `reads FAILED of both families, old and new`(_ code: String) throws {
        #expect(try signal(code) == .failed([]))
        #expect(try signal(code, #","failed_products":["cra_base_report"],"error":{}"#) == .failed(["cra_base_report"]))
    }

    @Test func `knows the failed upgrade and passes everything else`() throws {
        #expect(try signal("UPGRADE_FAILED", #","item_ids":["k1"]"#) == .upgradeFailed)
        #expect(try signal("CHECK_REPORT_NEW") == .unknown)
        #expect(try signal("CRA_REPORT_READY", type: "CRA_REPORT") == .unknown)
        #expect(try signal("CHECK_REPORT_READY", type: "ITEM") == .unknown)
    }

    @Test func `refuses what is no webhook`() {
        #expect(throws: WebhookRefusal.self) { try CheckReportSignal.decode(Bytes(utf8: "{}")) }
    }
}

@Suite struct ReportFactsTests {
    private func facts(_ product: ReportProduct, _ report: String, _ more: String = "") throws -> ReportFacts {
        try ReportFacts.read(product, Bytes(utf8: #"{"report":\#(report),"request_id":"q"\#(more)}"#))
    }

    @Test func `reads a base report by its own names`() throws {
        let facts = try ReportFacts.read(.baseReport, Bytes(utf8: Fixture.baseReport))
        #expect(facts.hasReport)
        #expect(facts.reportID == "rB7kQ1zMxT")
        #expect(facts.generatedAtText == "2026-11-20T03:04:05.123456789Z")
        #expect(facts.generatedAt == Timestamp(rfc3339: "2026-11-20T03:04:05.123456789Z"))
        #expect(facts.clientReportID == "loan-88231-r2")
        #expect(facts.identity(userID: "usr_1") == "rB7kQ1zMxT")
        #expect(!facts.fraudAlert)
        #expect(facts.strict)
    }

    @Test(arguments: [ReportProduct.incomeInsights, .partnerInsights])
    func `identifies a report without an id by user and time`(_ product: ReportProduct) throws {
        let time = "2026-11-20T03:04:09.1Z"
        let generated = "generated:usr_1:\(time)"
        #expect(try facts(product, #"{"generated_time":"\#(time)"}"#).identity(userID: "usr_1") == generated)
        let null = #"{"report_id":null,"generated_time":"\#(time)"}"#
        #expect(try facts(product, null).identity(userID: "usr_1") == generated)
        for report in [
            "{}", #"{"report_id":7,"generated_time":"\#(time)"}"#, #"{"report_id":"","generated_time":"\#(time)"}"#,
            #"{"report_id":"a\u0000","generated_time":"\#(time)"}"#, #"{"generated_time":5}"#,
            #"{"report_id":"\ud83d","generated_time":"\#(time)"}"#,
            #"{"report_id":"a","report_id":"b","generated_time":"\#(time)"}"#, #"{"date_generated":"\#(time)"}"#,
        ] {
            let facts = try facts(product, report)
            #expect(facts.hasReport)
            #expect(facts.identity(userID: "usr_1") == nil, "\(report)")
        }
    }

    @Test func `a base report always has an id`() throws {
        #expect(try facts(.baseReport, #"{"date_generated":"2026-11-20T03:04:05Z"}"#).identity(userID: "u") == nil)
    }

    @Test func `an unreadable time keeps its text`() throws {
        let facts = try facts(.baseReport, #"{"report_id":"r","date_generated":"yesterday"}"#)
        #expect(facts.generatedAtText == "yesterday")
        #expect(facts.generatedAt == nil)
        #expect(facts.identity(userID: "u") == "r")
    }

    @Test(arguments: ReportProduct.allCases)
    func `sees the fraud alert in either place`(_ product: ReportProduct) throws {
        let alert = #"[{"warning_type":"x","warning_code":"USER_FRAUD_ALERT"}]"#
        let other = #"[{"warning_type":"x","warning_code":"IDENTITY_UNAVAILABLE"}]"#
        #expect(try facts(product, #"{"report_id":"r"}"#, #","warnings":\#(alert)"#).fraudAlert)
        #expect(try facts(product, #"{"report_id":"r","warnings":\#(alert)}"#).fraudAlert)
        #expect(try !facts(product, #"{"report_id":"r","warnings":\#(other)}"#, #","warnings":\#(other)"#).fraudAlert)
    }

    @Test func `flags bodies that a database's operators cannot read`() throws {
        #expect(try facts(.baseReport, #"{"report_id":"r","m":"a\u0000"}"#).strict == false)
        #expect(try facts(.baseReport, #"{"report_id":"r","m":"\ud83d"}"#).strict == false)
        #expect(try facts(.baseReport, #"{"report_id":"r","m":1e999}"#).strict == false)
        #expect(try facts(.baseReport, #"{"report_id":"r","m":"\ud83d\ude00"}"#).strict)
    }

    @Test func `tells that there is no report`() throws {
        for report in ["null", "[]", "7", #""r""#] { #expect(try facts(.incomeInsights, report).hasReport == false) }
        #expect(try ReportFacts.read(.incomeInsights, Bytes(utf8: "{}")).hasReport == false)
        #expect(throws: JSONRefusal.notJSON(.notAnObject)) {
            try ReportFacts.read(.incomeInsights, Bytes(utf8: "[]"))
        }
    }
}
