// What a report consumer counts. Labels are closed sets.

import Basics
import Kafka
import PlaidAPI
import ServiceKit
import WorkerKit

final class ReportConsumerMetrics: WorkerObserver {
    private let registry: MetricsRegistry
    private let logger: Logger
    private let passed: [ReportEvent.Pass: Counter]
    private let satisfied: Counter
    private let notMadeTotal: Counter
    private let expiredTotal: Counter
    private let storedNew: Counter
    private let storedAgain: Counter
    private let silentRepeats: Counter
    private let late: Counter
    private let rebalances: Counter
    private let commitFailures: Counter
    private let attempts: [WorkEnding: Counter]
    private let deadLetters: Counter
    private let fetchSeconds: Histogram
    private let bodyBytes: Histogram
    private let storeSeconds: Histogram
    private let landedSeconds: Histogram

    init(_ registry: MetricsRegistry, product: ReportProduct, logger: Logger) {
        self.registry = registry
        self.logger = logger
        func counter(_ name: String, _ help: String, _ labels: [(String, String)] = []) -> Counter {
            registry.counter("check_pipeline_\(name)_total", help: help, labels: labels)
        }
        let passReasons = ReportEvent.Pass.allCases.map { reason in
            (
                reason,
                counter(
                    "events_passed",
                    "Webhooks that are not this consumer's business",
                    [("reason", reason.rawValue)]
                )
            )
        }
        passed = Dictionary(uniqueKeysWithValues: passReasons)
        let endings = WorkEnding.allCases.map { ending in
            (ending, counter("attempts", "Attempts by their ending", [("ending", ending.rawValue)]))
        }
        attempts = Dictionary(uniqueKeysWithValues: endings)
        satisfied = counter("events_satisfied", "READY webhooks whose report had been stored already")
        notMadeTotal = counter("reports_not_made", "Webhooks that say that the product was not generated")
        expiredTotal = counter("reports_expired", "Events whose report expired before it could be fetched")
        storedNew = counter("reports_stored", "Reports stored", [("kind", "new")])
        storedAgain = counter("reports_stored", "Reports stored", [("kind", "again")])
        silentRepeats = counter("fetch_silent_repeats", "Fetches that the HTTP library sent again by itself")
        late = counter("events_late", "Events that ended after their partition had been given up")
        rebalances = counter("rebalances", "Assignments received")
        commitFailures = counter("commit_failures", "Offset commits that failed; the next one takes their place")
        deadLetters = counter("dead_letters", "Events that became dead letters")
        fetchSeconds = registry.histogram(
            "check_pipeline_fetch_seconds",
            help: "From the request to the last byte of the report",
            bounds: Histogram.longSeconds
        )
        bodyBytes = registry.histogram(
            "check_pipeline_report_bytes",
            help: "Sizes of fetched reports",
            bounds: Histogram.bytes
        )
        storeSeconds = registry.histogram(
            "check_pipeline_store_seconds",
            help: "From handing a report to the database to its commit"
        )
        landedSeconds = registry.histogram(
            "check_pipeline_webhook_to_row_seconds",
            help: "From the receipt of the webhook to the commit of its report",
            bounds: Histogram.longSeconds
        )
    }

    func passed(_ reason: ReportEvent.Pass, events: Int) { passed[reason]?.increment(by: events) }
    func satisfied(events: Int) { satisfied.increment(by: events) }
    func notMade() { notMadeTotal.increment() }
    func expired(events: Int) { expiredTotal.increment(by: events) }
    func stored(in duration: Duration) { storeSeconds.record(duration) }

    func fetched(in duration: Duration, bytes: Int, silentRepeats repeats: Int) {
        fetchSeconds.record(duration)
        bodyBytes.record(Double(bytes))
        if repeats > 0 { silentRepeats.increment(by: repeats) }
    }

    func landed(after duration: Duration, isNew: Bool) {
        landedSeconds.record(duration)
        if isNew { storedNew.increment() } else { storedAgain.increment() }
    }

    // MARK: The runtime's own news

    func observe(_ observation: WorkerObservation) {
        switch observation {
        case .attempt(let ending, _, _, _): attempts[ending]?.increment()
        case .late(let events): late.increment(by: events)
        case .deadLettered(let reason):
            deadLetters.increment()
            logger.error(
                "an event became a dead letter",
                metadata: ["error.type": .string(reason.type), "error.code": .string(reason.code)]
            )
        case .paused(let reason): logger.warning("consumption pauses", metadata: ["error.message": .string(reason)])
        case .resumed(let reason, let duration):
            logger.notice(
                "consumption resumes",
                metadata: ["error.message": .string(reason), "paused.seconds": .stringConvertible(duration.inSeconds)]
            )
        case .assigned(let partitions, let epoch):
            rebalances.increment()
            logger.info(
                "partitions assigned",
                metadata: [
                    "kafka.partitions": .stringConvertible(partitions.count), "kafka.epoch": .stringConvertible(epoch),
                ]
            )
        case .revoked(let partitions, let lost, let abandoned):
            logger.info(
                "partitions revoked",
                metadata: [
                    "kafka.partitions": .stringConvertible(partitions.count), "kafka.lost": .stringConvertible(lost),
                    "events.abandoned": .stringConvertible(abandoned),
                ]
            )
        case .committed: break
        case .commitFailed(let error):
            commitFailures.increment()
            logger.info("a commit failed", metadata: ["error.message": .string("\(error)")])
        case .rewound(let partition, let offset):
            logger.warning(
                "a log went back",
                metadata: [
                    "kafka.topic_partition": .string("\(partition)"), "kafka.offset": .stringConvertible(offset),
                ]
            )
        case .consumerError(let error):
            logger.warning("the consumer reports trouble", metadata: ["error.message": .string("\(error)")])
        }
    }

    /// What is read at each scrape.
    func export(_ runtime: ConsumerRuntime, wall: WallClock) {
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
            registry.gauge("check_pipeline_\(name)", help: help) { [weak runtime] in
                runtime.flatMap { read($0.snapshot) }
            }
        }
    }
}
