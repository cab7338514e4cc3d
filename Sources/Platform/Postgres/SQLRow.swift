// Results as values: rows decode PostgreSQL's binary formats on demand.

package import Basics

/// One row of a result. Keeps the whole result's memory alive.
///
/// Every column comes in binary format. An accessor returns nil for NULL, for a column that does not exist and for a
/// type it does not read; `numeric`, `interval` and other types are read as `column::text`.
package struct SQLRow: Sendable {
    let owner: ResultOwner
    let index: Int

    /// Number of columns.
    package var count: Int { owner.columnCount }

    package func isNull(_ column: Int) -> Bool { owner.value(row: index, column: column) == nil }

    /// The column's place, or nil when the result has no column of exactly this name.
    package func columnIndex(named name: String) -> Int? { owner.columnIndex(named: name) }

    /// `text`, `varchar`, `char`, `name`, `json`, `jsonb`, and `uuid` in its usual spelling.
    package func text(_ column: Int) -> String? {
        guard let raw = owner.value(row: index, column: column) else { return nil }
        switch owner.typeOID(column) {
        case TypeOID.text, TypeOID.varchar, TypeOID.bpchar, TypeOID.name, TypeOID.json, TypeOID.unknown:
            return String(validating: raw, as: UTF8.self)
        case TypeOID.jsonb:
            // A version byte, 1, stands before the text.
            guard raw.first == 1 else { return nil }
            return String(validating: raw.dropFirst(), as: UTF8.self)
        case TypeOID.uuid: return raw.count == 16 ? uuidText(raw) : nil
        default: return nil
        }
    }

    /// `int2`, `int4`, `int8`, `oid`
    package func int(_ column: Int) -> Int64? {
        guard let raw = owner.value(row: index, column: column) else { return nil }
        switch owner.typeOID(column) {
        case TypeOID.int2: return bigEndian(raw, Int16.self).map { Int64($0) }
        case TypeOID.int4: return bigEndian(raw, Int32.self).map { Int64($0) }
        case TypeOID.int8: return bigEndian(raw, Int64.self)
        case TypeOID.oid: return bigEndian(raw, UInt32.self).map { Int64($0) }
        default: return nil
        }
    }

    package func bool(_ column: Int) -> Bool? {
        guard owner.typeOID(column) == TypeOID.bool else { return nil }
        let raw = owner.value(row: index, column: column)
        return raw?.first.map { $0 != 0 }
    }

    /// `float4`, `float8`, and the integer types
    package func double(_ column: Int) -> Double? {
        guard let raw = owner.value(row: index, column: column) else { return nil }
        switch owner.typeOID(column) {
        case TypeOID.float4: return bigEndian(raw, UInt32.self).map { Double(Float(bitPattern: $0)) }
        case TypeOID.float8: return bigEndian(raw, UInt64.self).map { Double(bitPattern: $0) }
        default: return int(column).map { Double($0) }
        }
    }

    /// `timestamptz`; `timestamp` is taken as UTC. Nil also for the infinities.
    package func timestamp(_ column: Int) -> Timestamp? {
        guard let raw = owner.value(row: index, column: column),
            [TypeOID.timestamptz, TypeOID.timestamp].contains(owner.typeOID(column)),
            let microseconds = bigEndian(raw, Int64.self), microseconds != .min, microseconds != .max
        else { return nil }
        let (sinceEpoch, overflow) = microseconds.addingReportingOverflow(postgresEpochMicroseconds)
        return overflow ? nil : Timestamp(microsecondsSinceEpoch: sinceEpoch)
    }

    /// A copy of the value's bytes: a `bytea`, or the binary form of any other type.
    package func bytes(_ column: Int) -> [UInt8]? { owner.value(row: index, column: column).map { [UInt8]($0) } }

    /// A `text` or `bytea` column as it stands in the result: no copy, no check of its encoding, no padding.
    package func body(_ column: Int) -> Bytes? {
        guard let raw = owner.value(row: index, column: column), let base = raw.baseAddress,
            [TypeOID.text, TypeOID.varchar, TypeOID.bytea, TypeOID.json].contains(owner.typeOID(column))
        else { return nil }
        let owner = owner
        return Bytes(adopting: UnsafeMutableRawPointer(mutating: base), count: raw.count, readablePadding: 0) { _ in
            withExtendedLifetime(owner) {}
        }
    }

    /// `text[]` with one dimension and no NULL in it.
    package func textArray(_ column: Int) -> [String]? {
        guard owner.typeOID(column) == TypeOID.textArray, let elements = arrayElements(column) else { return nil }
        let texts = elements.compactMap { $0.flatMap { String(validating: $0, as: UTF8.self) } }
        return texts.count == elements.count ? texts : nil
    }

    /// `bytea[]` with one dimension.
    package func byteaArray(_ column: Int) -> [[UInt8]?]? {
        guard owner.typeOID(column) == TypeOID.byteaArray else { return nil }
        return arrayElements(column)
    }

    /// Dimensions, a flag, the element type, length and lower bound, then each element's length (-1: NULL) and bytes.
    private func arrayElements(_ column: Int) -> [[UInt8]?]? {
        guard let raw = owner.value(row: index, column: column), raw.count >= 12,
            let dimensions = bigEndian(UnsafeRawBufferPointer(rebasing: raw[0..<4]), Int32.self)
        else { return nil }
        if dimensions == 0 { return [] }
        guard dimensions == 1, raw.count >= 20,
            let length = bigEndian(UnsafeRawBufferPointer(rebasing: raw[12..<16]), Int32.self), length >= 0
        else { return nil }
        var elements: [[UInt8]?] = []
        var offset = 20
        for _ in 0..<length {
            guard offset + 4 <= raw.count,
                let size = bigEndian(UnsafeRawBufferPointer(rebasing: raw[offset..<offset + 4]), Int32.self)
            else { return nil }
            offset += 4
            if size < 0 {
                elements.append(nil)
                continue
            }
            guard offset + Int(size) <= raw.count else { return nil }
            elements.append([UInt8](raw[offset..<offset + Int(size)]))
            offset += Int(size)
        }
        return elements
    }

    private func uuidText(_ raw: UnsafeRawBufferPointer) -> String {
        let hex = Hex.encode([UInt8](raw))
        var text = ""
        for (place, character) in hex.enumerated() {
            if [8, 12, 16, 20].contains(place) { text.append("-") }
            text.append(character)
        }
        return text
    }
}

/// What one statement answered.
package struct SQLResult: Sendable {
    package let rows: [SQLRow]
    /// Rows that INSERT, UPDATE or DELETE touched, or that SELECT returned.
    package let affected: Int
    /// The command as the server saw it.
    let commandTag: String

    package init(rows: [SQLRow], affected: Int) {
        self.rows = rows
        self.affected = affected
        commandTag = ""
    }

    init(_ owner: ResultOwner) {
        rows = (0..<owner.rowCount).map { SQLRow(owner: owner, index: $0) }
        affected = owner.affectedRows
        commandTag = owner.commandTag
    }
}

/// Reads a value of exactly the integer's size.
private func bigEndian<Integer: FixedWidthInteger>(_ raw: UnsafeRawBufferPointer, _: Integer.Type) -> Integer? {
    guard raw.count == MemoryLayout<Integer>.size else { return nil }
    return Integer(bigEndian: raw.loadUnaligned(as: Integer.self))
}
