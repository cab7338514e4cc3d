// Processor time, memory and latencies, and how they are printed.

import Basics
import Glibc
import TestSupport

enum Console {
    static func line(_ text: String) { OutputDescriptor.standardOutput.write(Array((text + "\n").utf8)) }

    /// Three significant digits are more than a noisy machine gives.
    static func number(_ value: Double) -> String {
        let digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let whole = Int64((value * scale).rounded())
        guard digits > 0 else { return "\(whole)" }
        let fraction = String(whole % Int64(scale))
        return "\(whole / Int64(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }
}

enum Machine {
    static var description: String {
        let cpu = lines("/proc/cpuinfo").first { $0.hasPrefix("model name") }?.split(separator: ":").last ?? "unknown"
        let count = lines("/proc/cpuinfo").count { $0.hasPrefix("processor") }
        return "\(count) ×\(cpu)"
    }

    static func commit() async -> String {
        let root = String(#filePath.dropLast("/Tests/Benchmarks/Measurement.swift".count))
        guard let git = try? ChildProcess("/usr/bin/git", ["-C", root, "rev-parse", "--short", "HEAD"]),
            (try? await git.exit())?.code == 0
        else { return "unknown" }
        return git.lines.first ?? "unknown"
    }

    static func lines(_ path: String) -> [Substring] {
        String(decoding: TemporaryFolder.read(path) ?? [], as: UTF8.self).split(separator: "\n")
    }
}

/// One P-256 verification, measured by OpenSSL's own tool on one core.
struct VerificationUnit {
    let microseconds: Double

    static func measure() async throws -> VerificationUnit {
        let speed = try ChildProcess("/usr/bin/openssl", ["speed", "-seconds", "3", "ecdsap256"])
        guard try await speed.exit(within: .seconds(60)).code == 0,
            let line = speed.lines.last(where: { $0.contains("nistp256") }),
            let perSecond = line.split(separator: " ").last.flatMap({ Double($0) }), perSecond > 0
        else { throw BenchmarkFailure("openssl speed gave no figure for ecdsap256") }
        return VerificationUnit(microseconds: 1_000_000 / perSecond)
    }
}

/// Processor time and memory of another process, as the kernel counts them.
struct ProcessUsage {
    let cpuSeconds: Double
    let residentBytes: Int
    let peakBytes: Int

    static func read(_ pid: Int32) throws -> ProcessUsage {
        guard let stat = Machine.lines("/proc/\(pid)/stat").first, let end = stat.lastIndex(of: ")") else {
            throw BenchmarkFailure("process \(pid) has ended")
        }
        // Counted from the state, which is field 3: user time is field 14, system time field 15.
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        let ticks = (Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0)
        func kilobytes(_ name: String) -> Int {
            let line = Machine.lines("/proc/\(pid)/status").first { $0.hasPrefix(name) }
            return line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 0
        }
        return ProcessUsage(
            cpuSeconds: ticks / Double(sysconf(Int32(_SC_CLK_TCK))),
            residentBytes: kilobytes("VmRSS:") * 1024,
            peakBytes: kilobytes("VmHWM:") * 1024
        )
    }
}

/// Latencies of one run.
struct Latencies {
    private var values: [Duration] = []

    mutating func add(_ value: Duration) { values.append(value) }
    var count: Int { values.count }

    func quantile(_ share: Double) -> Duration {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return .zero }
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }

    var text: String {
        let shares: [(String, Double)] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)]
        return shares.map { "\($0.0) \(Console.number(quantile($0.1).inSeconds * 1000)) ms" }.joined(separator: ", ")
    }
}
