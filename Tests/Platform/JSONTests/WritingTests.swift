import Basics
import JSON
import Testing

@Suite struct JSONWriterTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func `writes members in order, compact`() {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("text", "a\"\\/\n\r\t\u{8}\u{C}\u{1}\u{1f}\u{7f}é😀")
            writer.field("number", 42)
            writer.field("large", UInt64.max)
            writer.field("flag", true)
            writer.field("missing", orNull: nil)
            writer.field("left out", ifPresent: nil)
            writer.field("present", ifPresent: "p")
            writer.array("list") { writer in
                writer.value(1)
                writer.array { _ in }
                writer.object { _ in }
                writer.null()
                writer.value(-0.5)
            }
            writer.object("inner") { writer in writer.field("tree", ["a", 1, nil, ["b": false]]) }
        }
        let expected =
            #"{"text":"a\"\\/\n\r\t\b\f\u0001\u001f"# + "\u{7f}é😀"
            + #"","number":42,"large":18446744073709551615,"flag":true,"missing":null,"present":"p","#
            + #""list":[1,[],{},null,-0.5],"inner":{"tree":["a",1,null,{"b":false}]}}"#
        #expect(text(writer.bytes) == expected)
    }

    @Test func `lays out like Plaid, byte for byte`() {
        let body: JSONValue = [
            "error": nil,
            "item_id": "xVDbz8kaZRf69Nd18x81I3y83kZaxEF688545",
            "new_transactions": 0,
            "webhook_code": "DEFAULT_UPDATE",
            "webhook_type": "TRANSACTIONS",
        ]
        let expected = """
            {
              "error": null,
              "item_id": "xVDbz8kaZRf69Nd18x81I3y83kZaxEF688545",
              "new_transactions": 0,
              "webhook_code": "DEFAULT_UPDATE",
              "webhook_type": "TRANSACTIONS"
            }
            """
        #expect(text(body.serialized(pretty: true)) == expected)
        #expect(body.serialized(pretty: true).count == 168)
    }

    @Test func `indents nested containers and keeps empty ones on one line`() {
        let value: JSONValue = ["a": [1, ["b": [:]]], "c": []]
        let expected = """
            {
              "a": [
                1,
                {
                  "b": {}
                }
              ],
              "c": []
            }
            """
        #expect(text(value.serialized(pretty: true)) == expected)
    }

    @Test(arguments: Corpus.accepted)
    func `what was read is written so that it reads the same`(_ sample: Sample) throws {
        let value = try JSON.parse(sample.bytes)
        #expect(try JSON.parse(value.serialized()) == value)
        #expect(try JSON.parse(value.serialized(pretty: true)) == value)
    }

    static let numbers: [Double] = [
        0.1, 1e20, 1e-7, .leastNonzeroMagnitude, .greatestFiniteMagnitude, -0.0, 4956.125, 123_456_789_012_345_680,
    ]

    @Test(arguments: numbers)
    func `doubles read back as the same number`(_ number: Double) throws {
        let value = JSONValue.double(number)
        #expect(try JSON.parse(value.serialized()) == value)
    }

    @Test(arguments: [Double.infinity, -.infinity, .nan])
    func `what JSON has no number for becomes null`(_ number: Double) {
        #expect(text(JSONValue.double(number).serialized()) == "null")
    }
}
