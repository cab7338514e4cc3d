// The process's environment as values, read once on the main thread.

import CLinux

/// A snapshot of environment variables.
package struct EnvironmentVariables: Sendable {
    private let values: [String: String]
    /// Names whose values are not UTF-8; they have no value here.
    package let undecodable: Set<String>

    package init(_ values: [String: String]) {
        self.values = values
        undecodable = []
    }

    /// The environment of this process. Call before other threads exist: `setenv` elsewhere would race.
    package static func current() -> EnvironmentVariables {
        var values: [String: String] = [:]
        var undecodable: Set<String> = []
        var next = clinux_environment()
        while let entry = next?.pointee {
            next = next?.advanced(by: 1)
            let bytes = UnsafeBufferPointer(start: entry, count: strlenOf(entry)).map { UInt8(bitPattern: $0) }
            guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")),
                let name = String(validating: bytes[..<equals], as: UTF8.self)
            else { continue }
            if let value = String(validating: bytes[(equals + 1)...], as: UTF8.self) {
                values[name] = value
            } else {
                undecodable.insert(name)
            }
        }
        return EnvironmentVariables(values: values, undecodable: undecodable)
    }

    private init(values: [String: String], undecodable: Set<String>) {
        self.values = values
        self.undecodable = undecodable
    }

    package subscript(name: String) -> String? { values[name] }
}

private func strlenOf(_ text: UnsafeMutablePointer<CChar>) -> Int {
    var length = 0
    while text[length] != 0 { length += 1 }
    return length
}
