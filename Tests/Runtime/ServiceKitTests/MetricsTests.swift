import Basics
import Glibc
import HTTPClient
import HTTPServer
import ServiceKit
import TestSupport
import Testing

private func text(_ registry: MetricsRegistry) -> String { String(decoding: registry.render(), as: UTF8.self) }

private let promtool: String? = (ProcessEnvironment.value("PATH") ?? "/usr/bin").split(separator: ":")
    .map { "\($0)/promtool" }.first { access($0, X_OK) == 0 }

@Suite struct MetricsRegistryTests {
    private let registry = MetricsRegistry()

    @Test func `renders counters, gauges and histograms in the order of their names`() {
        let counter = registry.counter("check_pipeline_b_total", help: "Counts.", labels: [("topic", "t"), ("a", "1")])
        let gauge = registry.gauge("check_pipeline_a", help: "Level.")
        let histogram = registry.histogram(
            "check_pipeline_c_seconds",
            help: "Takes.",
            labels: [("x", "y")],
            bounds: [0.1, 1]
        )
        counter.increment()
        counter.increment(by: 41)
        gauge.record(2.5)
        for value in [0.05, 0.1, 0.5, 7] { histogram.record(value) }
        #expect(
            text(registry) == """
                # HELP check_pipeline_a Level.
                # TYPE check_pipeline_a gauge
                check_pipeline_a 2.5
                # HELP check_pipeline_b_total Counts.
                # TYPE check_pipeline_b_total counter
                check_pipeline_b_total{topic="t",a="1"} 42
                # HELP check_pipeline_c_seconds Takes.
                # TYPE check_pipeline_c_seconds histogram
                check_pipeline_c_seconds_bucket{x="y",le="0.1"} 2
                check_pipeline_c_seconds_bucket{x="y",le="1"} 3
                check_pipeline_c_seconds_bucket{x="y",le="+Inf"} 4
                check_pipeline_c_seconds_sum{x="y"} 7.65
                check_pipeline_c_seconds_count{x="y"} 4

                """
        )
    }

    @Test func `the same name and labels are the same instrument`() {
        let first = registry.counter("check_pipeline_x_total", help: "X.", labels: [("a", "1")])
        let second = registry.counter("check_pipeline_x_total", help: "X.", labels: [("a", "1")])
        let other = registry.counter("check_pipeline_x_total", help: "X.", labels: [("a", "2")])
        first.increment()
        #expect(first === second)
        #expect(other.value == 0)
        #expect(text(registry).split(separator: "\n").filter { $0.hasPrefix("# TYPE") }.count == 1)
    }

    @Test func `collected metrics are read at each scrape`() {
        let level = Locked<Double?>(1)
        registry.gauge("check_pipeline_level", help: "Level.") { level.withLock { $0 } }
        registry.collect("check_pipeline_parts_total", .counter, help: "Parts.") {
            [MetricsRegistry.Sample(1, labels: [("p", "a")]), MetricsRegistry.Sample(2, labels: [("p", "b")])]
        }
        #expect(text(registry).contains("check_pipeline_level 1\n"))
        #expect(text(registry).contains("check_pipeline_parts_total{p=\"b\"} 2\n"))
        level.withLock { $0 = nil }
        #expect(!text(registry).contains("check_pipeline_level 1\n"))
    }

    @Test(arguments: [
        ("a\"b", #"a\"b"#), ("a\\b", #"a\\b"#), ("a\nb", #"a\nb"#), ("ü", "ü"),
    ])
    func `label values are escaped`(_ value: String, _ escaped: String) {
        registry.gauge("check_pipeline_x", help: "X.", labels: [("v", value)]).record(1)
        #expect(text(registry).contains("check_pipeline_x{v=\"\(escaped)\"} 1\n"))
    }

    @Test(arguments: [
        (0, "0"), (-3, "-3"), (0.25, "0.25"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
        (9_007_199_254_740_991, "9007199254740991"), (1e300, "1e+300"),
    ])
    func `numbers are written as Prometheus reads them`(_ value: Double, _ expected: String) {
        registry.gauge("check_pipeline_x", help: "X.").record(value)
        #expect(text(registry).contains("check_pipeline_x \(expected)\n"))
    }

    @Test func `series beyond the bound work but are not rendered`() {
        for index in 0..<MetricsRegistry.maxSeries + 3 {
            registry.counter("check_pipeline_x_total", help: "X.", labels: [("i", String(index))]).increment()
        }
        let lines = text(registry).split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("check_pipeline_x_total{") }.count == MetricsRegistry.maxSeries)
        #expect(lines.contains("check_pipeline_metrics_unlisted_series 3"))
    }

    @Test(.enabled(if: promtool != nil, "promtool of the package prometheus is not installed"))
    func `promtool finds nothing to say about what a service shows`() async throws {
        let health = Health()
        let server = try HTTPServer(host: "127.0.0.1", port: 0, service: Router(routes: []))
        let client = try HTTPClient(settings: HTTPClientSettings(maxInFlight: 1))
        defer { client.close(grace: .zero) }
        ServiceMetricsFixture.register(in: registry, health: health, server, client)
        let rendered = text(registry)
        #expect(rendered.contains("check_pipeline_http_connections{listener=\"http\"} 0"))
        #expect(rendered.contains("check_pipeline_http_client_requests_total{upstream=\"plaid\"} 0"))
        #expect(rendered.contains("process_cpu_time_seconds_total{cpu_mode=\"user\"}"))
        let child = try ChildProcess(try #require(promtool), ["check", "metrics"], standardInput: true)
        defer { child.end() }
        child.write(rendered)
        child.closeInput()
        let exit = try await child.exit()
        #expect(exit.code == 0, "\(child.text)")
        #expect(child.text.isEmpty, "\(child.text)")
    }
}

