// What the kernel says about this process, for metrics.

import CLinux
import Glibc

package enum ProcessFacts {
    /// Processor time since the start, in seconds.
    package static var processorSeconds: (user: Double, system: Double) {
        var user = 0.0
        var system = 0.0
        clinux_processor_seconds(&user, &system)
        return (user, system)
    }

    /// The soft limit of open files in force.
    package static var openFileLimit: Int { Int(clamping: clinux_open_file_limit()) }

    /// Virtual memory in bytes, nil without /proc.
    package static var virtualBytes: Int? {
        let bytes = clinux_virtual_bytes()
        return bytes < 0 ? nil : Int(bytes)
    }

    /// The path of the running executable; empty without /proc.
    package static var executablePath: String {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        return String(validating: buffer[..<max(0, count)], as: UTF8.self) ?? ""
    }
}
