// Standard output and standard error as what they are: descriptors that take bytes.

import CLinux
import Glibc

/// A descriptor that lines are written to.
package struct OutputDescriptor: Sendable, Equatable {
    package let number: Int32

    /// - Parameter number: An open descriptor that outlives this value.
    package init(_ number: Int32) { self.number = number }

    package static let standardOutput = OutputDescriptor(1)
    package static let standardError = OutputDescriptor(2)

    /// Writes all of `bytes`, by one `write(2)` where the system takes them at once. Blocks while a pipe is full.
    ///
    /// - Returns: False when the reader is gone or the disk is full; what is left is dropped.
    @discardableResult
    package func write(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count {
                let count = Glibc.write(number, buffer.baseAddress.map { $0 + done }, buffer.count - done)
                if count > 0 {
                    done += count
                } else if count < 0, errno == EINTR {
                    continue
                } else if count < 0, errno == EAGAIN {
                    // Somebody made the shared terminal or pipe non-blocking: wait for room instead of spinning.
                    var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
                    if poll(&entry, 1, 1000) <= 0 { return false }
                } else {
                    return false
                }
            }
            return true
        }
    }

    /// Columns of the terminal behind the descriptor; nil when it is not a terminal.
    package var terminalColumns: Int? {
        let columns = Int(clinux_terminal_width(number))
        return columns > 0 ? columns : nil
    }
}

/// Standard input, one line at a time.
package enum StandardInput {
    /// The next line without its end; nil at the end of the input or past `limit` bytes. Blocks.
    ///
    /// On a terminal nothing that is typed is shown.
    package static func readSecretLine(limit: Int = 64 << 10) -> [UInt8]? {
        let hidden = clinux_terminal_echo(0, false)
        isHiding.withLock { $0 = hidden }
        defer { showTyping() }
        var line: [UInt8] = []
        while true {
            var byte: UInt8 = 0
            let count = read(0, &byte, 1)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return line.isEmpty ? nil : line }
            if byte == UInt8(ascii: "\n") { return line }
            guard line.count < limit else { return nil }
            line.append(byte)
        }
    }

    private static let isHiding = Locked(false)

    /// Undoes the hiding of ``readSecretLine(limit:)``; also from another thread, before the process ends.
    package static func showTyping() {
        let wasHiding = isHiding.withLock { isHiding in
            defer { isHiding = false }
            return isHiding
        }
        // Only then: touching the terminal of a job in the background would stop it.
        if wasHiding { _ = clinux_terminal_echo(0, true) }
    }

    package static var isTerminal: Bool { isatty(0) == 1 }
}
