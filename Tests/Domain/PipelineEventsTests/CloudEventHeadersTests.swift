import Basics
import PipelineEvents
import Testing

@Suite struct CloudEventHeadersTests {
    private static let event = CloudEventHeaders(
        id: "1",
        type: "t",
        source: "/s",
        subject: "about",
        time: Timestamp(microsecondsSinceEpoch: 1_795_230_001_000_001),
        contentType: "application/json",
        traceParent: TraceParent(traceID: 1, spanID: 2, flags: 0)
    )

    @Test func `reads back what it writes`() {
        #expect(CloudEventHeaders(Self.event.kafkaPairs) == Self.event)
    }

    @Test(arguments: ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time"])
    func `is no CloudEvent without a required attribute`(_ name: String) {
        #expect(CloudEventHeaders(Self.event.kafkaPairs.filter { $0.name != name }) == nil)
        let emptied = Self.event.kafkaPairs.map { $0.name == name ? (name: name, value: []) : $0 }
        #expect(CloudEventHeaders(emptied) == nil)
    }

    @Test func `takes a later 1_x version and refuses another major one`() {
        func versioned(_ version: String) -> [HeaderPair] {
            Self.event.kafkaPairs.map { $0.name == "ce_specversion" ? (name: $0.name, value: Array(version.utf8)) : $0 }
        }
        #expect(CloudEventHeaders(versioned("1.1")) != nil)
        #expect(CloudEventHeaders(versioned("2.0")) == nil)
    }

    @Test func `labels from outside carry no control character and stay short`() throws {
        var event = Self.event
        event.subject = "a\u{0}b\n\u{85}" + String(repeating: "é", count: 400)
        let subject = try #require(CloudEventHeaders(event.kafkaPairs)?.subject)
        #expect(subject.hasPrefix("a\u{FFFD}b\u{FFFD}\u{FFFD}é"))
        #expect(subject.unicodeScalars.count == 256)
    }

    @Test func `the first of repeated headers counts`() {
        let pairs = [(name: "ce_id", value: Array("first".utf8))] + Self.event.kafkaPairs
        #expect(CloudEventHeaders(pairs)?.id == "first")
    }
}
