// Counter, gauge and histogram: swift-metrics' shapes over atomics and one lock. Labels are fixed at creation; make
// the objects once and keep them.

import Basics
import Synchronization

/// A count that only grows. One atomic addition; from any thread.
package final class Counter: Sendable {
    private let total = Atomic<UInt64>(0)

    package init() {}

    package func increment(by amount: Int = 1) {
        precondition(amount >= 0, "a counter only grows")
        total.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }

    package var value: UInt64 { total.load(ordering: .relaxed) }
}

/// A level that rises and falls. From any thread.
package final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)

    package init() {}

    package func record(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    package func record(_ value: Int) { record(Double(value)) }
    package func record(_ value: Bool) { record(value ? 1 : 0) }

    package func increment(by amount: Double = 1) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, current) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = current
        }
    }

    package func decrement(by amount: Double = 1) { increment(by: -amount) }

    package var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// A distribution over fixed buckets.
///
/// Recording touches one bucket; the cumulative counts are added up when somebody reads. A snapshot is taken under one
/// lock, so its `+Inf` bucket, its count and its sum belong together.
package final class Histogram: Sendable {
    /// A consistent reading.
    package struct Snapshot: Sendable, Equatable {
        /// For each bound how many values were at or below it; the last entry counts all (`+Inf`).
        package let cumulative: [UInt64]
        package let sum: Double
        package var count: UInt64 { cumulative.last ?? 0 }
    }

    private struct State {
        var counts: [UInt64]
        var sum = 0.0
    }

    /// Upper bounds, ascending, without `+Inf`.
    package let bounds: [Double]
    private let state: Locked<State>

    /// - Parameter bounds: Ascending, finite, at most 64.
    package init(bounds: [Double]) {
        precondition(!bounds.isEmpty && bounds.count <= 64, "a histogram has 1 to 64 bounds")
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "bounds ascend")
        precondition(bounds.allSatisfy(\.isFinite), "bounds are finite; +Inf is added by itself")
        self.bounds = bounds
        state = Locked(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    /// Values that are not numbers are dropped.
    package func record(_ value: Double) {
        guard !value.isNaN else { return }
        let bucket = bucket(of: value)
        state.withLock { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

    /// A duration, in seconds.
    package func record(_ duration: Duration) { record(duration.inSeconds) }

    package func snapshot() -> Snapshot {
        let (counts, sum) = state.withLock { ($0.counts, $0.sum) }
        var running: UInt64 = 0
        return Snapshot(
            cumulative: counts.map { count in
                running += count
                return running
            },
            sum: sum
        )
    }

    /// The first bucket whose bound is not below the value, by bisection.
    private func bucket(of value: Double) -> Int {
        var low = 0
        var high = bounds.count
        while low < high {
            let middle = (low + high) / 2
            if value <= bounds[middle] { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension Histogram {
    /// OpenTelemetry's bounds for the durations of requests, in seconds.
    package static let requestSeconds: [Double] = [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    ]
    /// For waits from milliseconds to a day, in seconds.
    package static let longSeconds: [Double] = [
        0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14_400, 43_200, 86_400,
    ]
    /// For sizes from 1 KiB to 64 MiB, in bytes.
    package static let bytes: [Double] = stride(from: 10, through: 26, by: 2).map { Double(1 << $0) }
}
