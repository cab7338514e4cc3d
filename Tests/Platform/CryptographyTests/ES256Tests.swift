import Basics
import CCrypto
import Testing

@testable import Cryptography

@Suite struct ES256PublicKeyTests {
    let plaid: ES256PublicKey
    let digest = SHA256.hash(PlaidVector.signed)

    init() throws { plaid = try ES256PublicKey(x: PlaidVector.x, y: PlaidVector.y) }

    @Test func `verifies a genuine signature of Plaid and its malleable twin`() {
        #expect(plaid.verify(digest: digest, rawSignature: PlaidVector.signature) == .good)
        #expect(plaid.verify(digest: digest, rawSignature: PlaidVector.twin) == .good)
        #expect(ccrypto_pending_error() == 0)
    }

    @Test func `verifies the published signature`() throws {
        let key = try ES256PublicKey(x: RFC6979.x, y: RFC6979.y)
        #expect(key.verify(digest: SHA256.hash(RFC6979.message), rawSignature: RFC6979.signature) == .good)
    }

    @Test func `refuses each single bit turned over in the signature`() {
        for bit in 0..<512 {
            #expect(plaid.verify(digest: digest, rawSignature: PlaidVector.signature.flipping(bit: bit)) == .bad)
        }
        #expect(ccrypto_pending_error() == 0)
    }

    @Test func `refuses each single bit turned over in the hash`() throws {
        for bit in 0..<256 {
            let other = try #require(SHA256Digest(digest.bytes.flipping(bit: bit)))
            #expect(plaid.verify(digest: other, rawSignature: PlaidVector.signature) == .bad)
        }
    }

