// One product's work on one user's webhooks: look up, fetch, store, announce, in the order of effects that a crash may
// interrupt anywhere: row committed, then announcement acknowledged, then the offset.

import Basics
import Cryptography
import Kafka
import PipelineEvents
import PlaidAPI
import ReportStore
import ServiceKit
import WorkerKit

/// Handles the events of one product.
struct ReportHandler: EventHandler {
    let product: ReportProduct
    let environment: PlaidEnvironment
    let expected: [String]
    let lifetime: Duration
    let topics: Topics
    let plaid: PlaidClient
    let reports: ReportRepository
    let requests: RequestRepository
    let users: UserRepository
    let announcer: any ReportAnnouncer
    let table: OutcomeTable
    let metrics: ReportConsumerMetrics
    let logger: Logger
    let logHash: LogHash
    let wall: WallClock
    let clock: MonotonicClock

    /// Longest wait for one statement; the lanes repeat an unknown outcome until then.
    static let storeLimit = Duration.seconds(30)
    /// A look-up that takes longer is asked again by the next attempt.
    static let lookUpLimit = Duration.seconds(10)

    // MARK: The runtime's calls

    func handle(_ work: LaneWork, context: HandlerContext) async -> Outcome {
        let event = work.newest
        switch read(event) {
        case .pass(let reason):
            metrics.passed(reason, events: work.events.count)
            return .done
        case .broken(let reason): return .park(reason)
        case .notMade(let userID, let failed):
            return await attempt(event, userID, context) { user in
                try await recordFailure(event, user, failed: failed)
            }
        case .fetch(let userID):
            return await attempt(event, userID, context) { user in
                try await bringIn(work, user, context)
            }
        }
    }

    func expire(_ work: LaneWork, context: HandlerContext) async -> Outcome {
        let event = work.newest
        guard case .fetch(let userID) = read(event) else { return .done }
        do {
            let user = try await users.resolve(alias: userID, deadline: soon(Self.lookUpLimit))
            let request = request(event, user?.userID ?? userID)
            if try await requests.expired(request, product: product, deadline: soon(Self.storeLimit)) {
                metrics.expired(events: work.events.count)
                logger.error("a report expired before it could be fetched", metadata: metadata(event, userID))
            }
            return .done
        } catch {
            return outcome(of: StepFailure(error), event)
        }
    }

    private func read(_ event: EventRecord) -> ReportEvent {
        ReportEvent.read(event.value, product: product, environment: environment, expected: expected)
    }

    // MARK: Steps

    /// The webhook's user: who calls name, and under which id everything is stored.
    struct KnownUser {
        let canonicalID: String
        let reference: UserReference
    }

    /// Resolves the user, runs the steps, and turns what went wrong into an outcome and a note on the request.
    private func attempt(
        _ event: EventRecord,
        _ userID: String,
        _ context: HandlerContext,
        _ steps: (KnownUser) async throws -> Void
    ) async -> Outcome {
        var user: KnownUser?
        do {
            let known = try await resolve(userID)
            user = known
            try await steps(known)
            return .done
        } catch {
            let failure = StepFailure(error)
            let outcome = outcome(of: failure, event)
            log(failure, outcome, event, userID)
            await note(failure, outcome, event, user?.canonicalID ?? userID, attempt: context.attempt)
            return outcome
        }
    }

    private func resolve(_ userID: String) async throws -> KnownUser {
        if let user = try await users.resolve(alias: userID, deadline: soon(Self.lookUpLimit)) {
            guard let reference = user.reference(forWebhookID: userID) else { throw StepFailure.unknownUser }
            return KnownUser(canonicalID: user.userID, reference: reference)
        }
        // An id that Plaid's calls take is judged by the fetch itself; another one says nothing to anybody.
        guard let reference = UserReference(webhookUserID: userID) else { throw StepFailure.unknownUser }
        return KnownUser(canonicalID: userID, reference: reference)
    }

    private func recordFailure(_ event: EventRecord, _ user: KnownUser, failed: [String]?) async throws {
        try await requests.failed(
            request(event, user.canonicalID),
            products: failed,
            expected: [product.rawValue],
            deadline: soon(Self.storeLimit)
        )
        metrics.notMade()
    }

