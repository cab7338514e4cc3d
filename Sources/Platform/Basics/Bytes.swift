// Immutable bytes with one owner: an array of ours, or memory that a C library made, freed when the last user lets go.

import Glibc

/// A run of bytes that never changes, shared by reference.
///
/// Bodies are received, hashed, published and stored as they came; this is the type they travel in. Memory of a C
/// library (a response buffer, a result cell) is adopted without a copy and given back in `deinit`.
package final class Bytes: @unchecked Sendable {
    // Sendable because the memory is written before `init` returns and never after.
    private let base: UnsafeMutableRawPointer
    private let release: (@Sendable (UnsafeMutableRawPointer) -> Void)?
    /// Number of bytes.
    package let count: Int
    /// Zeroed bytes that may be read after the end, which SIMD parsers need; 0 when nothing is promised.
    package let readablePadding: Int

    /// What our own allocations leave readable after the end.
    package static let ownPadding = 64

    /// Adopts memory that `release` will free. The bytes, and the padding after them, must not change any more.
    package init(
        adopting base: UnsafeMutableRawPointer,
        count: Int,
        readablePadding: Int,
        release: @escaping @Sendable (UnsafeMutableRawPointer) -> Void
    ) {
        self.base = base
        self.count = count
        self.readablePadding = readablePadding
        self.release = release
    }

    /// Copies `source` into memory of its own, padded with ``ownPadding`` zero bytes.
    package init(copying source: UnsafeRawBufferPointer) {
        base = .allocate(byteCount: source.count + Bytes.ownPadding, alignment: 16)
        if let start = source.baseAddress { base.copyMemory(from: start, byteCount: source.count) }
        (base + source.count).initializeMemory(as: UInt8.self, repeating: 0, count: Bytes.ownPadding)
        count = source.count
        readablePadding = Bytes.ownPadding
        release = nil
    }

    package convenience init(_ array: [UInt8]) {
        self.init(slice: array[...])
    }

    package convenience init(slice: ArraySlice<UInt8>) {
        let copy = slice.withUnsafeBytes { Bytes.padded($0) }
        self.init(adopting: copy, count: slice.count, readablePadding: Bytes.ownPadding) { $0.deallocate() }
    }

    package convenience init(utf8 string: String) {
        self.init(Array(string.utf8))
    }

    package static let empty = Bytes([])

    deinit {
        if let release { release(base) } else { base.deallocate() }
    }

    package var isEmpty: Bool { count == 0 }

    /// Lends the bytes for the duration of `body`.
    package func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Lends the bytes for the duration of `body`; the form for code above the wrappers.
    package func withSpan<Result: ~Copyable, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let typed = UnsafeBufferPointer(start: base.assumingMemoryBound(to: UInt8.self), count: count)
        return try body(typed.span)
    }

    /// A copy as an array.
    package var array: [UInt8] { withUnsafeBytes { [UInt8]($0) } }

    /// The text, or nil when the bytes are not valid UTF-8. Nothing is repaired: two ids stay two ids.
    package func string() -> String? {
        withUnsafeBytes { String(validating: $0, as: UTF8.self) }
    }

    private static func padded(_ source: UnsafeRawBufferPointer) -> UnsafeMutableRawPointer {
        let base = UnsafeMutableRawPointer.allocate(byteCount: source.count + ownPadding, alignment: 16)
        if let start = source.baseAddress { base.copyMemory(from: start, byteCount: source.count) }
        (base + source.count).initializeMemory(as: UInt8.self, repeating: 0, count: ownPadding)
        return base
    }
}

extension Bytes: Equatable {
    package static func == (left: Bytes, right: Bytes) -> Bool {
        guard left.count == right.count else { return false }
        return left === right || memcmp(left.base, right.base, left.count) == 0
    }
}

extension Bytes: CustomStringConvertible {
    /// Never the content: bodies are personal data.
    package var description: String { "\(count) bytes" }
}
