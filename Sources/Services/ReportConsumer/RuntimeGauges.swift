// What the runtime has in hand, as gauges: one look at it for all that a scrape asks.

import Basics
import ServiceKit
import WorkerKit

enum RuntimeGauges {
    /// Counting what is in hand takes the runtime's lock for a time that grows with it.
    private static let freshFor = Duration.seconds(1)

    private struct Seen: Sendable {
        var snapshot: WorkerSnapshot
        var at: MonotonicInstant
    }

    static func register(_ runtime: ConsumerRuntime, in registry: MetricsRegistry, wall: WallClock) {
        let clock = MonotonicClock.system
        let last = Locked<Seen?>(nil)
        let look: @Sendable () -> WorkerSnapshot? = { [weak runtime] in
            let now = clock.now()
            if let seen = last.withLock({ $0 }), now - seen.at < freshFor { return seen.snapshot }
            guard let snapshot = runtime?.snapshot else { return nil }
            last.withLock { $0 = Seen(snapshot: snapshot, at: now) }
            return snapshot
        }
        typealias Read = @Sendable (WorkerSnapshot) -> Double?
        let gauges: [(String, String, Read)] = [
            ("in_flight", "Pieces of work that run", { Double($0.inFlight) }),
            ("in_flight_limit", "Pieces of work that may run at once", { Double($0.inFlightLimit) }),
            ("queued_events", "Events ready to run or behind running ones of their key", { Double($0.queued) }),
            ("waiting_events", "Events that wait for a repeat, and those behind them", { Double($0.waiting) }),
            ("held_bytes", "Bytes of all events in hand", { Double($0.heldBytes) }),
            ("assigned_partitions", "Partitions assigned", { Double($0.partitions.count) }),
            ("paused_partitions", "Partitions paused", { Double($0.pausedPartitions) }),
            ("paused", "1 while a fault that hits everything holds all work", { $0.pauseReason == nil ? 0 : 1 }),
            (
                "oldest_unfinished_seconds", "Age of the oldest event in hand",
                { $0.oldestReceivedAt.map { max(0, (wall.now() - $0).inSeconds) } }
            ),
            (
                "earliest_deadline_seconds", "Time left to the first deadline among the events in hand",
                { $0.earliestDeadline.map { ($0 - wall.now()).inSeconds } }
            ),
        ]
        for (name, help, read) in gauges {
            registry.gauge("check_pipeline_\(name)", help: help) { look().flatMap(read) }
        }
    }
}