    /// Rule: READY says that something may be readable, not what. A report whose fetch began after the receipt of
    /// every READY that stood in the lane answers all of them.
    private func bringIn(_ work: LaneWork, _ user: KnownUser, _ context: HandlerContext) async throws {
        let event = work.newest
        let request = request(event, user.canonicalID)
        if let known = try await reports.covering(
            userID: user.canonicalID,
            product: product,
            deadline: soon(Self.lookUpLimit)
        ), known.coversReceivedAt >= event.receivedAt.toMicroseconds {
            // A crash may have come between its row and its announcement.
            try await announcer.announce(known, cause: event)
            try await requests.stored(
                request,
                product: product,
                reportID: known.reportID,
                deadline: soon(Self.storeLimit)
            )
            metrics.satisfied(events: work.events.count)
            return
        }
        try await requests.readySeen(
            request,
            products: [product.rawValue],
            lifetimeEnd: work.deadline,
            deadline: soon(Self.storeLimit)
        )
        let fetchStartedAt = wall.now()
        let fetched = try await fetch(user.reference, context)
        let fetchedAt = wall.now()
        metrics.fetched(in: fetched.elapsed, bytes: fetched.body.count, silentRepeats: fetched.silentRepeats)
        guard let reportID = fetched.facts.identity(userID: user.canonicalID) else { throw StepFailure.unidentified }
        let digest = try await hash(fetched.body)
        let began = clock.now()
        let result = try await reports.store(
            NewReport(
                userID: user.canonicalID,
                product: product,
                reportID: reportID,
                clientReportID: fetched.facts.clientReportID,
                generatedAt: fetched.facts.generatedAt,
                generatedAtText: fetched.facts.generatedAtText,
                fetchStartedAt: fetchStartedAt,
                fetchedAt: fetchedAt,
                coversReceivedAt: event.receivedAt,
                body: fetched.body,
                bodySHA256: digest,
                fraudAlert: fetched.facts.fraudAlert,
                strictJSON: fetched.facts.strict,
                webhookEventID: event.webhookFacts.eventID
            ),
            deadline: soon(Self.storeLimit)
        )
        metrics.stored(in: clock.now() - began)
        switch result {
        case .foreignUser: throw StepFailure.foreignReport
        case .inserted(let reference):
            metrics.landed(after: wall.now() - event.receivedAt, isNew: true)
            if reference.fraudAlert {
                logger.warning("a report carries a fraud alert", metadata: metadata(event, user.canonicalID))
            }
            try await announcer.announce(reference, cause: event)
        case .raised(let reference):
            metrics.landed(after: wall.now() - event.receivedAt, isNew: false)
            try await announcer.announce(reference, cause: event)
        }
    }

    /// One repeat on a fresh connection where an idle one had closed on the request.
    private func fetch(_ user: UserReference, _ context: HandlerContext) async throws -> FetchedReport {
        do {
            return try await plaid.fetchReport(product, user: user, deadline: context.deadline)
        } catch  where error.class == .retryAtOnceFresh {
            return try await plaid.fetchReport(product, user: user, deadline: context.deadline, fresh: true)
        }
    }

    /// Bodies over 1 MiB are hashed where they are parsed, off the threads that carry all the others.
    private func hash(_ body: Bytes) async throws -> SHA256Digest {
        guard body.count > LargeBodyHashing.threshold else { return SHA256.hash(body) }
        return try await LargeBodyHashing.hash(body)
    }

    // MARK: What went wrong

    private func outcome(of failure: StepFailure, _ event: EventRecord) -> Outcome {
        table.outcome(failure, age: wall.now() - event.receivedAt)
    }

    /// Keeps the request's row honest. It is a note: an error here changes nothing, the outcome stands.
    private func note(_ failure: StepFailure, _ outcome: Outcome, _ event: EventRecord, _ userID: String, attempt: Int)
        async
    {
        let request = request(event, userID)
        let deadline = soon(Self.lookUpLimit)
        switch outcome {
        case .retry(let after, _):
            guard case .plaid(let plaid) = failure else { return }
            try? await requests.noteAttempt(
                request,
                product: product,
                attempts: attempt,
                nextAttemptAt: after.map { wall.now() + $0 },
                errorType: plaid.errorType,
                errorCode: plaid.errorCode,
                deadline: deadline
            )
        case .park(let reason):
            _ = try? await requests.dead(
                request,
                product: product,
                errorType: reason.type,
                errorCode: reason.code,
                deadline: deadline
            )
        case .done, .pauseAll, .expired: return
        }
    }

    private func log(_ failure: StepFailure, _ outcome: Outcome, _ event: EventRecord, _ userID: String) {
        var details = metadata(event, userID)
        switch outcome {
        case .park(let reason):
            details["error.type"] = .string(reason.type)
            details["error.code"] = .string(reason.code)
            if case .foreignReport = failure {
                logger.critical("an answer was mixed up: its report id stands under another user", metadata: details)
            } else {
                logger.error("an event cannot be handled", metadata: details)
            }
        case .retry(_, let reason):
            details["retry.reason"] = .string(reason.code)
            if case .plaid(let plaid) = failure { details["error.message"] = .string(plaid.message) }
            logger.info("an event is tried again later", metadata: details)
        case .pauseAll(_, let reason):
            details["error.message"] = .string(reason)
            logger.error("nothing can be handled now", metadata: details)
        case .done, .expired: return
        }
    }

    private func metadata(_ event: EventRecord, _ userID: String) -> Logger.Metadata {
        [
            "user.hash": .string(logHash(userID)),
            "report.product": .string(product.rawValue),
            "kafka.topic": .string(event.coordinates.topic),
            "kafka.partition": .stringConvertible(Int(event.coordinates.partition)),
            "kafka.offset": .stringConvertible(Int(event.coordinates.offset)),
        ]
    }

    private func request(_ event: EventRecord, _ userID: String) -> RequestEvent {
        RequestEvent(userID: userID, receivedAt: event.receivedAt, webhookEventID: event.webhookFacts.eventID)
    }

    private func soon(_ limit: Duration) -> MonotonicInstant { clock.now() + limit }
}

extension Timestamp {
    /// As a `timestamptz` column keeps it.
    var toMicroseconds: Timestamp { Timestamp(microsecondsSinceEpoch: microsecondsSinceEpoch) }
}
