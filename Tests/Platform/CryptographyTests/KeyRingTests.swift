import Basics
import CCrypto
import Testing

@testable import Cryptography

@Suite struct SealingKeyTests {
    struct Known: Sendable {
        let key, nonce, plaintext, associated, sealed: String
    }

    /// From "The Galois/Counter Mode of Operation" by McGrew and Viega, appendix B, test cases 13, 14 and 16.
    static let known = [
        Known(
            key: String(repeating: "0", count: 64),
            nonce: String(repeating: "0", count: 24),
            plaintext: "",
            associated: "",
            sealed: "530f8afbc74536b9a963b4f1c4cb738b"
        ),
        Known(
            key: String(repeating: "0", count: 64),
            nonce: String(repeating: "0", count: 24),
            plaintext: String(repeating: "0", count: 32),
            associated: "",
            sealed: "cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919"
        ),
        Known(
            key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            nonce: "cafebabefacedbaddecaf888",
            plaintext: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449"
                + "a6b525b16aedf5aa0de657ba637b39",
            associated: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            sealed: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056"
                + "828838c5f61e6393ba7a0abcc9f662" + "76fc6ece0f4e1768cddf8853bb2d551b"
        ),
    ]

    @Test(arguments: known)
    func `seals and opens the published messages`(_ known: Known) throws {
        let key = SealingKey(id: try #require(SealingKeyID("known")), key: hex(known.key))
        let sealed = key.seal(hex(known.plaintext), nonce: hex(known.nonce), associated: hex(known.associated))
        #expect(sealed == hex(known.sealed))
        let opened = key.open(hex(known.sealed), nonce: hex(known.nonce), associated: hex(known.associated))
        guard case .genuine(let plaintext) = opened else {
            Issue.record("not opened")
            return
        }
        #expect(plaintext == hex(known.plaintext))
        #expect(ccrypto_pending_error() == 0)
    }

    @Test func `opens nothing with a shortened tag`() throws {
        let known = Self.known[2]
        let key = SealingKey(id: try #require(SealingKeyID("known")), key: hex(known.key))
        for missing in 1...16 {
            let short = Array(hex(known.sealed).dropLast(missing))
            let opened = key.open(short, nonce: hex(known.nonce), associated: hex(known.associated))
            guard case .forged = opened else {
                Issue.record("opened without \(missing) bytes of the tag")
                continue
            }
        }
    }

    @Test func `leaves nothing of a forged text behind`() throws {
        let known = Self.known[2]
        var forged = hex(known.sealed)
        forged[forged.count - 1] ^= 1
        var text = [UInt8](repeating: 0xEE, count: forged.count - 16)
        let associated = hex(known.associated)
        let result = ccrypto_gcm_open(
            hex(known.key),
            hex(known.nonce),
            associated,
            associated.count,
            forged,
            forged.count,
            &text
        )
        #expect(result == 0)
        #expect(text.allSatisfy { $0 == 0 })
    }
}

@Suite struct KeyRingTests {
    static let first = "2026a:" + Base64.encode([UInt8](0..<32))
    static let second = "2025b:" + Base64.encode([UInt8](32..<64))
    let token = Array("user-sandbox-0000-invented".utf8)

    @Test func `opens what it sealed for the same place`() throws {
        let ring = try KeyRing(parsing: Self.first)
        for plaintext in [token, [], [0], secureRandom(count: 5_000)] {
            let sealed = try ring.seal(plaintext, table: "plaid_users", column: "user_token", row: "usr_1")
            #expect(sealed.count == plaintext.count + 2 + 5 + 12 + 16)
            #expect(try ring.open(sealed, table: "plaid_users", column: "user_token", row: "usr_1") == plaintext)
            #expect(ring.keyID(of: sealed)?.name == "2026a")
        }
        #expect(ring.sealCount == 4)
        #expect(ccrypto_pending_error() == 0)
    }

    @Test func `refuses a value with any bit turned over`() throws {
        let ring = try KeyRing(parsing: Self.first)
        let sealed = try ring.seal(token, table: "t", column: "c", row: "r")
        for bit in 0..<(sealed.count * 8) {
            let altered = sealed.flipping(bit: bit)
            // A turned bit in the key id may spell another lawful id: that is an unknown key.
            #expect(throws: SealError.self) { try ring.open(altered, table: "t", column: "c", row: "r") }
        }
        #expect(try ring.open(sealed, table: "t", column: "c", row: "r") == token)
        #expect(ccrypto_pending_error() == 0)
    }

    @Test func `refuses a value cut anywhere or lengthened`() throws {
        let ring = try KeyRing(parsing: Self.first)
        let sealed = try ring.seal(token, table: "t", column: "c", row: "r")
        for count in 0..<sealed.count {
            #expect(throws: SealError.tampered) {
                try ring.open(Array(sealed.prefix(count)), table: "t", column: "c", row: "r")
            }
        }
        #expect(throws: SealError.tampered) { try ring.open(sealed + [0], table: "t", column: "c", row: "r") }
    }

    static let elsewhere: [(String, String, String)] = [
        ("u", "c", "r"), ("t", "d", "r"), ("t", "c", "s"), ("tc", "", "r"), ("t", "", "cr"), ("", "tc", "r"),
        ("t", "cr", ""), ("T", "c", "r"),
    ]

    @Test(arguments: elsewhere)
    func `refuses a value at another place, also when the parts only shift`(
        _ table: String,
        _ column: String,
        _ row: String
    ) throws {
        let ring = try KeyRing(parsing: Self.first)
        let sealed = try ring.seal(token, table: "t", column: "c", row: "r")
        #expect(throws: SealError.tampered) { try ring.open(sealed, table: table, column: column, row: row) }
    }

    @Test func `opens with every key and seals with the first`() throws {
        let old = try KeyRing(parsing: Self.second)
        let sealed = try old.seal(token, table: "t", column: "c", row: "r")
        let rotated = try KeyRing(parsing: "\(Self.first),\(Self.second)")
        #expect(rotated.keyIDs.map(\.name) == ["2026a", "2025b"])
        #expect(try rotated.open(sealed, table: "t", column: "c", row: "r") == token)
        #expect(rotated.isOutdated(sealed))
        let anew = try rotated.seal(token, table: "t", column: "c", row: "r")
        #expect(!rotated.isOutdated(anew))
        let unknown = try #require(SealingKeyID("2026a"))
        #expect(throws: SealError.unknownKey(unknown)) { try old.open(anew, table: "t", column: "c", row: "r") }
    }

    @Test func `refuses the right id with the wrong key`() throws {
        let ring = try KeyRing(parsing: Self.first)
        let impostor = try KeyRing(parsing: "2026a:" + Base64.encode([UInt8](32..<64)))
        let sealed = try ring.seal(token, table: "t", column: "c", row: "r")
        #expect(throws: SealError.tampered) { try impostor.open(sealed, table: "t", column: "c", row: "r") }
    }

    @Test func `never uses a nonce twice`() throws {
        let ring = try KeyRing(parsing: Self.first)
        var nonces: Set<[UInt8]> = []
        for _ in 0..<20_000 {
            let sealed = try ring.seal([], table: "t", column: "c", row: "r")
            nonces.insert(Array(sealed[7..<19]))
        }
        #expect(nonces.count == 20_000)
    }

    static let malformed: [(String, KeyRingError)] = [
        ("", KeyRingError.empty),
        (",", .malformed(entry: 1)),
        ("id", .malformed(entry: 1)),
        ("id:", .malformed(entry: 1)),
        (":" + Base64.encode([UInt8](0..<32)), .malformed(entry: 1)),
        ("a b:" + Base64.encode([UInt8](0..<32)), .malformed(entry: 1)),
        ("id:" + Base64.encode([UInt8](0..<31)), .malformed(entry: 1)),
        ("id:" + Base64.encode([UInt8](0..<33)), .malformed(entry: 1)),
        ("id:" + Base64URL.encode([UInt8](repeating: 0xFF, count: 32)), .malformed(entry: 1)),
        (first + ",", .malformed(entry: 2)),
        (first + "," + second + ",x:y", .malformed(entry: 3)),
        (String(repeating: "k", count: 33) + ":" + Base64.encode([UInt8](0..<32)), .malformed(entry: 1)),
    ]

    @Test(arguments: malformed)
    func `refuses malformed configuration without quoting it`(_ text: String, _ expected: KeyRingError) {
        #expect(throws: expected) { try KeyRing(parsing: text) }
    }

    @Test func `refuses one id given twice`() throws {
        let id = try #require(SealingKeyID("2026a"))
        #expect(throws: KeyRingError.duplicateID(id)) {
            try KeyRing(parsing: Self.first + ",2026a:" + Base64.encode([UInt8](32..<64)))
        }
    }
}
