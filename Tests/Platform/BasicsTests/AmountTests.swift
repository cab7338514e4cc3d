import Basics
import Testing

@Suite struct AmountTests {
    @Test(arguments: ["0", "-1520.33", "4956.125", "0.1", "99999999999999999999.999999", "12", "-0.001", "1.50"])
    func `keeps every digit`(_ text: String) throws {
        #expect(try #require(Amount(text)).description == text)
    }

    @Test(arguments: [
        "", "-", ".5", "5.", "1e3", "+1", "01", "00", "1.2.3", " 1", "1 ", "12abc", "0x10", "1,5", "--1", "NaN", "１",
        "1234567890123456789012345678901234567", "0.1234567890123456789",
    ])
    func `refuses what is not a plain number`(_ text: String) {
        #expect(Amount(text) == nil)
    }

    @Test func `equal values are equal whatever their scale`() throws {
        let short = try #require(Amount("1.5"))
        let long = try #require(Amount("1.500"))
        #expect(short == long)
        #expect(short.hashValue == long.hashValue)
        #expect(short <= long)
        #expect(try #require(Amount("-2")) < short)
    }

    @Test func `sums are exact`() throws {
        var sum = try #require(Amount("0"))
        let dime = try #require(Amount("0.1"))
        for _ in 0..<10 { sum = try #require(sum.adding(dime)) }
        #expect(sum == Amount("1"))
        #expect(sum.adding(sum.negated) == Amount("0"))
    }

    @Test func `a sum that does not fit is nil, not a trap`() {
        let huge = Amount(unscaled: .max, scale: 0)
        #expect(huge.adding(Amount(unscaled: 1, scale: 18)) == nil)
        #expect(huge.adding(huge) == nil)
        #expect(huge > Amount(unscaled: 1, scale: 18))
        #expect(Amount(unscaled: -Int128.max, scale: 0) < Amount(unscaled: 1, scale: 18))
    }
}
