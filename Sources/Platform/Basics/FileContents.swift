// Small files read whole: settings, secrets, certificates, SQL.

import Glibc

/// Why a file could not be read; the description names neither path nor content.
package enum FileReadError: Error, Sendable, Equatable, CustomStringConvertible {
    case system(errno: Int32)
    case notARegularFile
    case tooLarge(limit: Int)

    package var description: String {
        switch self {
        case .system(let errno): String(cString: strerror(errno))
        case .notARegularFile: "not a regular file"
        case .tooLarge(let limit): "larger than \(limit) bytes"
        }
    }
}

package enum FileContents {
    /// The bytes of the file at `path`. Blocks for the disk, or for the writer of a pipe: pipes are read to their end,
    /// so that `/dev/stdin` and process substitution work.
    ///
    /// - Parameter limit: A longer file is refused, whatever its size claims to be.
    package static func read(_ path: String, limit: Int) throws(FileReadError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(errno: errno) }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw errno == EISDIR ? .notARegularFile : .system(errno: errno)
            }
            if count == 0 { return content }
            guard content.count + count <= limit else { throw .tooLarge(limit: limit) }
            content += chunk[..<count]
        }
    }
}
