import Basics
import Testing

@Suite struct EncodingTests {
    @Test(arguments: 0..<70)
    func `every encoding reads back what it wrote`(_ length: Int) {
        var random = SeededGenerator(seed: UInt64(length) + 1)
        let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
        #expect(Hex.decode(Hex.encode(bytes)) == bytes)
        #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
    }

    @Test(arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")])
    func `base64 of RFC 4648`(_ plain: String, _ encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Array(plain.utf8))
        #expect(Base64URL.encode(Array(plain.utf8)) == encoded.filter { $0 != "=" })
    }

    @Test(arguments: ["Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Z===", "Zm 9", "Zm9v\n", "Zm-_", "===="])
    func `base64 has one spelling`(_ text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test(arguments: ["Z", "Zg==", "Zh", "Zm9", "Zm+/", "Zm9v ", "Zm9v\0"])
    func `base64url has one spelling`(_ text: String) {
        #expect(Base64URL.decode(text) == nil)
    }

    @Test(arguments: ["0", "0g", "zz", "0 ", "é0"])
    func `hex refuses the rest`(_ text: String) {
        #expect(Hex.decode(text) == nil)
    }

    @Test func `hex reads both cases and writes lower`() {
        #expect(Hex.decode("aBfF") == [0xAB, 0xFF])
        #expect(Hex.encode([0xAB, 0xFF]) == "abff")
    }
}

@Suite struct QuantityTests {
    @Test(arguments: [
        ("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000), ("0s", 0), ("7d", 604_800_000),
    ])
    func `durations`(_ text: String, _ milliseconds: Int64) {
        #expect(Duration(parsing: text) == .milliseconds(milliseconds))
    }

    @Test(arguments: [
        "", "5", "s", "-5s", "5 s", "5S", "1.5s", "5sec", "99999999999999999999s", "9223372036854775807h", "٥s",
    ])
    func `not durations`(_ text: String) {
        #expect(Duration(parsing: text) == nil)
    }

    @Test(arguments: [("64KiB", 65_536), ("1MiB", 1_048_576), ("2GiB", 2_147_483_648), ("10B", 10)])
    func `sizes`(_ text: String, _ bytes: Int) {
        #expect(ByteCount(parsing: text)?.bytes == bytes)
        #expect(ByteCount(parsing: text)?.settingText == text)
    }

    @Test(arguments: ["", "1", "1MB", "KiB", "-1KiB", "9999999999999GiB"])
    func `not sizes`(_ text: String) {
        #expect(ByteCount(parsing: text) == nil)
    }

    @Test(arguments: ["24h", "5m", "30s", "500ms", "90s"])
    func `a duration prints as it is written`(_ text: String) {
        #expect(Duration(parsing: text)?.settingText == text)
    }

    @Test func `instants saturate`() {
        #expect(MonotonicInstant.distantFuture + .seconds(1) == .distantFuture)
        #expect(MonotonicInstant(nanoseconds: 5) + .seconds(-1) == MonotonicInstant(nanoseconds: 0))
        #expect(MonotonicInstant(nanoseconds: 5) - MonotonicInstant(nanoseconds: 8) == .nanoseconds(-3))
    }
}
