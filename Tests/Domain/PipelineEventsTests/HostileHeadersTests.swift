import Basics
import PipelineEvents
import Testing

@Suite struct HostileHeadersTests {
    private static let names = [
        "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "content-type", "traceparent",
        "plaid-verification", "received-at", "original-topic", "original-partition", "original-offset",
        "original-timestamp", "consumer-group", "attempts", "first-failed-at", "last-failed-at", "error-type", "",
    ]
    private static let texts = [
        "1.0", "0", "1", "-1", "9223372036854775807", "99999999999999999999", "2026-11-21T03:00:01.123456Z",
        "2026-11-21T03:00:01+99:99", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "", "\u{0}", "é",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ]

    private static func value(using random: inout SeededGenerator) -> [UInt8]? {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return nil
        case 1:
            return (0..<Int.random(in: 0..<70, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        default:
            var bytes = Array(texts.randomElement(using: &random).map { $0.utf8 } ?? "".utf8)
            if !bytes.isEmpty, Bool.random(using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            return bytes
        }
    }

    /// Whatever a stranger wrote into a topic, a consumer reads it and goes on.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func `no list of headers stops a reader, and what is read can be written and read again`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let origin = RecordOrigin(topic: "t", partition: 1, offset: 2, timestamp: Timestamp(secondsSinceEpoch: 3))
        var failures = 0
        for _ in 0..<1_000 {
            var pairs: [HeaderPair] = Self.names.shuffled(using: &random).prefix(Int.random(in: 0...20, using: &random))
                .map { (name: $0, value: Self.value(using: &random)) }
            if Bool.random(using: &random) {
                pairs.append((name: "original-topic", value: Array("first".utf8)))
                pairs.append((name: "original-partition", value: [UInt8(ascii: "7")]))
            }
            let facts = WebhookEnvelope.read(pairs, origin: origin)
            #expect(!facts.eventID.isEmpty)
            if let event = CloudEventHeaders(pairs) { #expect(CloudEventHeaders(event.kafkaPairs)?.id == event.id) }
            let provenance = FailureProvenance(
                group: "g",
                original: facts.original,
                attempts: 1,
                firstFailedAt: origin.timestamp,
                lastFailedAt: origin.timestamp,
                errorType: "x"
            )
            let again = WebhookEnvelope.read(provenance.added(to: pairs), origin: origin)
            // The first record's time is kept to the millisecond that Kafka has.
            if again.eventID != facts.eventID || again.receivedAtIsMeasured != facts.receivedAtIsMeasured {
                failures += 1
            }
        }
        #expect(failures == 0)
    }
}
