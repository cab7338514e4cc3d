// All metrics of a process, and their rendering as Prometheus text.

import Basics

/// Makes instruments, remembers them, and renders all of them for a scrape.
///
/// Asking twice for the same name and labels gives the same instrument. From any thread.
package final class MetricsRegistry: Sendable {
    /// A series beyond it still works but is not rendered; `check_pipeline_metrics_unlisted_series` counts them.
    package static let maxSeries = 5000

    /// One reading of a collected metric.
    package struct Sample: Sendable {
        package let labels: [(String, String)]
        package let value: Double

        package init(_ value: Double, labels: [(String, String)] = []) {
            self.value = value
            self.labels = labels
        }
    }

    private enum Series: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
    }

    private struct Family {
        let kind: MetricKind
        let help: String
        var series: [String: Series] = [:]
        var collect: [@Sendable () -> [Sample]] = []
    }

    private struct State {
        var families: [String: Family] = [:]
        var seriesCount = 0
        var unlisted = 0
    }

    private let state = Locked(State())

    package init() {}

    // MARK: Instruments

    /// - Parameters:
    ///   - name: Begins with `check_pipeline_` or is OpenTelemetry's; ends in `_total`.
    ///   - labels: Names and values out of closed sets, never input.
    package func counter(_ name: String, help: String, labels: [(String, String)] = []) -> Counter {
        let made = Counter()
        guard case .counter(let kept) = series(name, .counter, help, labels, .counter(made)) else { return made }
        return kept
    }

    package func gauge(_ name: String, help: String, labels: [(String, String)] = []) -> Gauge {
        let made = Gauge()
        guard case .gauge(let kept) = series(name, .gauge, help, labels, .gauge(made)) else { return made }
        return kept
    }

    package func histogram(
        _ name: String,
        help: String,
        labels: [(String, String)] = [],
        bounds: [Double] = Histogram.requestSeconds
    ) -> Histogram {
        let made = Histogram(bounds: bounds)
        guard case .histogram(let kept) = series(name, .histogram, help, labels, .histogram(made)) else { return made }
        return kept
    }

    /// A metric that is read at each scrape, on the scraping thread: short, without blocking.
    package func collect(
        _ name: String,
        _ kind: MetricKind,
        help: String,
        _ read: @escaping @Sendable () -> [Sample]
    ) {
        precondition(kind != .histogram, "histograms are not collected: \(name)")
        MetricName.check(name, kind: kind)
        state.withLock { state in
            state.families[name, default: Family(kind: kind, help: help)].collect.append(read)
        }
    }

    /// A level that is read at each scrape; nil leaves the line out.
    package func gauge(_ name: String, help: String, read: @escaping @Sendable () -> Double?) {
        collect(name, .gauge, help: help) { read().map { [Sample($0)] } ?? [] }
    }

    private func series(
        _ name: String,
        _ kind: MetricKind,
        _ help: String,
        _ labels: [(String, String)],
        _ made: Series
    ) -> Series {
        MetricName.check(name, kind: kind)
        MetricName.check(labels: labels)
        let key = MetricName.render(labels)
        return state.withLock { state in
            let family = state.families[name] ?? Family(kind: kind, help: help)
            precondition(family.kind == kind, "\(name) is already a \(family.kind.rawValue)")
            if let kept = family.series[key] { return kept }
            guard state.seriesCount < Self.maxSeries else {
                state.unlisted += 1
                return made
            }
            state.seriesCount += 1
            state.families[name] = family
            state.families[name]?.series[key] = made
            return made
        }
    }

    // MARK: Rendering

    /// Prometheus text format 0.0.4; families and series in the order of their names.
    package func render() -> [UInt8] {
        let (families, unlisted) = state.withLock { ($0.families, $0.unlisted) }
        var text = PrometheusText()
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text.begin(name, family.kind, help: family.help)
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                switch series {
                case .counter(let counter): text.sample(name, labels, Double(counter.value))
                case .gauge(let gauge): text.sample(name, labels, gauge.value)
                case .histogram(let histogram): text.histogram(name, labels, histogram.snapshot(), histogram.bounds)
                }
            }
            for sample in family.collect.flatMap({ $0() }) {
                text.sample(name, MetricName.render(sample.labels), sample.value)
            }
        }
        if unlisted > 0 {
            let name = "check_pipeline_metrics_unlisted_series"
            text.begin(name, .gauge, help: "Series that were made beyond the registry's bound and are not shown.")
            text.sample(name, "", Double(unlisted))
        }
        return text.bytes
    }

    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"
}
