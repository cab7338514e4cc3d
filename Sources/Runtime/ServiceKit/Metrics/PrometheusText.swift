// Prometheus' text exposition format, version 0.0.4.

/// Collects lines of the format.
struct PrometheusText {
    private(set) var bytes: [UInt8] = []

    mutating func begin(_ name: String, _ kind: MetricKind, help: String) {
        bytes += "# HELP \(name) \(Self.escapeHelp(help))\n# TYPE \(name) \(kind.rawValue)\n".utf8
    }

    /// - Parameter labels: Rendered, without braces.
    mutating func sample(_ name: String, _ labels: String, _ value: Double) {
        bytes += (labels.isEmpty ? name : "\(name){\(labels)}").utf8
        bytes.append(UInt8(ascii: " "))
        bytes += Self.text(of: value).utf8
        bytes.append(UInt8(ascii: "\n"))
    }

    mutating func histogram(_ name: String, _ labels: String, _ snapshot: Histogram.Snapshot, _ bounds: [Double]) {
        let prefix = labels.isEmpty ? "" : "\(labels),"
        for (bound, count) in zip(bounds.map(Self.text(of:)) + ["+Inf"], snapshot.cumulative) {
            sample("\(name)_bucket", "\(prefix)le=\"\(bound)\"", Double(count))
        }
        sample("\(name)_sum", labels, snapshot.sum)
        sample("\(name)_count", labels, Double(snapshot.count))
    }

    /// Whole numbers without a fraction, as far as a Double counts them exactly.
    static func text(of value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), value.magnitude < 9_007_199_254_740_992 { return String(Int64(value)) }
        return value.description
    }

    private static func escapeHelp(_ help: String) -> String {
        help.split(separator: "\\", omittingEmptySubsequences: false).joined(separator: "\\\\")
            .split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n")
    }
}
