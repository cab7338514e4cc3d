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
    /// Plaid's names of the products to fetch when READY names none.
    let expected: [String]
    let plaid: PlaidClient
    let reports: ReportRepository
    let requests: RequestRepository
    let users: UserRepository
    let announcer: any ReportAnnouncer
    let table: OutcomeTable
    let report: HandlerReport
    /// Whether a connection to Postgres stands now.
    let databaseIsAvailable: @Sendable () -> Bool
    let wall: WallClock
    let clock: MonotonicClock
    var limits = Limits()

    /// Longest waits for the database. It may be away for so long without an event noticing.
    struct Limits: Sendable {
        /// The write lanes repeat an unknown outcome until then: a body in hand is worth waiting for.
        var store = Duration.seconds(30)
        /// Shorter, so that stopping while the database is away ends within the grace.
        var lookUp = Duration.seconds(10)
        /// Notes on requests are not worth a wait.
        var note = Duration.seconds(5)
    }

    // MARK: The runtime's calls

    func handle(_ work: LaneWork, context: HandlerContext) async -> Outcome {
        let event = work.newest
        switch read(event) {
        case .pass(let reason):
            report.passed(reason, events: work.events.count)
            return .done
        case .broken(let reason):
            report.cannotHandle(event, userID: nil, reason)
            return .park(reason)
        case .notMade(let userID, let failed, let error):
            return await attempt(event, userID, context, isFetch: false) { id in
                id = try await resolve(userID)
                try await recordFailure(event, id, failed: failed, error)
            }
        case .fetch(let userID):
            return await attempt(event, userID, context) { id in
                let known = try await answer(work, userID, &id)
                if !known.isAnswered { try await bringIn(work, id, known.reference, context) }
            }
        }
    }

    /// Time ends the fetching and nothing else: a report that is stored may still have to be announced, a failure
    /// recorded, a broken event buried.
    func expire(_ work: LaneWork, context: HandlerContext) async -> Outcome {
        let event = work.newest
        guard case .fetch(let userID) = read(event) else { return await handle(work, context: context) }
        return await attempt(event, userID, context) { id in
            if try await answer(work, userID, &id).isAnswered { return }
            let isNews = try await requests.expired(
                request(event, id),
                product: product,
                deadline: clock.now() + limits.store
            )
            if isNews { report.expired(event, userID: id, events: work.events.count) }
        }
    }

    private func read(_ event: EventRecord) -> ReportEvent {
        ReportEvent.read(event.value, product: product, environment: environment, expected: expected)
    }

    // MARK: Steps

    /// Runs the steps, which tell the user's canonical id as soon as they know it, and turns what went wrong into an
    /// outcome and a note on the request.
    private func attempt(
        _ event: EventRecord,
        _ userID: String,
        _ context: HandlerContext,
        isFetch: Bool = true,
        _ steps: (_ id: inout String) async throws -> Void
    ) async -> Outcome {
        var id = userID
        do {
            try await steps(&id)
            return .done
        } catch {
            let failure = StepFailure(error, databaseIsAvailable: databaseIsAvailable())
            let outcome = table.outcome(failure, age: wall.now() - event.receivedAt)
            report.failed(event, userID: id, failure, outcome)
            if isFetch { await note(failure, outcome, event, id, attempt: context.attempt) }
            return outcome
        }
    }

    /// The canonical id of a webhook's user.
    private func resolve(_ userID: String) async throws -> String {
        if let user = try await users.resolve(alias: userID, deadline: clock.now() + limits.lookUp) {
            return user.userID
        }
        guard UserReference(webhookUserID: userID) != nil else { throw StepFailure.unknownUser }
        return userID
    }

    private func recordFailure(
        _ event: EventRecord,
        _ id: String,
        failed: [String]?,
        _ error: PlaidErrorBody?
    ) async throws {
        try await requests.failed(
            request(event, id),
            products: failed,
            expected: expected,
            errorType: error?.errorType,
            errorCode: error?.errorCode,
            deadline: clock.now() + limits.store
        )
        report.notMade()
    }

    /// Looks the user and the stored reports up, and announces again those that answer events of the work, with the
    /// event ids they had: a crash may have come between a row and its announcement.
    ///
    /// - Returns: Whether the newest event is answered, so that nothing is to be fetched; and how calls name the user.
    private func answer(
        _ work: LaneWork,
        _ userID: String,
        _ id: inout String
    ) async throws -> (isAnswered: Bool, reference: UserReference?) {
        let event = work.newest
        let receipts = work.events.map(\.receivedAt)
        let known = try await users.resolve(
            alias: userID,
            product: product,
            coveringFrom: receipts.min() ?? event.receivedAt,
            deadline: clock.now() + limits.lookUp
        )
        id = known.user?.userID ?? userID
        let coverage = Coverage(of: receipts, by: known.reports)
        for stored in coverage.answers { try await announcer.announce(stored, cause: event) }
        // Where no row names the user, an id that Plaid's calls take is judged by the fetch; another says nothing.
        let reference = known.user.map { $0.reference(forWebhookID: userID) } ?? UserReference(webhookUserID: userID)
        guard let newest = coverage.newest else { return (false, reference) }
        try await requests.stored(
            request(event, id),
            product: product,
            reportID: newest.reportID,
            deadline: clock.now() + limits.store
        )
        report.satisfied(events: work.events.count)
        return (true, reference)
    }

    /// READY says that something may be readable, not what. A report whose fetch began after the receipt of every
    /// READY that stood in the lane answers all of them.
    private func bringIn(
        _ work: LaneWork,
        _ id: String,
        _ reference: UserReference?,
        _ context: HandlerContext
    ) async throws {
        let event = work.newest
        guard let reference else { throw StepFailure.unknownUser }
        // A fetch costs quota, and the partition's new owner makes it anyway.
        guard context.isCurrent() else { throw StepFailure.cancelled }
        try await requests.readySeen(
            request(event, id),
            products: [product.rawValue],
            lifetimeEnd: work.deadline,
            deadline: clock.now() + limits.store
        )
        let stored = try await fetchAndStore(event, id, reference, context)
        try await announcer.announce(stored, cause: event)
    }

    /// A function of its own, so that the body's room in the budget is free before the announcement is awaited.
    private func fetchAndStore(
        _ event: EventRecord,
        _ id: String,
        _ reference: UserReference,
        _ context: HandlerContext
    ) async throws -> StoredReportReference {
        let fetchStartedAt = wall.now()
        let fetched = try await fetch(reference, context)
        let fetchedAt = wall.now()
        report.fetched(fetched)
        guard let reportID = fetched.facts.identity(userID: id) else { throw StepFailure.unidentified }
        let digest = try await hash(fetched.body)
        let began = clock.now()
        let result = try await reports.store(
            NewReport(
                userID: id,
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
            deadline: clock.now() + limits.store
        )
        let (stored, isNew): (StoredReportReference, Bool) =
            switch result {
            case .foreignUser: throw StepFailure.foreignReport
            case .inserted(let reference): (reference, true)
            case .raised(let reference): (reference, false)
            }
        report.stored(
            event,
            userID: id,
            stored,
            isNew: isNew,
            in: clock.now() - began,
            sinceReceipt: wall.now() - event.receivedAt
        )
        return stored
    }

    /// One repeat on a fresh connection where an idle one had closed on the request.
    private func fetch(_ user: UserReference, _ context: HandlerContext) async throws(PlaidFailure) -> FetchedReport {
        do throws(PlaidFailure) {
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

    /// Keeps the request's row honest. It is a note: an error here changes nothing, the outcome stands.
    private func note(
        _ failure: StepFailure,
        _ outcome: Outcome,
        _ event: EventRecord,
        _ id: String,
        attempt: Int
    ) async {
        let deadline = clock.now() + limits.note
        switch outcome {
        case .retry(let after, _):
            guard case .plaid(let plaid) = failure, !plaid.isCancelled else { return }
            try? await requests.noteAttempt(
                request(event, id),
                product: product,
                attempts: attempt,
                nextAttemptAt: after.map { wall.now() + $0 },
                errorType: plaid.shownType,
                errorCode: plaid.shownCode,
                deadline: deadline
            )
        case .park(let reason):
            _ = try? await requests.dead(
                request(event, id),
                product: product,
                errorType: reason.type,
                errorCode: reason.code,
                deadline: deadline
            )
        case .done, .pauseAll, .expired: return
        }
    }

    private func request(_ event: EventRecord, _ id: String) -> RequestEvent {
        RequestEvent(userID: id, receivedAt: event.receivedAt, webhookEventID: event.webhookFacts.eventID)
    }
}
