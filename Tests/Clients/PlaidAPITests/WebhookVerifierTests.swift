import Basics
import Cryptography
import PlaidAPI
import Testing

@Suite struct WebhookVerifierTests {
    private let verifier = WebhookVerifier()
    private let now = Timestamp(secondsSinceEpoch: 1_795_230_000)
    private let body = Array(#"{"webhook_type":"ITEM"}"#.utf8)

    private func verdict(
        _ headers: [String],
        body: [UInt8],
        at time: Timestamp,
        key: VerificationKey,
        clock: ClockTrust = .good
    ) -> String {
        switch verifier.check(headers, bodyDigest: SHA256.hash(body), receivedAt: time, clock: clock) {
        case .bad(let reason): reason.rawValue
        case .undecided(let reason): "undecided \(reason.name)"
        case .needsKey(let checked):
            switch verifier.decide(checked, key: key, clock: clock) {
            case .good(let webhook): webhook.receivedAt == time ? "good" : "good, at another time"
            case .bad(let reason): reason.rawValue
            case .undecided(let reason): "undecided \(reason.name)"
            }
        }
    }

    // MARK: the genuine one

    @Test(arguments: [Genuine.token, Genuine.twin])
    func `a webhook of Plaid's passes with its clock, and so does its malleable twin`(_ token: String) throws {
        let received = Timestamp(secondsSinceEpoch: Genuine.issuedAt + 2)
        let digest = SHA256.hash(Genuine.body)
        #expect(digest.hex == "c43741964e9b173d7bc1e840a21ce1ad26cfa27c1a379bba8cb5f5715aade40a")
        let precheck = verifier.check([token], bodyDigest: digest, receivedAt: received, clock: .good)
        guard case .needsKey(let checked) = precheck,
            case .good(let webhook) = verifier.decide(checked, key: try Genuine.key(), clock: .good)
        else {
            Issue.record("refused")
            return
        }
        #expect(webhook.token == token)
        #expect(webhook.keyID == Genuine.keyID)
        #expect(webhook.issuedAt == Timestamp(secondsSinceEpoch: Genuine.issuedAt))
        #expect(webhook.bodyDigest == digest)
        #expect(webhook.receivedAt == received)
    }

    @Test func `the same message printed otherwise is refused`() throws {
        let text = String(decoding: Genuine.body, as: UTF8.self)
        let compact = text.filter { $0 != "\n" && $0 != " " }
        let fourSpaces = text.replacing("\n  ", with: "\n    ")
        let windows = text.replacing("\n", with: "\r\n")
        let received = Timestamp(secondsSinceEpoch: Genuine.issuedAt)
        for variant in [compact, fourSpaces, windows, text + "\n", " " + text] {
            let result = verdict([Genuine.token], body: Array(variant.utf8), at: received, key: try Genuine.key())
            #expect(result == "body_mismatch")
        }
    }

    // MARK: time

    @Test(arguments: [
        (-61, "from_the_future"), (-60, "good"), (-1, "good"), (0, "good"), (299, "good"), (300, "good"),
        (301, "stale"), (86_400, "stale"),
    ])
    func `judges the age at receipt`(_ age: Int64, _ expected: String) throws {
        let signer = try Signer()
        let token = try signer.token(body, issuedAt: now.seconds - age)
        #expect(verdict([token], body: body, at: now, key: try signer.key()) == expected)
    }

    @Test func `counts fractions of a second`() throws {
        let signer = try Signer()
        let token = try signer.token(body, issuedAt: now.seconds)
        let key = try signer.key()
        #expect(verdict([token], body: body, at: now + .seconds(300) + .nanoseconds(1), key: key) == "stale")
        #expect(verdict([token], body: body, at: now - .seconds(60) - .nanoseconds(1), key: key) == "from_the_future")
    }

    @Test(arguments: [
        (ClockTrust.unchecked, Int64(0), "good"), (.unchecked, 301, "undecided clock"),
        (.unchecked, -61, "undecided clock"), (.off, 0, "undecided clock"), (.off, 301, "undecided clock"),
        (.good, 301, "stale"),
    ])
    func `holds age against a token only under a clock known to be right`(
        _ clock: ClockTrust,
        _ age: Int64,
        _ expected: String
    ) throws {
        let signer = try Signer()
        let token = try signer.token(body, issuedAt: now.seconds - age)
        #expect(verdict([token], body: body, at: now, key: try signer.key(), clock: clock) == expected)
    }

    @Test
    func `a stale token before the first look at Plaid's clock asks for its key, and is bad once the clock is right`()
        throws
    {
        let signer = try Signer()
        let token = try signer.token(body, issuedAt: now.seconds - 400)
        let precheck = verifier.check([token], bodyDigest: SHA256.hash(body), receivedAt: now, clock: .unchecked)
        guard case .needsKey(let checked) = precheck else {
            Issue.record("no key asked for")
            return
        }
        let clock = ClockTrust(serverDate: now + .seconds(3), now: now)
        guard case .bad(.stale) = verifier.decide(checked, key: try signer.key(), clock: clock) else {
            Issue.record("not stale")
            return
        }
    }

    static let differences: [(Int64, ClockTrust)] = [
        (-61, .off), (-60, .good), (0, .good), (60, .good), (61, .off), (300, .off),
    ]

    @Test(arguments: differences)
    func `trusts a clock within a minute of Plaid's`(_ seconds: Int64, _ expected: ClockTrust) {
        #expect(ClockTrust(serverDate: now + .seconds(seconds), now: now) == expected)
    }

    // MARK: keys

    @Test func `honours the expiry of a key`() throws {
        let signer = try Signer()
        let token = try signer.token(body, issuedAt: now.seconds)
        let expiries: [(Timestamp?, String)] = [
            (nil, "good"), (now + .seconds(1), "good"), (now, "expired_key"), (now - .seconds(1), "expired_key"),
        ]
        for (expiry, expected) in expiries {
            #expect(verdict([token], body: body, at: now, key: try signer.key(expiredAt: expiry)) == expected)
        }
    }

    @Test func `another key refuses, a key of another id decides nothing`() throws {
        let signer = try Signer()
        let token = try signer.token(body, issuedAt: now.seconds)
        #expect(verdict([token], body: body, at: now, key: try Signer().key()) == "bad_signature")
        #expect(verdict([token], body: body, at: now, key: try Signer(keyID: "kid-2").key()) == "undecided key")
    }

    @Test func `maps the outcome of a look-up`() throws {
        let signer = try Signer()
        let token = try signer.token(body, issuedAt: now.seconds)
        let precheck = verifier.check([token], bodyDigest: SHA256.hash(body), receivedAt: now, clock: .good)
        guard case .needsKey(let checked) = precheck else {
            Issue.record("refused")
            return
        }
        let failure = PlaidFailure(class: .retry(slow: false), message: "away")
        guard case .good = verifier.decide(checked, outcome: .key(try signer.key()), clock: .good),
            case .bad(.unknownKey) = verifier.decide(checked, outcome: .unknownKey, clock: .good),
            case .bad(.unfitKey) = verifier.decide(checked, outcome: .unfit, clock: .good),
            case .undecided(.key) = verifier.decide(checked, outcome: .failed(failure), clock: .good)
        else {
            Issue.record("an outcome was taken for another")
            return
        }
    }

    // MARK: tokens

    @Test func `wants one header with one token`() throws {
        let signer = try Signer()
        let key = try signer.key()
        let token = try signer.token(body, issuedAt: now.seconds)
        let long = token + String(repeating: "A", count: VerificationToken.mostBytes)
        let cases: [([String], String)] = [
            ([], "missing_token"), ([""], "missing_token"), ([token, token], "several_tokens"),
            ([token, ""], "several_tokens"), ([long], "token_too_long"), (["Bearer " + token], "malformed_token"),
            ([" " + token], "malformed_token"), ([token + " "], "malformed_token"), ([token + "="], "malformed_token"),
            ([token + "."], "malformed_token"), (["." + token], "malformed_token"), ([".."], "malformed_token"),
            (["a.b"], "malformed_token"), (["é.é.é"], "malformed_token"), ([token + "AA"], "malformed_token"),
            ([String(token.dropLast())], "malformed_token"),
            ([token.replacing("-", with: "+") + "+"], "malformed_token"),
        ]
        for (headers, expected) in cases {
            #expect(verdict(headers, body: body, at: now, key: key) == expected, "\(headers)")
        }
    }

    static let headers: [(String, String)] = [
        (#"{"alg":"ES256","kid":"kid-1"}"#, "good"),
        (#"{"typ":"anything","kid":"kid-1","alg":"ES256","new":[1,{"jwk":1}]}"#, "good"),
        (#"{"alg":"es256","kid":"kid-1"}"#, "wrong_algorithm"),
        (#"{"alg":"ES384","kid":"kid-1"}"#, "wrong_algorithm"),
        (#"{"alg":"HS256","kid":"kid-1"}"#, "wrong_algorithm"),
        (#"{"alg":"RS256","kid":"kid-1"}"#, "wrong_algorithm"),
        (#"{"alg":"none","kid":"kid-1"}"#, "wrong_algorithm"),
        (#"{"alg":"ES256 ","kid":"kid-1"}"#, "wrong_algorithm"),
        (#"{"alg":["ES256"],"kid":"kid-1"}"#, "wrong_algorithm"),
        (#"{"alg":null,"kid":"kid-1"}"#, "wrong_algorithm"),
        (#"{"kid":"kid-1"}"#, "wrong_algorithm"),
        (#"{"alg":"ES256","kid":"kid-1","jwk":{}}"#, "forbidden_parameter"),
        (#"{"alg":"ES256","kid":"kid-1","jku":"https://evil.test"}"#, "forbidden_parameter"),
        (#"{"alg":"ES256","kid":"kid-1","x5u":null}"#, "forbidden_parameter"),
        (#"{"alg":"ES256","kid":"kid-1","x5c":[]}"#, "forbidden_parameter"),
        (#"{"alg":"ES256","kid":"kid-1","crit":["b64"]}"#, "forbidden_parameter"),
        (#"{"alg":"ES256","kid":"kid-1","b64":false}"#, "forbidden_parameter"),
        (#"{"alg":"ES256","kid":"kid-1","\u006awk":{}}"#, "forbidden_parameter"),
        (#"{"alg":"ES256"}"#, "malformed_key_id"),
        (#"{"alg":"ES256","kid":""}"#, "malformed_key_id"),
        (#"{"alg":"ES256","kid":7}"#, "malformed_key_id"),
        (#"{"alg":"ES256","kid":null}"#, "malformed_key_id"),
        (#"{"alg":"ES256","kid":"a b"}"#, "malformed_key_id"),
        (#"{"alg":"ES256","kid":"../key"}"#, "malformed_key_id"),
        (#"{"alg":"ES256","kid":"kid\u0000"}"#, "malformed_key_id"),
        (#"{"alg":"ES256","kid":"kïd"}"#, "malformed_key_id"),
        (#"{"alg":"ES256","kid":""# + String(repeating: "k", count: 65) + #""}"#, "malformed_key_id"),
        (#"{"alg":"ES256","kid":"kid-1","kid":"kid-1"}"#, "malformed_header"),
        (#"{"alg":"none","alg":"ES256","kid":"kid-1"}"#, "malformed_header"),
        (#"{"alg":"ES256","kid":"kid-1","x":1,"x":2}"#, "malformed_header"),
        (#"{"alg":"ES256","kid":"kid-1",}"#, "malformed_header"),
        (#"{"alg":"ES256","kid":"kid-1"}x"#, "malformed_header"),
        (#"["ES256"]"#, "malformed_header"),
        ("", "malformed_header"),
        ("\u{FEFF}{\"alg\":\"ES256\",\"kid\":\"kid-1\"}", "malformed_header"),
    ]

    @Test(arguments: headers)
    func `reads the header strictly`(_ header: String, _ expected: String) throws {
        let signer = try Signer()
        let payload = #"{"iat":\#(now.seconds),"request_body_sha256":"\#(SHA256.hash(body).hex)"}"#
        let token = try signer.token(header: header, payload: payload)
        #expect(verdict([token], body: body, at: now, key: try signer.key()) == expected)
    }

    static let hash = SHA256.hash(Array(#"{"webhook_type":"ITEM"}"#.utf8)).hex
    static let payloads: [(String, String)] = [
        (#"{"request_body_sha256":"HASH","iat":NOW}"#, "good"),
        (#"{"iat":NOW,"request_body_sha256":"HASH","more":true}"#, "good"),
        (#"{"iat":"NOW","request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"{"iat":NOW.0,"request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"{"iat":NOWe0,"request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"{"iat":null,"request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"{"iat":-1,"request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"{"iat":9223372036854775807,"request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"{"iat":-9223372036854775808,"request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"{"iat":18446744073709551615,"request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"{"iat":1e999,"request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"{"iat":253402300799,"request_body_sha256":"HASH"}"#, "from_the_future"),
        (#"{"iat":0,"request_body_sha256":"HASH"}"#, "stale"),
        (#"{"request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"{"iat":NOW}"#, "malformed_claims"),
        (#"{"iat":NOW,"request_body_sha256":null}"#, "malformed_claims"),
        (#"{"iat":NOW,"request_body_sha256":""}"#, "malformed_claims"),
        (#"{"iat":NOW,"request_body_sha256":"HASH00"}"#, "malformed_claims"),
        (#"{"iat":NOW,"request_body_sha256":"zzHASH"}"#, "malformed_claims"),
        (#"{"iat":NOW,"iat":NOW,"request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"{"iat":NOW,"request_body_sha256":"HASH","request_body_sha256":"HASH"}"#, "malformed_claims"),
        (#"[NOW,"HASH"]"#, "malformed_claims"),
        ("", "malformed_claims"),
        (
            #"{"iat":NOW,"request_body_sha256":"0000000000000000000000000000000000000000000000000000000000000000"}"#,
            "body_mismatch"
        ),
    ]

    @Test(arguments: payloads)
    func `reads the claims strictly`(_ payload: String, _ expected: String) throws {
        let signer = try Signer()
        let text = payload.replacing("HASH", with: Self.hash).replacing("NOW", with: "\(now.seconds)")
        let token = try signer.token(header: #"{"alg":"ES256","kid":"kid-1"}"#, payload: text)
        #expect(verdict([token], body: body, at: now, key: try signer.key()) == expected)
    }

    @Test func `refuses a token with any character changed`() throws {
        let received = Timestamp(secondsSinceEpoch: Genuine.issuedAt)
        let key = try Genuine.key()
        let genuine = Array(Genuine.token.utf8)
        let other = Array("AQgw05-_.+/= {".utf8)
        for index in genuine.indices {
            for byte in other where byte != genuine[index] {
                var altered = genuine
                altered[index] = byte
                let text = String(decoding: altered, as: UTF8.self)
                let result = verdict([text], body: Genuine.body, at: received, key: key)
                #expect(result != "good" && !result.hasPrefix("undecided library"), "\(index)")
            }
        }
    }

    @Test func `takes a thousand pieces of rubbish without a slip`() throws {
        var random = SeededGenerator(seed: 20_261_127)
        let key = try Genuine.key()
        let received = Timestamp(secondsSinceEpoch: Genuine.issuedAt)
        let genuine = Array(Genuine.token.utf8)
        for _ in 0..<1_000 {
            var bytes = genuine
            for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<7, using: &random)
                case 1: bytes.remove(at: index)
                case 2: bytes.insert(UInt8.random(in: 0x20..<0x7F, using: &random), at: index)
                default: bytes.removeSubrange(index...)
                }
            }
            guard bytes != genuine else { continue }
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(verdict([text], body: Genuine.body, at: received, key: key) != "good")
        }
    }
}
