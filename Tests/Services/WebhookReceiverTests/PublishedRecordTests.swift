import Basics
import Cryptography
import HTTPClient
import PipelineEvents
import PlaidAPI
import Testing

@testable import Kafka
@testable import WebhookReceiver

@Suite struct PublishedRecordTests {
    @Test func `the record is the body byte for byte, under the user, with the token and the time of receipt`()
        async throws
    {
        let wall = Timestamp(microsecondsSinceEpoch: 1_795_230_000_123_456)
        try await Receiver.with(.init(wall: WallClock { wall })) { receiver, signer in
            let body = Array(
                "  {\"webhook_type\":\"CHECK_REPORT\",\n\"webhook_code\" : \"X\", \"user_id\":\"usr_é\"}\r\n".utf8
            )
            let token = try signer.token(body, issuedAt: wall)
            let traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            let answer = try await receiver.send(
                body,
                tokens: [token],
                headers: [("Content-Type", "application/json"), ("traceparent", .plain(traceParent))]
            )
            #expect(answer.status == 200)
            let record = try #require(receiver.sink.records.first)
            #expect(record.value?.array == body)
            #expect(record.topic == "t.plaid.webhooks.check-report")
            #expect(record.keyText == "usr_é")
            let id = EventIdentity.webhook(
                environment: .sandbox,
                bodyDigest: SHA256.hash(body),
                issuedAt: wall.seconds
            )
            let expected = [
                "ce_specversion": "1.0", "ce_id": id, "ce_type": "com.plaid.webhook.CHECK_REPORT.X",
                "ce_source": "/plaid/sandbox/webhooks", "ce_subject": "usr_é", "ce_time": wall.rfc3339,
                "content-type": "application/json", "traceparent": traceParent, "plaid-verification": token,
                "received-at": wall.rfc3339(fractionDigits: 6),
            ]
            let found = Dictionary(record.headers.map { ($0.name, String(decoding: $0.value ?? [], as: UTF8.self)) }) {
                first,
                _ in
                Issue.record("a header stands twice")
                return first
            }
            #expect(found == expected)
        }
    }

    static let routes: [(type: String, ids: String, topic: String, key: String?)] = [
        ("CHECK_REPORT", #""user_id":"u","item_id":"i""#, "check-report", "u"),
        ("CRA_REPORT", #""user_id":"u""#, "check-report", "u"),
        ("USER_CHECK_REPORT", #""user_id":"u""#, "check-report", "u"),
        ("CHECK_REPORT", #""item_id":"i""#, "check-report", nil),
        ("ITEM", #""item_id":"i","user_id":"u""#, "item", "i"), ("TRANSACTIONS", #""item_id":"i""#, "item", "i"),
        ("ITEM", #""item_id":null"#, "item", nil), ("ITEM", #""item_id":"""#, "item", nil),
        ("LINK", #""user_id":"u","link_token":"l""#, "link", "u"), ("LINK", #""link_token":"l""#, "link", "l"),
        ("LAYER", #""link_token":"l""#, "link", "l"),
        ("IDENTITY", #""item_id":"i""#, "other", "i"),
        ("NEVER_HEARD_OF", #""user_id":"u","item_id":"i""#, "other", "u"),
        ("check_report", #""x":1"#, "other", nil), ("ITEM ", #""x":1"#, "other", nil),
        ("\\u0049TEM", #""item_id":"i""#, "item", "i"),
    ]

    @Test(arguments: routes)
    func `topic and key follow the type`(_ route: (type: String, ids: String, topic: String, key: String?)) async throws
    {
        try await Receiver.with { receiver, signer in
            let body = #"{"webhook_type":"\#(route.type)","webhook_code":"C",\#(route.ids)}"#
            #expect(try await receiver.send(body, by: signer).status == 200)
            let record = try #require(receiver.sink.records.first)
            #expect(record.topic == "t.plaid.webhooks.\(route.topic)")
            #expect(record.keyText == route.key)
            #expect(record.header("ce_subject") == route.key)
        }
    }

    @Test func `the same delivery twice has one id, a re-signed one another`() async throws {
        try await Receiver.with { receiver, signer in
            let body = Array(readyBody.utf8)
            let now = WallClock.system.now()
            let first = try signer.token(body, issuedAt: now)
            // ECDSA signs with fresh randomness: another spelling of the same claims.
            let again = try signer.token(body, issuedAt: now)
            let later = try signer.token(body, issuedAt: now + .seconds(1))
            for token in [first, first, again, later] {
                #expect(try await receiver.send(body, tokens: [token]).status == 200)
            }
            let ids = receiver.sink.records.map { $0.header("ce_id") }
            #expect(ids[0] == ids[1])
            #expect(ids[0] == ids[2])
            #expect(ids[0] != ids[3])
        }
    }

    @Test func `a malformed traceparent is left out`() async throws {
        try await Receiver.with { receiver, signer in
            let body = Array(readyBody.utf8)
            let token = try signer.token(body, issuedAt: WallClock.system.now())
            let answer = try await receiver.send(body, tokens: [token], headers: [("traceparent", "00-zz")])
            #expect(answer.status == 200)
            #expect(receiver.sink.records.first?.header("traceparent") == nil)
        }
    }

    @Test func `Plaid's own webhook is accepted by its own clock, and refused as stale by today's`() async throws {
        let then = Genuine.issuedAt + .seconds(2)
        try await Receiver.with(.init(wall: WallClock { then })) { receiver, _ in
            receiver.keys.set(Genuine.keyID, .key(x: Genuine.x, y: Genuine.y))
            #expect(try await receiver.send(Genuine.body, tokens: [Genuine.token]).status == 200)
            let record = try #require(receiver.sink.records.first)
            #expect(record.topic == "t.plaid.webhooks.item")
            #expect(record.value?.array == Genuine.body)
            #expect(record.header("plaid-verification") == Genuine.token)
            #expect(receiver.keys.asked == [Genuine.keyID])
        }
        try await Receiver.with { receiver, signer in
            receiver.keys.set(Genuine.keyID, .key(x: Genuine.x, y: Genuine.y))
            #expect(try await receiver.send(readyBody, by: signer).status == 200)
            let answer = try await receiver.send(Genuine.body, tokens: [Genuine.token])
            #expect(answer.status == 401)
            #expect(receiver.refused(.stale) == 1)
        }
    }

    @Test func `nothing of a body or a token reaches the log`() async throws {
        try await Receiver.with { receiver, signer in
            receiver.sink.set(.fail(.init(.transport, "down")))
            receiver.keys.set("dead", .unreachable)
            _ = try await receiver.send(readyBody, by: signer)
            _ = try await receiver.send(readyBody, by: Signer(keyID: "dead"))
            let lines = receiver.lines.withLock { $0 }
            #expect(lines.count == 2)
            #expect(!lines.contains { $0.contains("usr_1") || $0.contains("eyJ") || $0.contains("hush") })
        }
    }
}
