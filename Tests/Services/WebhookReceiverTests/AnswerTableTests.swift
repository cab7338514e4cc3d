import Basics
import Cryptography
import HTTPClient
import HTTPServer
import PlaidAPI
import Testing

@testable import Kafka
@testable import WebhookReceiver

@Suite struct AnswerTableTests {
    @Test func `200 with an empty body once the broker has it`() async throws {
        try await Receiver.with { receiver, signer in
            let answer = try await receiver.send(readyBody, by: signer)
            #expect(answer.status == 200)
            #expect(answer.body.isEmpty)
            #expect(receiver.sink.records.count == 1)
            #expect(receiver.acknowledged == 1)
        }
    }

    @Test func `200 comes after the broker's word and not before`() async throws {
        try await Receiver.with { receiver, signer in
            receiver.sink.set(.hold)
            async let answer = receiver.send(readyBody, by: signer)
            let complete = try await receiver.sink.held.next("the record")
            #expect(receiver.acknowledged == 0)
            complete(.success(Delivery(partition: 3, offset: 9)))
            #expect(try await answer.status == 200)
            #expect(receiver.acknowledged == 1)
        }
    }

    // MARK: 400

    static let unusable: [(String, Answer.Unusable)] = [
        ("", .notJSON), ("{", .notJSON), ("[]", .notJSON), ("\"text\"", .notJSON), ("null", .notJSON),
        (#"{"webhook_type":"ITEM","webhook_code":"ERROR"} x"#, .notJSON),
        ("{}", .missingField), (#"{"webhook_type":"ITEM"}"#, .missingField),
        (#"{"webhook_code":"ERROR"}"#, .missingField),
        (#"{"webhook_type":"","webhook_code":"ERROR"}"#, .missingField),
        (#"{"webhook_type":"ITEM","webhook_code":7}"#, .fieldType),
        (#"{"webhook_type":null,"webhook_code":"ERROR"}"#, .missingField),
        (#"{"webhook_type":"ITEM","webhook_code":"\#(String(repeating: "A", count: 1_025))"}"#, .fieldTooLong),
        (#"{"webhook_type":"ITEM","webhook_code":"ERROR","item_id":{}}"#, .fieldType),
        (#"{"webhook_type":"ITEM","webhook_code":"ERROR","user_id":[]}"#, .fieldType),
        (#"{"webhook_type":"ITEM","webhook_code":"ERROR","environment":1}"#, .fieldType),
        (#"{"webhook_type":"ITEM","webhook_code":"A","webhook_code":"B"}"#, .repeatedField),
        (#"{"webhook_type":"ITEM","webhook_code":"A","user_id":"u","user_id":"u"}"#, .repeatedField),
        (#"{"webhook_type":"ITEM","webhook_code":"A","item_id":null,"item_id":"i"}"#, .repeatedField),
        (
            #"{"webhook_type":"ITEM","webhook_code":"A","environment":"sandbox","environment":"sandbox"}"#,
            .repeatedField
        ),
        (#"{"webhook_type":"ITEM","webhook_code":"A","environment":"production"}"#, .otherEnvironment),
        (#"{"webhook_type":"ITEM","webhook_code":"A","environment":"Sandbox"}"#, .otherEnvironment),
    ]

    @Test func `400 for a genuine webhook that cannot be used, whatever is wrong`() async throws {
        try await Receiver.with { receiver, signer in
            var expected: [Answer.Unusable: Double] = [:]
            for (body, reason) in Self.unusable {
                let answer = try await receiver.send(body, by: signer)
                expected[reason, default: 0] += 1
                #expect(answer.status == 400, "\(body)")
                #expect(receiver.unusable(reason) == expected[reason], "\(body)")
                #expect(answer.retryAfter == nil)
            }
            #expect(Set(expected.keys) == Set(Answer.Unusable.allCases))
            #expect(receiver.sink.records.isEmpty)
        }
    }

    @Test func `400 for bytes that are not UTF-8`() async throws {
        try await Receiver.with { receiver, signer in
            let body = Array(#"{"webhook_type":"ITEM","webhook_code":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8)
            let token = try signer.token(body, issuedAt: WallClock.system.now())
            #expect(try await receiver.send(body, tokens: [token]).status == 400)
            #expect(receiver.unusable(.notJSON) == 1)
        }
    }

    @Test func `an environment that is absent or null is fine`() async throws {
        try await Receiver.with { receiver, signer in
            for field in ["", #","environment":null"#, #","environment":"sandbox""#] {
                let body = #"{"webhook_type":"ITEM","webhook_code":"A"\#(field)}"#
                let answer = try await receiver.send(body, by: signer)
                #expect(answer.status == 200)
            }
        }
    }

    // MARK: 401

    @Test func `401 for every reason, and the answers cannot be told apart`() async throws {
        try await Receiver.with { receiver, signer in
            let now = WallClock.system.now()
            let body = Array(readyBody.utf8)
            let good = try signer.token(body, issuedAt: now)
            let other = try Signer()
            let expired = try Signer(keyID: "expired")
            let unfit = try Signer(keyID: "unfit")
            let unknown = try Signer(keyID: "unknown")
            receiver.keys.set("expired", .key(expired, expiredAt: now.seconds - 1))
            receiver.keys.set("unfit", .key(unfit, use: "enc"))
            // Before the first answer of Plaid's a wrong age decides nothing.
            #expect(try await receiver.send(readyBody, by: signer).status == 200)

            let payload = signer.payload(body, issuedAt: now)
            func token(_ header: String) throws -> String { try signer.token(header: header, payload: payload) }
            let cases: [(BadReason, [String])] = [
                (.missingToken, []), (.missingToken, [""]), (.severalTokens, [good, good]),
                (.tokenTooLong, [good + String(repeating: "A", count: 2_048)]),
                (.malformedToken, ["nonsense"]), (.malformedToken, [good + "="]), (.malformedToken, [good + ".x"]),
                (.malformedHeader, [try token("[]")]),
                (.malformedHeader, [try token(#"{"alg":"ES256","alg":"ES256","kid":"kid-1"}"#)]),
                (.wrongAlgorithm, [try token(#"{"alg":"none","kid":"kid-1"}"#)]),
                (.wrongAlgorithm, [try token(#"{"alg":"HS256","kid":"kid-1"}"#)]),
                (.forbiddenParameter, [try token(#"{"alg":"ES256","kid":"kid-1","jwk":{}}"#)]),
                (.malformedKeyID, [try token(#"{"alg":"ES256","kid":"../x"}"#)]),
                (.malformedClaims, [try signer.token(header: signer.header, payload: #"{"iat":"1"}"#)]),
                (.bodyMismatch, [try signer.token(Array("{}".utf8), issuedAt: now)]),
                (.stale, [try signer.token(body, issuedAt: now - .seconds(310))]),
                (.fromTheFuture, [try signer.token(body, issuedAt: now + .seconds(120))]),
                (.unknownKey, [try unknown.token(body, issuedAt: now)]),
                (.expiredKey, [try expired.token(body, issuedAt: now)]),
                (.badSignature, [try other.token(body, issuedAt: now)]),
                // A key that is not for webhooks is as good as none.
                (.unknownKey, [try unfit.token(body, issuedAt: now)]),
            ]
            var seen: [BadReason: Double] = [:]
            var answers: Set<String> = []
            for (reason, tokens) in cases {
                let answer = try await receiver.send(body, tokens: tokens)
                seen[reason, default: 0] += 1
                #expect(answer.status == 401, "\(reason)")
                #expect(receiver.refused(reason) == seen[reason], "\(reason)")
                // Whether the connection stays depends on how the request was written, not on the verdict.
                let headers = answer.headers.map { "\($0.name.lowercased()): \($0.value)" }
                    .filter { !$0.hasPrefix("date:") && !$0.hasPrefix("connection:") }.sorted()
                answers.insert(headers.joined(separator: "\n") + "\n\n" + (answer.body.string() ?? "?"))
            }
            #expect(answers.count == 1, "\(answers)")
            #expect(Set(seen.keys) == Set(BadReason.allCases).subtracting([.unfitKey]))
            #expect(receiver.sink.records.count == 1)
        }
    }

    @Test func `the signature is judged before the body is read`() async throws {
        try await Receiver.with { receiver, signer in
            let other = try Signer()
            let body = Array("not JSON".utf8)
            let forged = try other.token(body, issuedAt: WallClock.system.now())
            #expect(try await receiver.send(body, tokens: [forged]).status == 401)
            #expect(receiver.unusable(.notJSON) == 0)
        }
    }

    // MARK: 404, 405, 413, 415

    @Test func `404, 405 with Allow, 413 and 415 come before any token`() async throws {
        try await Receiver.with { receiver, _ in
            #expect(try await receiver.send([], tokens: [], path: "/").status == 404)
            #expect(try await receiver.send([], tokens: [], path: "/webhooks/plaid/").status == 404)
            #expect(try await receiver.send([], tokens: [], path: "/Webhooks/plaid").status == 404)
            #expect(try await receiver.send([], tokens: [], path: "/webhooks/plaid?a=b").status == 401)
            for method in ["GET", "PUT", "DELETE", "PATCH"] {
                let answer = try await receiver.send([], tokens: [], method: method)
                #expect(answer.status == 405)
                #expect(answer.header("allow") == "POST")
            }
            #expect(try await receiver.send([], tokens: [], path: "/health/live").status == 405)
            let long = [UInt8](repeating: 0x20, count: Receiver.bodyLimit + 1)
            #expect(try await receiver.send(long, tokens: []).status == 413)
            #expect(try await receiver.send(Array(long.dropLast()), tokens: []).status == 401)
            let media: [([(name: String, value: HeaderValue)], Int)] = [
                ([("Content-Type", "text/plain")], 415), ([("Content-Type", "application/x-www-form-urlencoded")], 415),
                ([("Content-Type", "application/json"), ("Content-Encoding", "gzip")], 415),
                ([("Content-Type", "application/json; charset=utf-8")], 401),
                ([("Content-Type", "Application/JSON")], 401),
            ]
            for (headers, status) in media {
                #expect(try await receiver.send([0x7B], tokens: [], headers: headers).status == status)
            }
        }
    }

    // MARK: 429

    @Test func `429 with Retry-After when the broker refuses, and nothing is answered 200`() async throws {
        try await Receiver.with { receiver, signer in
            receiver.sink.set(.fail(KafkaError(.transport, "all brokers are down", isRetriable: true)))
            let answer = try await receiver.send(readyBody, by: signer)
            #expect(answer.status == 429)
            #expect(answer.body.isEmpty)
            #expect((8...12).contains(answer.retryAfter?.inSeconds ?? 0))
            #expect(receiver.undecided(.kafka) == 1)
            #expect(receiver.acknowledged == 0)
            receiver.sink.set(.deliver)
            #expect(try await receiver.send(readyBody, by: signer).status == 200)
        }
    }

    @Test func `429 in time when the broker is silent, and its late word is counted once`() async throws {
        try await Receiver.with(.init(answerWithin: .milliseconds(50))) { receiver, signer in
            // The key first, so that only Kafka is waited for.
            #expect(try await receiver.send(readyBody, by: signer).status == 200)
            receiver.sink.set(.hold)
            let answer = try await receiver.send(readyBody, by: signer)
            #expect(answer.status == 429)
            #expect((8...12).contains(answer.retryAfter?.inSeconds ?? 0))
            let complete = try await receiver.sink.held.next("the record")
            complete(.success(Delivery(partition: 0, offset: 2)))
            #expect(receiver.late == 1)
            #expect(receiver.acknowledged == 1)
            #expect(receiver.undecided(.kafkaTimeout) == 1)
            #expect(receiver.undecided(.keyTimeout) == 0)
            #expect(receiver.undecided(.kafka) == 0)
        }
    }

    @Test func `a refusal after the timeout is not counted as a second answer`() async throws {
        try await Receiver.with(.init(answerWithin: .milliseconds(50))) { receiver, signer in
            #expect(try await receiver.send(readyBody, by: signer).status == 200)
            receiver.sink.set(.hold)
            #expect(try await receiver.send(readyBody, by: signer).status == 429)
            let complete = try await receiver.sink.held.next("the record")
            complete(.failure(KafkaError(.timedOut, "too late")))
            #expect(receiver.undecided(.kafka) == 0)
            #expect(receiver.late == 0)
        }
    }

    @Test func `429 beyond the number of webhooks in hand`() async throws {
        try await Receiver.with(.init(maxWaiting: 1)) { receiver, signer in
            receiver.sink.set(.hold)
            async let first = receiver.send(readyBody, by: signer)
            let complete = try await receiver.sink.held.next("the record")
            let second = try await receiver.send(readyBody, by: signer)
            #expect(second.status == 429)
            #expect(second.retryAfter == .seconds(10))
            complete(.success(Delivery(partition: 0, offset: 2)))
            #expect(try await first.status == 200)
            #expect(receiver.sink.records.count == 1)
        }
    }

    @Test func `429 for what arrives while draining, good or bad`() async throws {
        try await Receiver.with { receiver, signer in
            let body = Array(readyBody.utf8)
            let token = try signer.token(body, issuedAt: WallClock.system.now())
            for tokens in [[token], [], ["x"]] {
                let answer = receiver.ask(body, tokens: tokens, arrivedWhileDraining: true)
                #expect(answer?.status == 429)
                #expect((8...12).contains(answer?.header("Retry-After").flatMap { Int($0) } ?? 0))
            }
            #expect(receiver.undecided(.draining) == 3)
            #expect(receiver.sink.records.isEmpty)
        }
    }

    // MARK: Health

    @Test func `the public ready is 503 before the first success and while draining, live is always 200`()
        async throws
    {
        try await Receiver.with { receiver, signer in
            func status(_ path: String) async throws -> Int {
                try await receiver.send([], tokens: [], method: "GET", path: path).status
            }
            #expect(try await status("/health/ready") == 503)
            #expect(try await status("/health/live") == 200)
            receiver.sink.set(.fail(KafkaError(.transport, "down")))
            _ = try await receiver.send(readyBody, by: signer)
            #expect(try await status("/health/ready") == 503)
            receiver.sink.set(.deliver)
            _ = try await receiver.send(readyBody, by: signer)
            #expect(try await status("/health/ready") == 200)
            receiver.sink.set(.fail(KafkaError(.transport, "down")))
            _ = try await receiver.send(readyBody, by: signer)
            #expect(try await status("/health/ready") == 200)
            receiver.isDraining.withLock { $0 = true }
            #expect(try await status("/health/ready") == 503)
            #expect(try await status("/health/live") == 200)
        }
    }
}
