// The logger: swift-log's names and shapes, so that a later swap is one file. Static messages, data in metadata with
// dotted keys; never bodies, tokens or personal data.

import Basics

/// Writes log lines at or above its level to its destination.
///
/// A value: metadata set on a copy stays with the copy. Messages and metadata are not evaluated below the level.
package struct Logger: Sendable {
    /// Severities from least to most severe.
    package enum Level: String, Sendable, CaseIterable, Comparable {
        case trace, debug, info, notice, warning, error, critical

        var order: Int {
            switch self {
            case .trace: 0
            case .debug: 1
            case .info: 2
            case .notice: 3
            case .warning: 4
            case .error: 5
            case .critical: 6
            }
        }

        package static func < (left: Level, right: Level) -> Bool { left.order < right.order }
    }

    package typealias Metadata = [String: MetadataValue]

    /// A value beside a message. Numbers and booleans in `stringConvertible` are written as such in JSON.
    package enum MetadataValue: Sendable {
        case string(String)
        case stringConvertible(any CustomStringConvertible & Sendable)
        case dictionary(Metadata)
        case array([MetadataValue])
    }

    /// The text of a line: static, so that lines can be counted by it.
    package struct Message: Sendable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
        CustomStringConvertible
    {
        package let description: String
        package init(stringLiteral value: String) { description = value }
    }

    /// Where in the program the line comes from: `kafka`, `postgres`.
    package let label: String
    /// Lines below it are neither evaluated nor written.
    package var logLevel: Level
    /// Written with every line of this logger.
    private var metadata: Metadata = [:]
    private let destination: LogDestination

    package init(label: String, destination: LogDestination) {
        self.label = label
        self.destination = destination
        logLevel = destination.level
    }

    /// The same logger under another label.
    package func labelled(_ label: String) -> Logger {
        var logger = Logger(label: label, destination: destination)
        logger.logLevel = logLevel
        logger.metadata = metadata
        return logger
    }

    package subscript(metadataKey key: String) -> MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(
        level: Level,
        _ message: @autoclosure () -> Message,
        metadata more: @autoclosure () -> Metadata? = nil
    ) {
        guard level >= logLevel else { return }
        var all = metadata
        if let more = more() { all.merge(more) { _, new in new } }
        destination.write(level, label: label, message: message().description, metadata: all)
    }
}

extension Logger {
    package func trace(_ message: @autoclosure () -> Message, metadata: @autoclosure () -> Metadata? = nil) {
        log(level: .trace, message(), metadata: metadata())
    }

    package func debug(_ message: @autoclosure () -> Message, metadata: @autoclosure () -> Metadata? = nil) {
        log(level: .debug, message(), metadata: metadata())
    }

    package func info(_ message: @autoclosure () -> Message, metadata: @autoclosure () -> Metadata? = nil) {
        log(level: .info, message(), metadata: metadata())
    }

    package func notice(_ message: @autoclosure () -> Message, metadata: @autoclosure () -> Metadata? = nil) {
        log(level: .notice, message(), metadata: metadata())
    }

    package func warning(_ message: @autoclosure () -> Message, metadata: @autoclosure () -> Metadata? = nil) {
        log(level: .warning, message(), metadata: metadata())
    }

    package func error(_ message: @autoclosure () -> Message, metadata: @autoclosure () -> Metadata? = nil) {
        log(level: .error, message(), metadata: metadata())
    }

    package func critical(_ message: @autoclosure () -> Message, metadata: @autoclosure () -> Metadata? = nil) {
        log(level: .critical, message(), metadata: metadata())
    }
}

extension Logger.MetadataValue: ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, CustomStringConvertible
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(arrayLiteral elements: Logger.MetadataValue...) { self = .array(elements) }

    /// Of a repeated key the last value counts.
    package init(dictionaryLiteral elements: (String, Logger.MetadataValue)...) {
        self = .dictionary(Logger.Metadata(elements) { _, last in last })
    }

    package var description: String {
        switch self {
        case .string(let text): text
        case .stringConvertible(let value): value.description
        case .array(let values): "[\(values.map(\.description).joined(separator: ", "))]"
        case .dictionary(let values):
            "[\(values.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", "))]"
        }
    }
}
