// What the handler tells: counters and log lines. User ids appear as keyed hashes, bodies and tokens never.

import Basics
import PlaidAPI
import ReportStore
import ServiceKit
import WorkerKit

struct HandlerReport: Sendable {
    let product: ReportProduct
    let metrics: ReportConsumerMetrics
    let logger: Logger
    let logHash: LogHash

    func passed(_ reason: ReportEvent.Pass, events: Int) { metrics.passed(reason, events: events) }
    func satisfied(events: Int) { metrics.satisfied(events: events) }
    func notMade() { metrics.notMade() }

    func expired(_ event: EventRecord, userID: String, events: Int) {
        metrics.expired(events: events)
        logger.error("a report expired before it could be fetched", metadata: metadata(event, userID))
    }

    func fetched(_ fetched: FetchedReport) {
        metrics.fetched(in: fetched.elapsed, bytes: fetched.body.count, silentRepeats: fetched.silentRepeats)
    }

    func stored(
        _ event: EventRecord,
        userID: String,
        _ report: StoredReportReference,
        isNew: Bool,
        in duration: Duration,
        sinceReceipt: Duration
    ) {
        metrics.stored(in: duration)
        metrics.landed(after: sinceReceipt, isNew: isNew)
        logger.debug(
            "a report is stored",
            metadata: metadata(event, userID).merging(["report.new": .stringConvertible(isNew)]) { _, new in new }
        )
        if isNew, report.fraudAlert {
            logger.warning("a report carries a fraud alert", metadata: metadata(event, userID))
        }
    }

    func cannotHandle(_ event: EventRecord, userID: String?, _ reason: ParkReason) {
        var details = metadata(event, userID)
        details["error.type"] = .string(reason.type)
        details["error.code"] = .string(reason.code)
        logger.error("an event cannot be handled", metadata: details)
    }

    func failed(_ event: EventRecord, userID: String, _ failure: StepFailure, _ outcome: Outcome) {
        switch outcome {
        case .park(let reason):
            if case .foreignReport = failure {
                logger.critical(
                    "an answer was mixed up: its report id stands under another user",
                    metadata: metadata(event, userID)
                )
            }
            cannotHandle(event, userID: userID, reason)
        case .retry(_, let reason):
            var details = metadata(event, userID)
            details["retry.reason"] = .string(reason.code)
            if case .plaid(let plaid) = failure {
                details["error.message"] = .string(plaid.message)
                if let id = plaid.requestID { details["plaid.request_id"] = .string(id) }
            }
            logger.info("an event is tried again later", metadata: details)
        // The runtime says once what holds everything; each event in flight would say it again.
        case .pauseAll(_, let reason):
            logger.debug("nothing can be handled now", metadata: ["error.message": .string(reason)])
        case .done, .expired: return
        }
    }

    private func metadata(_ event: EventRecord, _ userID: String?) -> Logger.Metadata {
        var details: Logger.Metadata = [
            "report.product": .string(product.rawValue),
            "kafka.topic": .string(event.coordinates.topic),
            "kafka.partition": .stringConvertible(Int(event.coordinates.partition)),
            "kafka.offset": .stringConvertible(Int(event.coordinates.offset)),
        ]
        if let userID { details["user.hash"] = .string(logHash(userID)) }
        return details
    }
}
