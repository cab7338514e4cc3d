import Basics
import Testing

@Suite struct TimestampTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", Int64(0), Int32(0)),
        ("2024-07-16T01:52:42.912331716Z", 1_721_094_762, 912_331_716),
        ("2024-02-29T23:59:59.5Z", 1_709_251_199, 500_000_000),
        ("2000-02-29T00:00:00+01:00", 951_778_800, 0),
        ("1969-12-31T23:59:59.000000001Z", -1, 1),
        ("2026-11-20t03:04:05z", 1_795_143_845, 0),
        ("2026-11-20 03:04:05-00:30", 1_795_145_645, 0),
        ("2016-12-31T23:59:60Z", 1_483_228_800, 0),
        ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
        ("9999-12-31T23:59:59.1234567899Z", 253_402_300_799, 123_456_789),
    ])
    func `reads RFC 3339`(_ text: String, _ seconds: Int64, _ nanoseconds: Int32) throws {
        let time = try #require(Timestamp(rfc3339: text))
        #expect(time.seconds == seconds)
        #expect(time.nanoseconds == nanoseconds)
    }

    @Test(arguments: [
        "", "2024-07-16", "2024-07-16T01:52:42", "2024-07-16T01:52:42.Z", "2024-13-16T01:52:42Z",
        "2024-02-30T01:52:42Z",
        "2023-02-29T01:52:42Z", "2024-07-16T24:00:00Z", "2024-07-16T01:60:00Z", "2024-07-16T01:52:61Z",
        "2024-07-16T01:52:42ZZ", "2024-07-16T01:52:42+1:00", "2024-07-16T01:52:42+01:60", "24-07-16T01:52:42.000000Z",
        "2024-07-16T01:52:42.٣Z", " 2024-07-16T01:52:42Z", "2024-07-00T01:52:42Z", "2024-07-16T01:52:42.12",
        "2024-07-16T01:52:42.000000000000000000000000000000000000000000000000000000000000000000000000Z",
    ])
    func `refuses what is not RFC 3339`(_ text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test(arguments: [
        (Int64(0), Int64(0), "1970-01-01T00:00:00Z"),
        (1_721_094_762, 912_331_716, "2024-07-16T01:52:42.912331716Z"),
        (1_721_094_762, 912_331_000, "2024-07-16T01:52:42.912331Z"),
        (1_721_094_762, 912_000_000, "2024-07-16T01:52:42.912Z"),
        (-1, 999_999_999, "1969-12-31T23:59:59.999999999Z"),
    ])
    func `writes the fewest digits that lose nothing`(_ seconds: Int64, _ nanoseconds: Int64, _ text: String) {
        #expect(Timestamp(seconds: seconds, nanoseconds: nanoseconds).rfc3339 == text)
    }

    @Test func `fixed digits are cut, not rounded`() {
        #expect(
            Timestamp(seconds: 0, nanoseconds: 999_999_999).rfc3339(fractionDigits: 6) == "1970-01-01T00:00:00.999999Z"
        )
    }

    @Test func `text survives a round trip over four thousand years`() throws {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<20_000 {
            let time = Timestamp(
                seconds: .random(in: -62_135_596_800...253_402_300_799, using: &random),
                nanoseconds: .random(in: 0..<1_000_000_000, using: &random)
            )
            #expect(Timestamp(rfc3339: time.rfc3339) == time)
        }
    }

    @Test func `sums and differences keep nanoseconds`() {
        let start = Timestamp(seconds: 10, nanoseconds: 900_000_000)
        let end = start + .milliseconds(250)
        #expect(end == Timestamp(seconds: 11, nanoseconds: 150_000_000))
        #expect(end - start == .milliseconds(250))
        #expect(start - end == .milliseconds(-250))
        #expect(end - .milliseconds(250) == start)
        #expect(start < end)
    }

    @Test func `counts of smaller units round down, and absurd dates saturate`() {
        #expect(Timestamp(seconds: -1, nanoseconds: 999_999_999).microsecondsSinceEpoch == -1)
        #expect(Timestamp(microsecondsSinceEpoch: -1) == Timestamp(seconds: -1, nanoseconds: 999_999_000))
        #expect(Timestamp(millisecondsSinceEpoch: 1_500) == Timestamp(seconds: 1, nanoseconds: 500_000_000))
        #expect(Timestamp(seconds: .max).millisecondsSinceEpoch == .max)
        #expect(Timestamp(seconds: .min).microsecondsSinceEpoch == .min)
    }
}
