// What a command prints: tables and records for people, the same as JSON for programs. Results go to standard output,
// everything else to standard error.

package import Basics
package import JSON

package enum OutputFormat: String, Sendable { case table, json }

/// One value of a table or a record.
package enum OutputValue: Sendable, Equatable {
    case text(String)
    case integer(Int64)
    case number(Double)
    case bool(Bool)
    case time(Timestamp)
    case list([OutputValue])
    case none

    package static func optional(_ text: String?) -> OutputValue { text.map { .text($0) } ?? .none }
    package static func optional(_ number: Int64?) -> OutputValue { number.map { .integer($0) } ?? .none }
    package static func optional(_ time: Timestamp?) -> OutputValue { time.map { .time($0) } ?? .none }

    /// For a table: on one line, absent values as `-`.
    var cell: String {
        switch self {
        case .text(let text): LineText.visible(text)
        case .integer(let number): String(number)
        case .number(let number): number.description
        case .bool(let flag): flag ? "yes" : "no"
        case .time(let time): time.rfc3339
        case .list(let values): values.isEmpty ? "-" : values.map(\.cell).joined(separator: ", ")
        case .none: "-"
        }
    }

    var isNumeric: Bool {
        switch self {
        case .integer, .number: true
        default: false
        }
    }

    func appendJSON(to bytes: inout [UInt8]) {
        switch self {
        case .text(let text): JSONText.append(text, to: &bytes)
        case .integer(let number): bytes += String(number).utf8
        case .number(let number) where number.isFinite: bytes += number.description.utf8
        case .bool(let flag): bytes += (flag ? "true" : "false").utf8
        case .time(let time): JSONText.append(time.rfc3339, to: &bytes)
        case .list(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                value.appendJSON(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .none, .number: bytes += "null".utf8
        }
    }
}

/// Rows under named columns. The names are the JSON keys; a table shows them in capitals.
package struct OutputTable: Sendable {
    package let columns: [String]
    package private(set) var rows: [[OutputValue]] = []

    package init(columns: [String]) { self.columns = columns }

    package mutating func add(_ row: [OutputValue]) {
        precondition(row.count == columns.count, "a row has a value for each column")
        rows.append(row)
    }

    /// Columns as wide as their widest cell, two blanks between; numbers stand to the right.
    func text() -> String {
        let titles = columns.map { $0.uppercased().split(separator: "_").joined(separator: " ") }
        let cells = rows.map { $0.map(\.cell) }
        let widths = titles.indices.map { column in
            ([titles[column]] + cells.map { $0[column] }).map(\.count).max() ?? 0
        }
        let isRight = columns.indices.map { column in
            !rows.isEmpty && rows.allSatisfy { $0[column].isNumeric || $0[column] == .none }
                && rows.contains { $0[column].isNumeric }
        }
        let lines = ([titles] + cells).map { line in
            let padded = line.indices.map { column in
                isRight[column]
                    ? line[column].paddedBefore(to: widths[column]) : line[column].padded(to: widths[column])
            }
            let text = padded.joined(separator: "  ")
            return String(text.reversed().drop { $0 == " " }.reversed())
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// An array of objects.
    func json() -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "[")]
        for (index, row) in rows.enumerated() {
            bytes += (index > 0 ? ",\n " : "").utf8
            OutputTable.appendObject(zip(columns, row), to: &bytes)
        }
        bytes += "]\n".utf8
        return bytes
    }

    static func appendObject(_ members: some Sequence<(String, OutputValue)>, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "{"))
        for (index, member) in members.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            JSONText.append(member.0, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            member.1.appendJSON(to: &bytes)
        }
        bytes.append(UInt8(ascii: "}"))
    }
}

/// Prints results in the format that was asked for.
package struct CommandOutput: Sendable {
    package let format: OutputFormat
    private let write: @Sendable ([UInt8]) -> Void

    package init(
        format: OutputFormat,
        write: @escaping @Sendable ([UInt8]) -> Void = { OutputDescriptor.standardOutput.write($0) }
    ) {
        self.format = format
        self.write = write
    }

    package func print(_ table: OutputTable) {
        write(format == .json ? table.json() : Array(table.text().utf8))
    }

    /// One thing: a line for each member, or a JSON object.
    package func print(_ record: [(String, OutputValue)]) {
        switch format {
        case .json:
            var bytes: [UInt8] = []
            OutputTable.appendObject(record, to: &bytes)
            write(bytes + [UInt8(ascii: "\n")])
        case .table:
            let width = record.map(\.0.count).max() ?? 0
            let lines = record.map { "\($0.0.padded(to: width))  \($0.1.cell)\n" }
            write(Array(lines.joined().utf8))
        }
    }

    /// A tree, the same in both formats.
    package func print(_ value: JSONValue) { write(value.serialized(pretty: true) + [UInt8(ascii: "\n")]) }

    /// Bytes as they are, for example a report's body.
    package func print(raw bytes: [UInt8]) { write(bytes) }
}
