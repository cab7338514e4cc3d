// Lending a record's parts to C for one call.

import Basics
import CKafka

extension ProducerRecord {
    /// Calls `body` with key, value and headers as C wants them. The headers belong to whoever `body` gives them to.
    func withParts<Result>(
        _ body: (UnsafeRawBufferPointer?, UnsafeRawBufferPointer?, OpaquePointer?) -> Result
    ) -> Result {
        let list = Self.makeHeaders(headers)
        return Self.withOptional(key) { key in
            guard let value else { return body(key, nil, list) }
            return value.withUnsafeBytes { body(key, Self.present($0), list) }
        }
    }

    private static func withOptional<Result>(
        _ bytes: [UInt8]?,
        _ body: (UnsafeRawBufferPointer?) -> Result
    ) -> Result {
        guard let bytes else { return body(nil) }
        return bytes.withUnsafeBytes { body(present($0)) }
    }

    private static func makeHeaders(_ headers: [KafkaHeader]) -> OpaquePointer? {
        guard !headers.isEmpty, let list = rd_kafka_headers_new(headers.count) else { return nil }
        for header in headers {
            withOptional(header.value) { value in
                _ = rd_kafka_header_add(list, header.name, -1, value?.baseAddress, value?.count ?? 0)
            }
        }
        return list
    }

    /// Empty bytes may have no address, which C would take for null.
    private static func present(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        bytes.baseAddress == nil ? UnsafeRawBufferPointer(start: emptyAddress, count: 0) : bytes
    }

    /// Never read: its count is 0.
    private nonisolated(unsafe) static let emptyAddress = UnsafeRawPointer(
        UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)
    )
}
