import Basics
import CSimdjson
import JSON
import Testing

@Suite struct RoutingFieldsTests {
    static let names = ["webhook_type", "webhook_code", "user_id"]

    @Test func `finds the members in one pass and keeps their places`() throws {
        let body = Bytes(utf8: #"{"user_id":"usr_\u0031","x":{"webhook_type":"no"},"webhook_type":"ITEM"}"#)
        let fields = try JSON.routingFields(body, NameList(Self.names))
        #expect(fields == [.string("ITEM"), .absent, .string("usr_1")])
        let byName = try JSON.routingFields(body, names: Self.names)
        #expect(byName == ["webhook_type": .string("ITEM"), "user_id": .string("usr_1")])
    }

    @Test(arguments: [
        (#"{"user_id":"a","user_id":"b"}"#, RoutingField.repeated),
        (#"{"user_id":"a","user_id":"a"}"#, .repeated),
        (#"{"user_id":"a","x":1,"user_id":null,"user_id":2}"#, .repeated),
        (#"{"user_id":"a","us\u0065r_id":"b"}"#, .repeated),
        (#"{"user_id":null}"#, .other(.null)),
        (#"{"user_id":1}"#, .other(.number)),
        (#"{"user_id":1.5}"#, .other(.number)),
        (#"{"user_id":18446744073709551615}"#, .other(.number)),
        (#"{"user_id":true}"#, .other(.bool)),
        (#"{"user_id":["a"]}"#, .other(.array)),
        (#"{"user_id":{"user_id":"a"}}"#, .other(.object)),
        (#"{"User_id":"a"}"#, .absent),
        (#"{"user_id\u0000":"a"}"#, .absent),
        (#"{"user_id":""}"#, .string("")),
        (#"{"user_id":"a\u0000b"}"#, .string("a\0b")),
        (#"{"us\u0065r_id":"a"}"#, .string("a")),
    ])
    func `tells strings from everything else`(_ text: String, _ expected: RoutingField) throws {
        #expect(try JSON.routingFields(Bytes(utf8: text), NameList(Self.names))[2] == expected)
    }

    @Test(arguments: ["[]", "1", "null", #""text""#, #"[{"user_id":"a"}]"#])
    func `refuses a document that is no object`(_ text: String) {
        #expect(throws: JSONRefusal.notJSON(.notAnObject)) {
            try JSON.routingFields(Bytes(utf8: text), names: Self.names)
        }
    }

    @Test func `refuses what is unreadable anywhere in the body`() {
        #expect(throws: JSONRefusal.lawfulButUnreadable) {
            try JSON.routingFields(Bytes(utf8: #"{"user_id":"a","x":["\ud83d"]}"#), names: Self.names)
        }
    }
}

@Suite struct ReportFactsTests {
    static let query = ReportQuery(
        paths: [
            ["report", "report_id"], ["report", "date_generated"], ["report"], ["request_id"], ["report", "none"],
        ],
        listings: [
            ReportQuery.Listing(path: ["warnings"], member: "warning_code", text: "USER_FRAUD_ALERT"),
            ReportQuery.Listing(path: ["report", "warnings"], member: "warning_code", text: "USER_FRAUD_ALERT"),
        ]
    )

    private func answers(_ text: String) throws -> ReportAnswers {
        try JSON.reportFacts(Bytes(utf8: text), query: Self.query)
    }

    @Test func `reads the values of a report`() throws {
        let answers = try answers(Corpus.report)
        #expect(
            answers.values == [
                .string("rB7kQ1zMxT"), .string("2026-11-20T03:04:05.123456789Z"), .other(.object), .string("bQ3"),
                .absent,
            ]
        )
        #expect(answers.listings == [false, false])
        #expect(answers.isStrict)
    }

    @Test(arguments: [
        (#"{"warnings":[{"warning_code":"USER_FRAUD_ALERT"}]}"#, [true, false]),
        (#"{"warnings":[{"warning_code":"X"},{"a":1,"warning_code":"USER_FRAUD_ALERT"}]}"#, [true, false]),
        (#"{"report":{"warnings":[{"warning_code":"USER_FRAUD_ALERT"}]}}"#, [false, true]),
        (#"{"warnings":[],"warnings":[{"warning_code":"USER_FRAUD_ALERT"}]}"#, [true, false]),
        (#"{"warnings":[{"warning_code":"X","warning_code":"USER_FRAUD_ALERT"}]}"#, [true, false]),
        (#"{"warnings":[{"warning_code":["USER_FRAUD_ALERT"]},"USER_FRAUD_ALERT",null]}"#, [false, false]),
        (#"{"warnings":{"warning_code":"USER_FRAUD_ALERT"}}"#, [false, false]),
        (#"{"warnings":[{"warning_code":"user_fraud_alert"}]}"#, [false, false]),
        (#"{"report":{"items":[{"warnings":[{"warning_code":"USER_FRAUD_ALERT"}]}]}}"#, [false, false]),
        (#"[{"warning_code":"USER_FRAUD_ALERT"}]"#, [false, false]),
    ])
    func `looks into arrays of objects`(_ text: String, _ expected: [Bool]) throws {
        #expect(try answers(text).listings == expected)
    }

    @Test(arguments: [
        (#"{"report":{"report_id":"a"},"report":{"report_id":"b"}}"#, RoutingField.repeated),
        (#"{"report":{"report_id":"a","report_id":"b"}}"#, .repeated),
        (#"{"report":{"report_id":7}}"#, .other(.number)),
        (#"{"report":{"report_id":null}}"#, .other(.null)),
        (#"{"report":[]}"#, .absent),
        (#"{"report":null}"#, .absent),
        (#"[]"#, .absent),
    ])
    func `tells a missing, repeated or mistyped value`(_ text: String, _ expected: RoutingField) throws {
        #expect(try answers(text).values[0] == expected)
    }

    @Test(arguments: [
        (#"{"name":"a\u0000b"}"#, false),
        (#"{"a\u0000":1}"#, false),
        (#"{"name":"a\\u0000b"}"#, true),
        (#"{"name":"a\\\u0000b"}"#, false),
        (#"{"name":"\\\\u0000"}"#, true),
        (#"{"name":"\\u0000\\\\\u0000"}"#, false),
        (#"{"name":"\u0001\u00000"}"#, false),
        (#"{"name":"u0000"}"#, true),
        (#"{"name":"\u0001\u00e9"}"#, true),
    ])
    func `sees the escape of U+0000 and nothing like it`(_ text: String, _ isStrict: Bool) throws {
        #expect(try answers(text).isStrict == isStrict)
    }

    @Test(arguments: Corpus.unreadable)
    func `reads around what the parser refuses`(_ sample: Sample) throws {
        let text = """
            {"report":{"report_id":"r-1","merchant":\(String(decoding: sample.bytes, as: UTF8.self)),\
            "date_generated":"2026-11-20T03:04:05Z"},"warnings":[{"warning_code":"USER_FRAUD_ALERT"}],"request_id":"q"}
            """
        let body = Bytes(utf8: text)
        let answers = try JSON.reportFacts(body, query: Self.query)
        #expect(!answers.isStrict)
        #expect(answers.values[0] == .string("r-1"))
        #expect(answers.values[1] == .string("2026-11-20T03:04:05Z"))
        #expect(answers.values[3] == .string("q"))
        #expect(answers.listings == [true, false])
        #expect(body == Bytes(utf8: text), "the body itself must stay as it came")
    }

    @Test func `an id that had to be mended is no id`() throws {
        let answers = try answers(#"{"report":{"report_id":"r\ud83d","date_generated":"t"}}"#)
        #expect(answers.values[0] == .other(.unreadableString))
        #expect(answers.values[1] == .string("t"))
        // A replacement character that was sent as one is text like any other.
        #expect(try self.answers("{\"report\":{\"report_id\":\"r\u{FFFD}\"}}").values[0] == .string("r\u{FFFD}"))
    }

    @Test func `a large report is read, its parser thrown away and the thread's own left small`() async throws {
        let transaction = #"{"id":"t","amount":-1520.33,"pending":false,"name":"ACME PAYROLL"},"#
        var text = Array(#"{"report":{"report_id":"big","date_generated":"t","items":["#.utf8)
        while text.count < 8 << 20 { text.append(contentsOf: transaction.utf8) }
        text.append(contentsOf: #"0]},"warnings":[{"warning_code":"USER_FRAUD_ALERT"}],"request_id":"q"}"#.utf8)
        let body = Bytes(text)
        let facts = try JSON.reportFacts(body, query: Self.query)
        #expect(facts.values[0] == .string("big"))
        #expect(facts.listings == [true, false])
        #expect(facts.isStrict)
        #expect(csimdjson_kept_capacity() <= JSON.smallBytes)

        let threads = LargeBodies(threads: 1)
        #expect(try await JSON.reportFacts(body, query: Self.query, on: threads) == facts)
        let cut = Bytes(Array(text.dropLast(3)))
        await #expect(throws: JSONRefusal.self) { try await JSON.reportFacts(cut, query: Self.query, on: threads) }
        threads.close()
        await #expect(throws: LargeBodies.Refusal.closed) { try await threads.run { 1 } }
    }

    @Test func `more large reports at once than there are seats all finish`() async throws {
        let body = Bytes([UInt8](repeating: UInt8(ascii: " "), count: JSON.smallBytes) + Array(Corpus.report.utf8))
        let threads = LargeBodies(threads: 4)
        try await withThrowingTaskGroup(of: ReportAnswers.self) { group in
            for _ in 0..<24 { group.addTask { try await JSON.reportFacts(body, query: Self.query, on: threads) } }
            for try await answers in group { #expect(answers.values[0] == .string("rB7kQ1zMxT")) }
        }
        threads.close()
    }

    @Test func `refuses a body over the limit`() {
        let body = Bytes([UInt8](repeating: UInt8(ascii: " "), count: JSON.mostBytes + 1))
        #expect(throws: JSONRefusal.tooLarge) { try JSON.reportFacts(body, query: Self.query) }
    }
}
