// What a report consumer counts. Labels are closed sets.

import Basics
import Kafka
import PlaidAPI
import ServiceKit
import WorkerKit

final class ReportConsumerMetrics: WorkerObserver {
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
    private let retries: [String: Counter]
    private let deadLetters: Counter
    private let deadLetterFailures: Counter
    private let fetchSeconds: Histogram
    private let bodyBytes: Histogram
    private let storeSeconds: Histogram
    private let landedSeconds: Histogram

    init(_ registry: MetricsRegistry, logger: Logger) {
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
        let causes = RetryCause.allCases.map { cause in
            (cause.rawValue, counter("retries", "Events put off, by their cause", [("reason", cause.rawValue)]))
        }
        retries = Dictionary(uniqueKeysWithValues: causes)
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
        deadLetterFailures = counter(
            "dead_letter_failures",
            "Dead letters that topic or table did not take; tried again"
        )
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
    func deadLetterFailed() { deadLetterFailures.increment() }
    func notMade() { notMadeTotal.increment() }
    func expired(events: Int) { expiredTotal.increment(by: events) }
    func stored(in duration: Duration) { storeSeconds.record(duration) }

    func fetched(in duration: Duration, bytes: Int, silentRepeats repeats: Int) {
        fetchSeconds.record(duration)
        bodyBytes.record(Double(bytes))
        if repeats > 0 { silentRepeats.increment(by: repeats) }
    }

    /// - Parameter duration: By two machines' clocks: may come out below zero.
    func landed(after duration: Duration, isNew: Bool) {
        landedSeconds.record(max(.zero, duration))
        if isNew { storedNew.increment() } else { storedAgain.increment() }
    }

    // MARK: The runtime's own news

    func observe(_ observation: WorkerObservation) {
        switch observation {
        case .attempt(let ending, let reason, let events, _):
            attempts[ending]?.increment()
            if ending == .retry { retries[reason]?.increment(by: events) }
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
}
