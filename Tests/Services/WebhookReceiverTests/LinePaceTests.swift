import Basics
import Testing

@testable import WebhookReceiver

@Suite struct LinePaceTests {
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000)

    @Test func `the first line passes, then one in thirty seconds that counts the others`() {
        var pace = LinePace()
        #expect(pace.take("kafka", at: start) == 0)
        for second in 1..<30 { #expect(pace.take("kafka", at: start + .seconds(second)) == nil) }
        #expect(pace.take("kafka", at: start + .seconds(30)) == 29)
        #expect(pace.take("kafka", at: start + .seconds(31)) == nil)
        #expect(pace.take("kafka", at: start + .seconds(60)) == 1)
    }

    @Test func `kinds do not silence each other`() {
        var pace = LinePace()
        #expect(pace.take("timedOut", at: start) == 0)
        #expect(pace.take("transport", at: start) == 0)
        #expect(pace.take("timedOut", at: start) == nil)
    }

    @Test func `memory is bounded whatever is asked`() {
        var pace = LinePace()
        for number in 0..<10_000 { _ = pace.take("kind \(number)", at: start) }
        #expect(pace.take("kind 9999", at: start) == 0)
        #expect(pace.take("kind 0", at: start) == nil)
    }
}
