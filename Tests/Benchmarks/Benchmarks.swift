// What a webhook and a report cost, on this machine, in one run: built programs as processes, their processor time from
// the kernel, and one P-256 verification of `openssl speed` as the unit, so that machines can be compared.
//
//     swift build -c release && .build/release/benchmarks [webhooks|reports] [--count N]
//
// With KAFKA_HOME the broker is a real one; else the embedded broker, and the figures say so.

import Basics
import TestSupport

@main
enum Benchmarks {
    static func main() async {
        do {
            let options = try Options(Array(CommandLine.arguments.dropFirst()))
            try await run(options)
        } catch {
            Console.line("benchmarks: \(error)")
            ProcessSetup.exitNow(1)
        }
        ProcessSetup.exitNow(0)
    }

    private static func run(_ options: Options) async throws {
        Console.line("machine     \(Machine.description)")
        Console.line("commit      \(await Machine.commit())")
        let unit = try await VerificationUnit.measure()
        Console.line(
            "unit        one P-256 verification by openssl speed: \(Console.number(unit.microseconds)) µs of CPU"
        )
        let broker = try await Broker.start()
        Console.line("broker      \(broker.description)")
        if options.parts.contains(.webhooks) {
            try await WebhookBenchmark(broker: broker, unit: unit, count: options.count ?? 40_000).run()
        }
        if options.parts.contains(.reports) {
            try await ReportBenchmark(broker: broker, unit: unit, count: options.count ?? 3_000).run()
        }
        await broker.stop()
    }
}

struct Options {
    enum Part: String, CaseIterable { case webhooks, reports }
    var parts: Set<Part> = []
    var count: Int?

    init(_ arguments: [String]) throws {
        var arguments = arguments[...]
        while let argument = arguments.popFirst() {
            if let part = Part(rawValue: argument) {
                parts.insert(part)
            } else if argument == "--count", let text = arguments.popFirst(), let number = Int(text), number > 0 {
                count = number
            } else {
                throw BenchmarkFailure("usage: benchmarks [webhooks] [reports] [--count N]")
            }
        }
        if parts.isEmpty { parts = Set(Part.allCases) }
    }
}

struct BenchmarkFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