    @Test func `refuses keys with a single bit turned over`() {
        for bit in 0..<256 {
            #expect(throws: CryptographyError.invalidKey) {
                try ES256PublicKey(x: PlaidVector.x, y: PlaidVector.y.flipping(bit: bit))
            }
            // Half of all x are on the curve, though with another y.
            #expect(throws: CryptographyError.invalidKey) {
                try ES256PublicKey(x: PlaidVector.x.flipping(bit: bit), y: PlaidVector.y)
            }
        }
        #expect(ccrypto_pending_error() == 0)
    }

    static let outOfRange: [[UInt8]] = [
        [UInt8](repeating: 0, count: 32), P256.order, P256.order.adding(1), [UInt8](repeating: 0xFF, count: 32),
    ]

    @Test(arguments: outOfRange)
    func `refuses halves outside the range`(_ half: [UInt8]) {
        let r = Array(PlaidVector.signature[..<32])
        let s = Array(PlaidVector.signature[32...])
        #expect(plaid.verify(digest: digest, rawSignature: half + s) == .bad)
        #expect(plaid.verify(digest: digest, rawSignature: r + half) == .bad)
        #expect(plaid.verify(digest: digest, rawSignature: half + half) == .bad)
        #expect(ccrypto_pending_error() == 0)
    }

    @Test func `decides on the extremes of the range`() {
        let one = [UInt8](repeating: 0, count: 31) + [1]
        for half in [one, P256.order.adding(-1)] {
            #expect(plaid.verify(digest: digest, rawSignature: half + half) == .bad)
        }
    }

    @Test(arguments: [0, 1, 32, 63, 65, 72, 128])
    func `refuses signatures of another length`(_ count: Int) {
        let padded = PlaidVector.signature + [UInt8](repeating: 0, count: 64)
        #expect(plaid.verify(digest: digest, rawSignature: Array(padded.prefix(count))) == .bad)
    }

    @Test func `verifies halves that begin with zeros`() throws {
        let pair = try ES256PrivateKey(scalar: RFC6979.scalar)
        let key = try pair.publicKey()
        var short: Set<Int> = []
        // One in 256 signatures has such an r, one in 256 such an s.
        for number in 0..<20_000 where short.count < 2 {
            let digest = SHA256.hash(Array("message \(number)".utf8))
            let signature = try pair.sign(digest: digest)
            guard signature[0] == 0 || signature[32] == 0 else { continue }
            short.insert(signature[0] == 0 ? 0 : 32)
            #expect(key.verify(digest: digest, rawSignature: signature) == .good)
        }
        #expect(short == [0, 32])
    }

    @Test func `refuses points off the curve, beyond the field and at infinity`() {
        let zero = [UInt8](repeating: 0, count: 32)
        for (x, y) in [
            (zero, zero), (RFC6979.x, PlaidVector.y), (P256.field, PlaidVector.y), (PlaidVector.x, P256.field),
            ([UInt8](repeating: 0xFF, count: 32), [UInt8](repeating: 0xFF, count: 32)),
        ] {
            #expect(throws: CryptographyError.invalidKey) { try ES256PublicKey(x: x, y: y) }
        }
        #expect(ccrypto_pending_error() == 0)
    }

    @Test(arguments: [
        (0, "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4"),
        (5, "459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc"),
    ])
    func `refuses coordinates beyond the field that would reduce to a point`(_ small: Int, _ y: String) throws {
        let x = [UInt8](repeating: 0, count: 31) + [UInt8(small)]
        _ = try ES256PublicKey(x: x, y: hex(y))
        #expect(throws: CryptographyError.invalidKey) {
            try ES256PublicKey(x: P256.field.adding(small), y: hex(y))
        }
    }

    @Test(arguments: [0, 1, 31, 33, 65])
    func `refuses coordinates of another length`(_ count: Int) {
        let wrong = [UInt8](repeating: 4, count: count)
        let error = CryptographyError.wrongLength(expected: 32, actual: count)
        #expect(throws: error) { try ES256PublicKey(x: wrong, y: PlaidVector.y) }
        #expect(throws: error) { try ES256PublicKey(x: PlaidVector.x, y: wrong) }
    }

    @Test func `one key serves many tasks`() async {
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<4 {
                group.addTask { [plaid, digest] in
                    (0..<100).allSatisfy { round in
                        let bad = PlaidVector.signature.flipping(bit: round)
                        return plaid.verify(digest: digest, rawSignature: PlaidVector.signature) == .good
                            && plaid.verify(digest: digest, rawSignature: bad) == .bad
                    }
                }
            }
            for await right in group { #expect(right) }
        }
    }

    @Test func `takes every unknown result of the library as undecided`() {
        #expect(SignatureVerdict(result: 1, reason: 0) == .good)
        #expect(SignatureVerdict(result: 0, reason: 0) == .bad)
        for result: Int32 in [-1, -2, 2, .min, .max] {
            guard case .undecided(let reason) = SignatureVerdict(result: result, reason: 0) else {
                Issue.record("\(result) was decided")
                continue
            }
            #expect(reason == "no reason given")
        }
        guard case .undecided(let reason) = SignatureVerdict(result: -1, reason: 0x0800_0071) else { return }
        #expect(reason.hasPrefix("error:"))
    }
}

@Suite struct ES256PrivateKeyTests {
    @Test func `derives the public point of the published scalar`() throws {
        let pair = try ES256PrivateKey(scalar: RFC6979.scalar)
        #expect(pair.publicX == RFC6979.x)
        #expect(pair.publicY == RFC6979.y)
        #expect(ccrypto_pending_error() == 0)
    }

    @Test func `a fresh pair signs what its public half verifies`() throws {
        let pair = try ES256PrivateKey()
        let other = try ES256PrivateKey()
        let digest = SHA256.hash(Array("to be signed".utf8))
        let signature = try pair.sign(digest: digest)
        #expect(signature.count == 64)
        #expect(try pair.publicKey().verify(digest: digest, rawSignature: signature) == .good)
        #expect(try other.publicKey().verify(digest: digest, rawSignature: signature) == .bad)
        #expect(pair.publicX != other.publicX)
        #expect(ccrypto_pending_error() == 0)
    }

    @Test func `refuses scalars outside the range`() {
        for scalar in [[UInt8](repeating: 0, count: 32), P256.order, [UInt8](repeating: 0xFF, count: 32)] {
            #expect(throws: CryptographyError.invalidKey) { try ES256PrivateKey(scalar: scalar) }
        }
        #expect(throws: CryptographyError.wrongLength(expected: 32, actual: 31)) {
            try ES256PrivateKey(scalar: [UInt8](repeating: 1, count: 31))
        }
    }
}
