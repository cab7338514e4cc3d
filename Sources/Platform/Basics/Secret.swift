// A value that must not be seen: tokens, keys, passwords. Printing, dumping and interpolating it shows nothing.

import CLinux

/// Bytes that are wiped when the last holder lets go, and that no description shows.
package final class Secret: @unchecked Sendable {
    // Sendable because the memory is written in `init` only.
    private let base: UnsafeMutablePointer<UInt8>
    private let count: Int

    package init(bytes: [UInt8]) {
        base = .allocate(capacity: max(1, bytes.count))
        base.initialize(repeating: 0, count: max(1, bytes.count))
        for (index, byte) in bytes.enumerated() { base[index] = byte }
        count = bytes.count
    }

    package convenience init(_ text: String) { self.init(bytes: Array(text.utf8)) }

    deinit {
        clinux_wipe(base, count)
        base.deallocate()
    }

    package var isEmpty: Bool { count == 0 }

    /// A copy that cannot be wiped: keep it as short as the call that needs it.
    package var bytes: [UInt8] { Array(UnsafeBufferPointer(start: base, count: count)) }

    /// The same as text. Bytes that are not UTF-8 give an empty string; secrets of ours are always text or keys.
    package func reveal() -> String { String(validating: bytes, as: UTF8.self) ?? "" }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "<redacted>" }
    package var debugDescription: String { "<redacted>" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
