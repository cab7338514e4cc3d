// Whole requests with header fields of every kind: what reaches Kafka is genuine, once, and carries nothing of the
// sender's but what it should.

import Basics
import Cryptography
import HTTPServer
import PipelineEvents
import PlaidAPI
import Testing

@testable import Kafka
@testable import WebhookReceiver

@Suite struct RequestFuzzTests {
    /// Takes everything and keeps the last.
    private final class LastRecord: WebhookSink {
        private let kept = Locked<(record: ProducerRecord?, count: Int)>((nil, 0))

        func send(_ record: ProducerRecord, completion: @escaping @Sendable (Result<Delivery, KafkaError>) -> Void) {
            kept.withLock { $0 = (record, $0.count + 1) }
            completion(.success(Delivery(partition: 0, offset: 0)))
        }

        func take() -> (record: ProducerRecord?, count: Int) {
            kept.withLock { kept in
                defer { kept = (nil, 0) }
                return kept
            }
        }
    }

    private static let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    /// Header fields near an edge of the rules.
    static let corpus: [(String, String)] = [
        ("traceparent", trace), ("Traceparent", trace), ("traceparent", trace + "-extra"),
        ("traceparent", "ff" + trace.dropFirst(2)),
        ("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01"), ("traceparent", ""),
        ("tracestate", "a=b"),
        ("ce_id", "forged"), ("ce-id", "forged"), ("received-at", "1970-01-01T00:00:00Z"),
        ("Content-Type", "application/json"),
        ("plaid-verification-x", "a.b.c"), ("plaid_verification", "a.b.c"), ("X-Plaid-Verification", "a.b.c"), ("", ""),
        ("Authorization", "Bearer a"), ("Cookie", "plaid-verification=a"), ("x", "\u{80}\u{FF}é😀"), ("x", "a\tb"),
    ]
    private static let names = ["plaid-verification", "Plaid-Verification", "PLAID-VERIFICATION", "pLaId-VeRiFiCaTiOn"]
    private static let snippets: [[UInt8]] = ["-", "00", " ", "\t", "plaid-verification", ":", ",", "é", "\0", "\r\n"]
        .map {
            Array($0.utf8)
        }

    @Test(arguments: FuzzEffort.seeds)
    func `publishes the genuine request and no other, and none of its sender's headers`(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let (sink, keys, signer) = (LastRecord(), ScriptedKeys(), try Signer())
        let now = WallClock.system.now()
        keys.set(signer.keyID, .key(signer))
        keys.set(date: now)
        let service = ReceiverService.between(keys, sink, topics: Topics(prefix: "t."))
        let body = Array(readyBody.utf8)
        let token = try signer.token(body, issuedAt: now)
        let id = EventIdentity.webhook(environment: .sandbox, bodyDigest: SHA256.hash(body), issuedAt: now.seconds)
        var published = 0
        let rounds = FuzzEffort.rounds(share: 0.2)
        for round in 0..<rounds {
            var fields = Self.fields(&random)
            let tokens = random.pick([
                [token], [token], [token], [], [token, token], [token, "a.b.c"], [" \(token)\t"],
            ])
            let broken = String(decoding: mutated(Array(token.utf8), snippets: Self.snippets, &random), as: UTF8.self)
            let values = random.once(in: 4) ? [broken] : tokens
            for value in values {
                fields.insert((random.pick(Self.names), value), at: .random(in: 0...fields.count, using: &random))
            }
            let head = RequestHead(method: .post, path: ReceiverService.path, headers: fields)
            _ = service.head(head)
            let statuses = Locked<[Int]>([])
            let request = Request(
                head: head,
                body: Bytes(body),
                receivedAt: now,
                receivedMonotonic: MonotonicClock.system.now()
            )
            let decision = service.request(
                request,
                exchange: .detached(serial: UInt64(round + 1)) { answer in
                    statuses.withLock { $0.append(answer.status) }
                }
            )
            if case .answer(let answer) = decision { statuses.withLock { $0.append(answer.status) } }

            let (record, count) = sink.take()
            // Blanks around a field's value are no part of it.
            let isGenuine = values.count == 1 && values[0].trimmed == token
            let status = statuses.withLock { $0 }
            // Broken tokens may name keys that nobody knows, more of them than are asked for.
            let asExpected =
                isGenuine ? count == 1 && status == [200] : count == 0 && (status == [401] || status == [429])
            let sent = fields.filter { $0.0.lowercased() == "traceparent" }.map(\.1)
            if !asExpected
                || !(record.map { Self.isHonest($0, body: body, token: token, id: id, traces: sent) } ?? true)
            {
                Issue.record("seed \(seed), round \(round): \(status), \(count) records, of \(fields)")
                return
            }
            published += count
        }
        #expect(published > rounds / 4)
        #expect(keys.asked.count <= 1 + 10 + 10)
    }

    private static func fields(_ random: inout SeededGenerator) -> [(String, String)] {
        (0..<Int.random(in: 0...6, using: &random)).map { _ in
            let (name, value) = random.pick(corpus)
            if names.contains(name.lowercased()) || !random.once(in: 2) { return (name, value) }
            let changed = { (text: String, random: inout SeededGenerator) in
                String(decoding: mutated(Array(text.utf8), snippets: snippets, &random), as: UTF8.self)
            }
            let other = random.once(in: 3) ? changed(name, &random) : name
            // A change that spells the one name that counts would make a second token of it.
            return (other.lowercased() == names[0] ? "x" : other, changed(value, &random))
        }
    }

    private static func isHonest(
        _ record: ProducerRecord,
        body: [UInt8],
        token: String,
        id: String,
        traces: [String]
    ) -> Bool {
        let own = [
            "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "content-type", "ce_subject",
            "plaid-verification",
            "received-at",
        ]
        let trace = record.header("traceparent")
        // Where one is handed on, it is the first that was sent, and well-formed; its version is ours.
        let isTraceHonest =
            trace.map { trace in
                trace.count == 55 && trace.allSatisfy { $0.isHexDigit || $0 == "-" }
                    && traces.first.map { $0.lowercased().contains(trace.dropFirst(2).dropLast(2)) } == true
            } ?? true
        return record.topic == "t.plaid.webhooks.check-report" && record.value?.array == body
            && record.keyText == "usr_1"
            && record.header("plaid-verification") == token && record.header("ce_id") == id && isTraceHonest
            && record.headers.map(\.name).filter { $0 != "traceparent" }.sorted() == own.sorted()
            && record.header("ce_time") == record.header("received-at")
    }
}

extension String {
    fileprivate var trimmed: String {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        let tail = drop(while: isBlank).reversed().drop(while: isBlank)
        return String(tail.reversed())
    }
}
