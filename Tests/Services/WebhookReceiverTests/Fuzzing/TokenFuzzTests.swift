// Tokens made by a model that knows which of them are good, and tokens broken at random: none but the good pass.

import Basics
import Cryptography
import PlaidAPI
import Testing

@testable import WebhookReceiver

/// A webhook's token as a random choice of parts, all lawful or all but one, and whether a verifier may accept it.
struct FuzzedToken {
    let headerValues: [String]
    let body: [UInt8]
    let isGood: Bool

    static let issuedAt = Timestamp(secondsSinceEpoch: 1_800_000_000)
    private static let order: [UInt8] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD,
        0xA7,
        0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
    ]

    init(_ signer: Signer, _ random: inout SeededGenerator) throws {
        var isGood = true
        func choose<Part>(_ good: [Part], _ bad: [Part], oneBadIn many: Int) -> Part {
            // Never two: one may undo the other, as a cut does of what was added.
            guard isGood, random.once(in: many) else { return random.pick(good) }
            isGood = false
            return random.pick(bad)
        }
        let signedBody = Array(readyBody.utf8)
        body = choose([signedBody], [[], signedBody + [0x0A], Array(signedBody.dropLast())], oneBadIn: 20)

        let id = signer.keyID
        let header = Self.object(
            [
                choose(
                    [#""alg":"ES256""#, #""alg":"ES\u0032\u00356""#],
                    [
                        #""alg":"es256""#, #""alg":"ES384""#, #""alg":"HS256""#, #""alg":"none""#, #""alg":null"#,
                        #""alg":256"#,
                        #""alg":["ES256"]"#, #""Alg":"ES256""#, #""alg":"""#, #""alg":"ES256 ""#, #""x":0"#,
                    ],
                    oneBadIn: 16
                ),
                choose(
                    ["\"kid\":\"\(id)\"", "\"\\u006bid\":\"\(id)\""],
                    [
                        #""kid":"another""#, #""kid":"""#, #""kid":null"#, #""kid":"../kid-1""#, "\"kid\":\"\(id) \"",
                        "\"kid\":\"\(String(repeating: "k", count: 65))\"", "\"KID\":\"\(id)\"", #""kid":{"a":1}"#,
                        "\"kid\":\"\(id)\\u0000\"",
                    ],
                    oneBadIn: 16
                ),
                choose(
                    [#""typ":"JWT""#, #""typ":null"#, #""zip":"DEF""#, #""y":{"jwk":1,"crit":[{}]}"#],
                    [
                        #""jwk":{}"#, #""jku":"http://a""#, #""x5u":null"#, #""x5c":[]"#, #""crit":["b64"]"#,
                        #""b64":false"#,
                        #""jw\u006b":1"#, #""alg":"ES256""#, "\"kid\":\"\(id)\"", #""typ":1,"typ":2"#,
                    ],
                    oneBadIn: 16
                ),
            ],
            &random
        )
        let digest = SHA256.hash(signedBody).hex
        let seconds = issuedSeconds(&random)
        let payload = Self.object(
            [
                choose(
                    ["\"iat\":\(seconds)"],
                    [
                        "\"iat\":\(Self.issuedAt.seconds - 301)", "\"iat\":\(Self.issuedAt.seconds + 61)",
                        "\"iat\":\"\(seconds)\"", "\"iat\":-\(seconds)", "\"iat\":9223372036854775807", "\"iat\":null",
                        "\"iat\":-9223372036854775808", "\"iat\":18446744073709551615", "\"iat\":[\(seconds)]",
                        "\"iat\":1e400",
                        "\"iat\":0", "\"IAT\":\(seconds)", "\"iat\":\(seconds),\"iat\":\(seconds)",
                    ],
                    oneBadIn: 12
                ),
                choose(
                    ["\"request_body_sha256\":\"\(digest)\"", "\"request_body_sha256\":\"\(digest.uppercased())\""],
                    [
                        "\"request_body_sha256\":\"\(digest.dropLast())\"", "\"request_body_sha256\":\"\(digest)0\"",
                        "\"request_body_sha256\":\"\(digest.dropLast())g\"", "\"request_body_sha256\":\"\"",
                        "\"request_body_sha256\":\"\(SHA256.hash([]).hex)\"", "\"request_body_sha256\":null",
                        "\"hash\":1",
                        "\"request_body_sha256\":\"\(digest.dropLast(2))\\u00e9\"",
                    ],
                    oneBadIn: 12
                ),
            ] + (random.once(in: 4) ? ["\"jti\":\"a\""] : []),
            &random
        )
        let signed = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(payload.utf8))
        let genuine = try signer.pair.sign(digest: SHA256.hash(Array(signed.utf8)))
        let (r, s) = (Array(genuine[..<32]), Array(genuine[32...]))
        var flipped = genuine
        flipped[Int.random(in: 0..<64, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        let zero = [UInt8](repeating: 0, count: 32)
        let signature = choose(
            [genuine, r + Self.negated(s)],
            [
                flipped, zero + s, r + zero, zero + zero, Self.order + s, r + Self.order, s + r,
                Array(genuine.dropLast()),
                genuine + [0], [0x30, 0x44, 0x02, 0x20] + r + [0x02, 0x20] + s, [], [UInt8](repeating: 0xFF, count: 64),
            ],
            oneBadIn: 12
        )
        let token = signed + "." + Base64URL.encode(signature)
        let last = token.last.map(String.init) ?? ""
        let text = choose(
            [token],
            [
                token + "=", token + "==", token + ".", token + ".e30", "." + token, token + " ", " " + token,
                token + "\n",
                String(token.dropLast()), token.replacing(".", by: ".."), token + last, signed, signed + ".", "",
                "Bearer " + token, token.replacing("e", by: "%65"), token + String(repeating: "A", count: 2_048),
                // The spelling of the same 64 bytes that a lenient decoder takes: its last four bits count for nothing.
                String(token.dropLast()) + Self.neighbour(of: last),
            ],
            oneBadIn: 8
        )
        headerValues = choose([[text]], [[], [text, text], [text, ""], ["", text]], oneBadIn: 20)
        self.isGood = isGood
    }

    /// Members in any order with blanks anywhere.
    private static func object(_ members: [String], _ random: inout SeededGenerator) -> String {
        let blank = random.pick(["", "", " ", "\n\t"])
        return "{\(blank)\(members.shuffled(using: &random).joined(separator: ",\(blank)"))\(blank)}"
    }

    private static func neighbour(of digit: String) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_").map(String.init)
        return alphabet.firstIndex(of: digit).map { alphabet[$0 ^ 1] } ?? "!"
    }

    /// The group's order less the number: the signature's other half-twin.
    private static func negated(_ s: [UInt8]) -> [UInt8] {
        var borrow = 0
        var result = [UInt8](repeating: 0, count: 32)
        for place in (0..<32).reversed() {
            let difference = Int(order[place]) - Int(s[place]) - borrow
            borrow = difference < 0 ? 1 : 0
            result[place] = UInt8(truncatingIfNeeded: difference)
        }
        return result
    }
}

/// Within what is accepted, its ends more often than chance has it.
private func issuedSeconds(_ random: inout SeededGenerator) -> Int64 {
    FuzzedToken.issuedAt.seconds + random.pick([-300, 60, 0, .random(in: -300...60, using: &random)])
}

extension String {
    /// Every occurrence of a character, replaced.
    fileprivate func replacing(_ character: Character, by text: String) -> String {
        reduce(into: "") { $0 += $1 == character ? text : String($1) }
    }
}

@Suite struct TokenFuzzTests {
    private static func accepts(
        _ headerValues: [String],
        _ body: [UInt8],
        _ key: VerificationKey,
        at now: Timestamp,
        clock: ClockTrust = .good
    ) -> Bool {
        let verifier = WebhookVerifier()
        guard
            case .needsKey(let checked) = verifier.check(
                headerValues,
                bodyDigest: SHA256.hash(body),
                receivedAt: now,
                clock: clock
            ),
            case .good = verifier.decide(checked, key: key, clock: clock)
        else { return false }
        return true
    }

    @Test(arguments: FuzzEffort.seeds)
    func `accepts exactly the tokens whose every part is good`(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let signer = try Signer()
        let key = VerificationKey(kid: signer.keyID, publicKey: try signer.pair.publicKey())
        let rounds = FuzzEffort.rounds(share: 0.2)
        var good = 0
        for round in 0..<rounds {
            let token = try FuzzedToken(signer, &random)
            if token.isGood { good += 1 }
            let accepted = Self.accepts(token.headerValues, token.body, key, at: FuzzedToken.issuedAt)
            if accepted != token.isGood {
                Issue.record("seed \(seed), round \(round): \(accepted ? "accepted" : "refused") \(token.headerValues)")
                return
            }
            #expect(!Self.accepts(token.headerValues, token.body, key, at: FuzzedToken.issuedAt, clock: .off))
        }
        #expect(good > rounds / 8 && good < rounds * 7 / 8, "\(good) of \(rounds) were good")
    }

    /// Tokens, headers and claims that come near an edge; where broken ones begin, beside those of the model.
    static let corpus: [String] = [
        Genuine.token, "a.b.c", "..", "...", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFUzI1NiJ9.bnVsbA.AA",
        "=.=.=",
        "W10.W10." + String(repeating: "A", count: 86), "\u{0}", "é.é.é", String(repeating: ".", count: 2_048),
        String(repeating: "A", count: 2_049), "eyJhbGciOiJFUzI1NiIsImtpZCI6ImtpZC0xIn0..",
    ]

    private static let snippets: [[UInt8]] =
        [".", "=", "-", "_", "+", "/", "e30", "eyJ", "IiwiY", "\r\n", " ", "\0", "%2E", "AAAA", ",", ";", "é"]
        .map { Array($0.utf8) }

    @Test(arguments: FuzzEffort.seeds)
    func `accepts no token that was changed after it was signed`(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let signer = try Signer()
        let key = VerificationKey(kid: signer.keyID, publicKey: try signer.pair.publicKey())
        let body = Array(readyBody.utf8)
        let genuine = try signer.token(body, issuedAt: FuzzedToken.issuedAt)
        #expect(Self.accepts([genuine], body, key, at: FuzzedToken.issuedAt))
        for round in 0..<FuzzEffort.rounds(share: 0.2) {
            let origin = random.once(in: 4) ? random.pick(Self.corpus) : genuine
            let bytes = mutated(Array(origin.utf8), snippets: Self.snippets, &random)
            let text = String(decoding: bytes, as: UTF8.self)
            if Self.accepts([text], body, key, at: FuzzedToken.issuedAt), text != genuine {
                Issue.record("seed \(seed), round \(round): accepted \(text)")
                return
            }
        }
    }
}
