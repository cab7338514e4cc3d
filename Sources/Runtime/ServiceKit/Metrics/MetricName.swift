// Names and labels in Prometheus' text format: checked once, at creation.

/// What is wrong with a name is a bug of the program, so the checks are preconditions.
enum MetricName {
    /// Metrics begin with our own prefix, or are OpenTelemetry's where one exists.
    static let prefixes = [
        "check_pipeline_", "process_", "http_server_", "http_client_", "messaging_", "db_client_", "target_info",
    ]

    static func check(_ name: String, kind: MetricKind) {
        precondition(isName(name), "not a metric name: \(name)")
        precondition(prefixes.contains { name.hasPrefix($0) }, "a metric's name begins with check_pipeline_: \(name)")
        precondition((kind == .counter) == name.hasSuffix("_total"), "counters, and only they, end in _total: \(name)")
        for suffix in ["_count", "_sum", "_bucket"] {
            precondition(!name.hasSuffix(suffix), "\(suffix) is kept for histograms: \(name)")
        }
    }

    static func check(labels: [(String, String)]) {
        for (index, label) in labels.enumerated() {
            precondition(isName(label.0) && !label.0.contains(":") && label.0 != "le", "not a label name: \(label.0)")
            precondition(!labels[..<index].contains { $0.0 == label.0 }, "a label stands twice: \(label.0)")
        }
    }

    /// `name="value",…` without braces; empty without labels.
    static func render(_ labels: [(String, String)]) -> String {
        labels.map { "\($0.0)=\"\(escape($0.1))\"" }.joined(separator: ",")
    }

    private static func escape(_ value: String) -> String {
        var result = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }

    private static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !isDigit(first) else { return false }
        return name.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ":") }
    }
}

package enum MetricKind: String, Sendable { case counter, gauge, histogram }
