// Record headers as plain pairs, so that this module stays free of any broker library: the Kafka wrapper's
// own header type has the same two fields.

/// One record header. Names may repeat and a value may be absent or hold any bytes.
package typealias HeaderPair = (name: String, value: [UInt8]?)

/// Every header name that the pipeline writes, once.
package enum HeaderName {
    package static let specVersion = "ce_specversion"
    package static let id = "ce_id"
    package static let type = "ce_type"
    package static let source = "ce_source"
    package static let subject = "ce_subject"
    package static let time = "ce_time"
    package static let contentType = "content-type"
    package static let traceParent = "traceparent"

    package static let verification = "plaid-verification"
    package static let receivedAt = "received-at"

    package static let originalTopic = "original-topic"
    package static let originalPartition = "original-partition"
    package static let originalOffset = "original-offset"
    package static let originalTimestamp = "original-timestamp"
    package static let consumerGroup = "consumer-group"
    package static let attempts = "attempts"
    package static let firstFailedAt = "first-failed-at"
    package static let lastFailedAt = "last-failed-at"
    package static let errorType = "error-type"
    package static let errorCode = "error-code"
    package static let errorReason = "error-reason"
}

/// Reading and writing single headers in a list of pairs.
package enum HeaderPairs {
    /// The first value under `name`, or nil when the header is missing, null or not UTF-8.
    package static func text(_ name: String, in pairs: [HeaderPair]) -> String? {
        guard let value = pairs.first(where: { $0.name == name })?.value else { return nil }
        return String(validating: value, as: UTF8.self)
    }

    /// The first value under `name` as a decimal integer, or nil when it is anything else.
    package static func integer(_ name: String, in pairs: [HeaderPair]) -> Int64? {
        text(name, in: pairs).flatMap { Int64($0) }
    }

    static func pair(_ name: String, _ value: String) -> HeaderPair {
        (name: name, value: Array(value.utf8))
    }

    /// Text made fit for a CloudEvents attribute, which may hold no control character and should stay short:
    /// ids come from outside, and an attribute is a label here, never the identity itself.
    static func attribute(_ text: String, maxScalars: Int = 256) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars.prefix(maxScalars) {
            let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
            result.append(isControl ? "\u{FFFD}" : scalar)
        }
        return String(result)
    }
}
