// Parameters as libpq wants them: arrays of pointers, lengths and formats that live for one call.

import Basics

/// Encodes the parameters of one statement after another. One per connection: its memory is used again.
///
/// Small values lie in one scratch buffer and are named by offset until the call, since growing it moves them;
/// large ones are lent where they are. libpq copies everything inside `PQsend…`.
struct ParameterBuffer {
    private enum Place {
        case null
        case scratch(offset: Int, count: Int)
        case lent(Int)
    }
    /// Never empty: a value of no bytes must still have an address, since a null pointer means SQL NULL.
    private var scratch: [UInt8] = [0]
    private var places: [Place] = []
    private var lent: [Bytes] = []

    /// Scratch beyond this is given back after the statement.
    private static let keptScratchBytes = 64 * 1024

    /// Calls `body` with what `PQsendQueryParams` and `PQsendQueryPrepared` take: count, values, lengths, formats.
    mutating func withParameters<Result>(
        _ parameters: [SQLValue],
        _ body: (
            Int32, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?
        ) -> Result
    ) -> Result {
        encode(parameters)
        defer { reset() }
        guard !parameters.isEmpty else { return body(0, nil, nil, nil) }
        return scratch.withUnsafeBytes { scratch in
            ParameterBuffer.withAddresses(of: lent[...], []) { addresses in
                withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: places.count) { values in
                    withUnsafeTemporaryAllocation(of: Int32.self, capacity: places.count * 2) { numbers in
                        for (index, place) in places.enumerated() {
                            let value = ParameterBuffer.locate(place, scratch, addresses)
                            values.initializeElement(
                                at: index,
                                to: value?.baseAddress?.assumingMemoryBound(to: CChar.self)
                            )
                            numbers.initializeElement(at: index, to: Int32(value?.count ?? 0))
                            numbers.initializeElement(at: places.count + index, to: 1)  // binary
                        }
                        guard let base = numbers.baseAddress else { return body(0, nil, nil, nil) }
                        return body(Int32(places.count), values.baseAddress, base, base + places.count)
                    }
                }
            }
        }
    }

    private static func locate(
        _ place: Place,
        _ scratch: UnsafeRawBufferPointer,
        _ addresses: [UnsafeRawBufferPointer]
    ) -> UnsafeRawBufferPointer? {
        switch place {
        case .null: nil
        case .scratch(let offset, let count): UnsafeRawBufferPointer(rebasing: scratch[offset..<offset + count])
        case .lent(let index): addresses[index]
        }
    }

    /// Holds every lent value open at once, one closure inside the other.
    private static func withAddresses<Result>(
        of lent: ArraySlice<Bytes>,
        _ found: [UnsafeRawBufferPointer],
        _ body: ([UnsafeRawBufferPointer]) -> Result
    ) -> Result {
        guard let first = lent.first else { return body(found) }
        return first.withUnsafeBytes { withAddresses(of: lent.dropFirst(), found + [$0], body) }
    }

    private mutating func encode(_ parameters: [SQLValue]) {
        for value in parameters {
            switch value {
            case .null: places.append(.null)
            case .body(let bytes), .bytea(let bytes):
                places.append(.lent(lent.count))
                lent.append(bytes)
            case .text(let text): append { $0.append(contentsOf: text.utf8) }
            case .bytes(let bytes): append { $0.append(contentsOf: bytes) }
            case .int4(let number): append { $0.appendBigEndian(number) }
            case .int8(let number): append { $0.appendBigEndian(number) }
            case .bool(let flag): append { $0.append(flag ? 1 : 0) }
            case .float8(let number): append { $0.appendBigEndian(number.bitPattern) }
            case .timestamp(let time):
                let (since2000, isTooEarly) = time.microsecondsSinceEpoch.subtractingReportingOverflow(
                    postgresEpochMicroseconds
                )
                append { $0.appendBigEndian(isTooEarly ? Int64.min : since2000) }
            case .textArray(let texts):
                append { $0.appendArray(of: TypeOID.text, texts.map { Array($0.utf8) }) }
            case .byteaArray(let elements): append { $0.appendArray(of: TypeOID.bytea, elements) }
            }
        }
    }

    private mutating func append(_ write: (inout [UInt8]) -> Void) {
        let offset = scratch.count
        write(&scratch)
        places.append(.scratch(offset: offset, count: scratch.count - offset))
    }

    private mutating func reset() {
        let keeps = scratch.capacity <= ParameterBuffer.keptScratchBytes
        scratch.removeAll(keepingCapacity: keeps)
        scratch.append(0)
        places.removeAll(keepingCapacity: true)
        lent.removeAll(keepingCapacity: true)
    }
}

extension SQLValue {
    /// The type told to the server; nil where NULL leaves it open.
    var typeOID: UInt32? {
        switch self {
        case .null: nil
        case .text, .body: TypeOID.text
        case .int4: TypeOID.int4
        case .int8: TypeOID.int8
        case .bool: TypeOID.bool
        case .bytes, .bytea: TypeOID.bytea
        case .timestamp: TypeOID.timestamptz
        case .textArray: TypeOID.textArray
        case .float8: TypeOID.float8
        case .byteaArray: TypeOID.byteaArray
        }
    }
}

extension [UInt8] {
    fileprivate mutating func appendBigEndian<Integer: FixedWidthInteger>(_ number: Integer) {
        Swift.withUnsafeBytes(of: number.bigEndian) { append(contentsOf: $0) }
    }

    /// One dimension, lower bound 1; an empty array has no dimension at all.
    fileprivate mutating func appendArray(of elementType: UInt32, _ elements: [[UInt8]?]) {
        appendBigEndian(Int32(elements.isEmpty ? 0 : 1))
        appendBigEndian(Int32(elements.contains { $0 == nil } ? 1 : 0))
        appendBigEndian(elementType)
        guard !elements.isEmpty else { return }
        appendBigEndian(Int32(elements.count))
        appendBigEndian(Int32(1))
        for element in elements {
            guard let element else {
                appendBigEndian(Int32(-1))
                continue
            }
            appendBigEndian(Int32(element.count))
            append(contentsOf: element)
        }
    }
}
