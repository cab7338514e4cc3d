import Basics
import CCrypto
import Cryptography
import Testing

@Suite struct SHA256Tests {
    static let published: [(String, String)] = [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ]

    @Test(arguments: published)
    func `hashes the published messages`(_ message: String, _ expected: String) {
        let bytes = Array(message.utf8)
        #expect(SHA256.hash(bytes).hex == expected)
        #expect(SHA256.hash(bytes.span).hex == expected)
        #expect(SHA256.hash(Bytes(bytes)).hex == expected)
        #expect(ccrypto_pending_error() == 0)
    }

    @Test func `hashes a million bytes in uneven pieces`() {
        var hasher = SHA256Hasher()
        var left = 1_000_000
        var size = 1
        while left > 0 {
            let piece = min(size, left)
            hasher.update([UInt8](repeating: UInt8(ascii: "a"), count: piece))
            left -= piece
            size = size * 3 % 9973 + 1
        }
        #expect(hasher.finish().hex == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test func `a hasher that was never fed gives the hash of nothing`() {
        var hasher = SHA256Hasher()
        hasher.update([])
        #expect(hasher.finish() == SHA256.hash([UInt8]()))
    }

    @Test(arguments: [0, 31, 33, 64])
    func `refuses digests of another length`(_ count: Int) {
        #expect(SHA256Digest([UInt8](repeating: 1, count: count)) == nil)
    }
}

@Suite struct HMACKeyTests {
    static let published: [([UInt8], String, String)] = [
        (
            [UInt8](repeating: 0x0b, count: 20), "Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            [UInt8](repeating: 0xaa, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
        ([], "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"),
    ]

    @Test(arguments: published)
    func `authenticates the published messages`(_ key: [UInt8], _ message: String, _ expected: String) {
        let keyed = HMACKey(bytes: key)
        for _ in 0..<3 { #expect(Hex.encode(keyed.authenticate(Array(message.utf8))) == expected) }
        #expect(ccrypto_pending_error() == 0)
    }

    @Test func `one key serves many tasks`() async {
        let keyed = HMACKey(Secret("a key of some length"))
        let expected = keyed.authenticate([1, 2, 3])
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask { (0..<200).allSatisfy { _ in keyed.authenticate([1, 2, 3]) == expected } }
            }
            for await same in group { #expect(same) }
        }
    }
}

@Suite struct ComparisonTests {
    @Test func `tells equal from different whatever the position`() {
        let reference = [UInt8](0..<32)
        #expect(constantTimeEqual(reference, reference))
        for bit in 0..<256 { #expect(!constantTimeEqual(reference, reference.flipping(bit: bit))) }
        #expect(!constantTimeEqual(reference, Array(reference.dropLast())))
        #expect(constantTimeEqual([], []))
        #expect(!constantTimeEqual([], [0]))
    }

    @Test func `random bytes have the length asked for and do not repeat`() {
        #expect(secureRandom(count: 0).isEmpty)
        var seen: Set<[UInt8]> = []
        for _ in 0..<10_000 {
            let bytes = secureRandom(count: 12)
            #expect(bytes.count == 12)
            seen.insert(bytes)
        }
        #expect(seen.count == 10_000)
        #expect(ccrypto_pending_error() == 0)
    }
}
