// CloudEvents 1.0 in the Kafka binding's binary mode: attributes as headers, the event's data as the value.

package import Basics

/// The attributes that every message of the pipeline carries.
package struct CloudEventHeaders: Hashable, Sendable {
    /// Unique within `source`; equal for repeats of one event.
    package var id: String
    package var type: String
    /// A URI reference: what the event came from.
    package var source: String
    /// What the event is about; a label, cut at 256 characters.
    package var subject: String?
    package var time: Timestamp
    package var contentType: String
    package var traceParent: TraceParent?

    package init(
        id: String,
        type: String,
        source: String,
        subject: String? = nil,
        time: Timestamp,
        contentType: String = "application/json",
        traceParent: TraceParent? = nil
    ) {
        self.id = id
        self.type = type
        self.source = source
        self.subject = subject
        self.time = time
        self.contentType = contentType
        self.traceParent = traceParent
    }

    package var kafkaPairs: [HeaderPair] {
        var pairs = [
            HeaderPairs.pair(HeaderName.specVersion, "1.0"),
            HeaderPairs.pair(HeaderName.id, id),
            HeaderPairs.pair(HeaderName.type, HeaderPairs.attribute(type)),
            HeaderPairs.pair(HeaderName.source, source),
            HeaderPairs.pair(HeaderName.time, time.rfc3339(fractionDigits: 6)),
            HeaderPairs.pair(HeaderName.contentType, contentType),
        ]
        if let subject { pairs.append(HeaderPairs.pair(HeaderName.subject, HeaderPairs.attribute(subject))) }
        if let traceParent { pairs.append(HeaderPairs.pair(HeaderName.traceParent, traceParent.rendered)) }
        return pairs
    }

    /// Reads the attributes back.
    ///
    /// - Returns: nil when one of version (any 1.x), id, type, source or time is missing or malformed: such a record is
    ///   taken by its Kafka timestamp and coordinates instead. A malformed `traceparent` is only left out.
    package init?(_ pairs: [HeaderPair]) {
        guard let version = HeaderPairs.text(HeaderName.specVersion, in: pairs), version.hasPrefix("1."),
            let id = HeaderPairs.text(HeaderName.id, in: pairs), !id.isEmpty,
            let type = HeaderPairs.text(HeaderName.type, in: pairs), !type.isEmpty,
            let source = HeaderPairs.text(HeaderName.source, in: pairs), !source.isEmpty,
            let time = HeaderPairs.text(HeaderName.time, in: pairs).flatMap({ Timestamp(rfc3339: $0) })
        else { return nil }
        self.init(
            id: id,
            type: type,
            source: source,
            subject: HeaderPairs.text(HeaderName.subject, in: pairs),
            time: time,
            contentType: HeaderPairs.text(HeaderName.contentType, in: pairs) ?? "application/json",
            traceParent: HeaderPairs.text(HeaderName.traceParent, in: pairs).flatMap { TraceParent(parsing: $0) }
        )
    }
}