@Suite struct InstrumentTests {
    @Test func `a counter loses nothing among threads`() {
        let counter = Counter()
        let gauge = Gauge()
        let threads = (0..<4).map { index in
            WorkerThread(name: "count-\(index)") {
                for _ in 0..<20_000 {
                    counter.increment()
                    gauge.increment(by: 2)
                    gauge.decrement()
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(counter.value == 80_000)
        #expect(gauge.value == 80_000)
    }

    @Test(arguments: [
        (0.0, 0), (-1, 0), (1, 0), (1.0000001, 1), (2, 1), (4, 2), (4.5, 3), (.infinity, 3), (-.infinity, 0),
    ])
    func `a value falls into the first bucket whose bound it does not exceed`(_ value: Double, _ bucket: Int) {
        let histogram = Histogram(bounds: [1, 2, 4])
        histogram.record(value)
        let expected = (0...3).map { UInt64($0 >= bucket ? 1 : 0) }
        #expect(histogram.snapshot().cumulative == expected)
    }

    @Test func `values that are not numbers are dropped`() {
        let histogram = Histogram(bounds: [1])
        histogram.record(.nan)
        #expect(histogram.snapshot() == Histogram(bounds: [1]).snapshot())
    }

    @Test func `durations are recorded in seconds`() {
        let histogram = Histogram(bounds: [0.1, 1])
        histogram.record(.milliseconds(250))
        #expect(histogram.snapshot().cumulative == [0, 1, 1])
        #expect(histogram.snapshot().sum == 0.25)
    }

    /// Every value is 1, so in each consistent snapshot the sum is the count.
    @Test func `a snapshot taken while others record is consistent`() {
        let histogram = Histogram(bounds: [0.5, 1, 2])
        let isDone = Locked(false)
        let mismatches = Locked(0)
        let reader = WorkerThread(name: "scrape") {
            while !isDone.withLock({ $0 }) {
                let snapshot = histogram.snapshot()
                let ascends = zip(snapshot.cumulative, snapshot.cumulative.dropFirst()).allSatisfy { $0 <= $1 }
                if snapshot.sum != Double(snapshot.count) || !ascends { mismatches.withLock { $0 += 1 } }
            }
        }
        let writers = (0..<3).map { index in
            WorkerThread(name: "record-\(index)") { for _ in 0..<30_000 { histogram.record(1) } }
        }
        for writer in writers { writer.join() }
        isDone.withLock { $0 = true }
        reader.join()
        #expect(mismatches.withLock { $0 } == 0)
        #expect(histogram.snapshot().cumulative == [0, 90_000, 90_000, 90_000])
    }
}
