// One log line as bytes, as JSON for machines or as text for people. Hostile strings stay inside their quotes and on
// their line; long ones are cut.

import Basics

/// Turns the parts of a line into bytes; no I/O.
struct LogLineRenderer: Sendable {
    /// Longer strings are cut here, at a character's boundary, and marked with `…`.
    static let maxStringBytes = 2048
    /// Once a line is this long no further metadata is added, and `log.truncated` says so.
    static let maxLineBytes = 16 << 10
    /// Deeper values of dictionaries and arrays are written as text.
    static let maxDepth = 4

    /// Our own keys; metadata that uses one is moved under `metadata.`.
    static let reservedKeys: Set<String> = ["time", "level", "message", "logger", "service.name", "log.truncated"]

    let format: LogFormat
    let service: String

    func line(
        time: Timestamp,
        level: Logger.Level,
        label: String,
        message: String,
        metadata: Logger.Metadata
    ) -> [UInt8] {
        switch format {
        case .json: json(time, level, label, message, metadata)
        case .text: text(time, level, label, message, metadata)
        }
    }

    // MARK: JSON

    private func json(
        _ time: Timestamp,
        _ level: Logger.Level,
        _ label: String,
        _ message: String,
        _ metadata: Logger.Metadata
    ) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(256)
        line += "{\"time\":\"".utf8
        line += time.rfc3339(fractionDigits: 6).utf8
        line += "\",\"level\":\"".utf8
        line += level.rawValue.utf8
        line += "\",\"message\":".utf8
        Self.appendJSON(message, to: &line)
        line += ",\"logger\":".utf8
        Self.appendJSON(label, to: &line)
        line += ",\"service.name\":".utf8
        Self.appendJSON(service, to: &line)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            if line.count > Self.maxLineBytes {
                line += ",\"log.truncated\":true".utf8
                break
            }
            line.append(UInt8(ascii: ","))
            Self.appendJSON(Self.name(of: key, in: metadata), to: &line)
            line.append(UInt8(ascii: ":"))
            Self.appendJSON(value, depth: 0, to: &line)
        }
        line += "}\n".utf8
        return line
    }

    /// The key as it is written: out of the way of ours, and of the other metadata.
    private static func name(of key: String, in metadata: Logger.Metadata) -> String {
        var name = key
        while reservedKeys.contains(name) || (name != key && metadata[name] != nil) { name = "metadata.\(name)" }
        return name
    }

    private static func appendJSON(_ value: Logger.MetadataValue, depth: Int, to line: inout [UInt8]) {
        switch value {
        case .string(let text): appendJSON(text, to: &line)
        case .stringConvertible(let value): appendJSON(convertible: value, to: &line)
        case .array(let values) where depth < maxDepth:
            line.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { line.append(UInt8(ascii: ",")) }
                if line.count > maxLineBytes {
                    line += "\"…\"".utf8
                    break
                }
                appendJSON(value, depth: depth + 1, to: &line)
            }
            line.append(UInt8(ascii: "]"))
        case .dictionary(let values) where depth < maxDepth:
            line.append(UInt8(ascii: "{"))
            for (index, entry) in values.sorted(by: { $0.key < $1.key }).enumerated() where line.count <= maxLineBytes {
                if index > 0 { line.append(UInt8(ascii: ",")) }
                appendJSON(entry.key, to: &line)
                line.append(UInt8(ascii: ":"))
                appendJSON(entry.value, depth: depth + 1, to: &line)
            }
            line.append(UInt8(ascii: "}"))
        case .array, .dictionary: appendJSON(value.description, to: &line)
        }
    }

    /// Numbers and booleans keep their JSON type; a number that JSON cannot write becomes a string.
    private static func appendJSON(convertible value: any CustomStringConvertible & Sendable, to line: inout [UInt8]) {
        switch value {
        case let value as any BinaryInteger: line += String(describing: value).utf8
        case let value as Double where value.isFinite: line += value.description.utf8
        case let value as Bool: line += (value ? "true" : "false").utf8
        default: appendJSON(value.description, to: &line)
        }
    }

    private static func appendJSON(_ text: String, to line: inout [UInt8]) {
        JSONText.append(cut(text), to: &line)
    }

    // MARK: Text

    private func text(
        _ time: Timestamp,
        _ level: Logger.Level,
        _ label: String,
        _ message: String,
        _ metadata: Logger.Metadata
    ) -> [UInt8] {
        let name = level.rawValue
        var line = "\(time.rfc3339(fractionDigits: 3)) "
        line += name + String(repeating: " ", count: max(0, 8 - name.count))
        line += " [\(Self.onOneLine(label))] \(Self.onOneLine(message))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            if line.utf8.count > Self.maxLineBytes {
                line += " log.truncated=true"
                break
            }
            let text = Self.onOneLine(value.description)
            let needsQuotes = text.isEmpty || text.contains { $0 == " " || $0 == "=" || $0 == "\"" }
            line += " \(Self.onOneLine(key))="
            line += needsQuotes ? "\"\(escapingQuotes(text))\"" : text
        }
        return Array(line.utf8) + [UInt8(ascii: "\n")]
    }

    private func escapingQuotes(_ text: String) -> String {
        text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"")
    }

    private static func onOneLine(_ text: String) -> String { LineText.visible(cut(text)) }

    private static func cut(_ text: String) -> String { LineText.cut(text, limit: maxStringBytes) }
}
