// Plaid's API as far as the pipeline calls it: requests, and answers judged by one set of rules.

package import Basics
import HTTPClient
package import JSON

/// Calls Plaid. Safe to share; holds no state but its settings.
///
/// Every method throws ``PlaidFailure`` and nothing else. Cancelling the task ends the request.
package final class PlaidClient: Sendable {
    private let http: any PlaidTransport
    private let baseURL: String
    private let credentials: PlaidCredentials
    private let largeBodies: LargeBodies

    /// The version of the API this client was written for.
    package static let version = "2020-09-14"

    /// - Parameters:
    ///   - baseURL: Scheme, host and perhaps a path prefix; a slash at the end does not matter.
    ///   - largeBodies: Where reports over 1 MiB are read.
    package init(
        http: any PlaidTransport,
        baseURL: String,
        credentials: PlaidCredentials,
        largeBodies: LargeBodies = .shared
    ) {
        self.http = http
        var base = baseURL
        while base.hasSuffix("/") { base.removeLast() }
        self.baseURL = base
        self.credentials = credentials
        self.largeBodies = largeBodies
    }

    // MARK: Reports

    /// Reads the user's newest report of a product.
    ///
    /// - Parameters:
    ///   - deadline: Ends the call beside its own clocks.
    ///   - fresh: On a new connection: the repeat asked for by ``FailureClass/retryAtOnceFresh``.
    /// - Returns: A complete answer with a `report` in it, its bytes as received.
    /// - Throws: ``PlaidFailure``: ``FailureClass/retry(slow:)`` also for a 200 that is no JSON,
    ///   ``FailureClass/wait`` for one without a report.
    package func fetchReport(
        _ product: ReportProduct,
        user: UserReference,
        deadline: MonotonicInstant? = nil,
        fresh: Bool = false
    ) async throws(PlaidFailure) -> FetchedReport {
        var request = request(product.path, timeouts: .report, deadline: deadline) { writer in
            writer.field(user.field.name, user.field.value)
            // The version named at creation is not remembered, and each call without one takes the default.
            if product == .incomeInsights {
                writer.object("options") { $0.field("income_insights_version", "II2") }
            }
        }
        request.needsFreshConnection = fresh
        let response = try await send(request)
        guard response.status == 200 else { throw failure(in: response) }
        guard response.contentType == "application/json" else {
            throw PlaidFailure(response, class: .retry(slow: false), "a report that is no application/json")
        }
        let facts = try await readFacts(product, in: response)
        guard facts.hasReport else {
            if let error = facts.error, let known = PlaidErrorTable.find(type: error.errorType, code: error.errorCode) {
                throw PlaidFailure(error, in: response, class: known)
            }
            throw PlaidFailure(response, class: .wait, "no report in the answer")
        }
        return FetchedReport(
            body: response.body,
            facts: facts,
            requestID: facts.requestID ?? response.plaidRequestID,
            silentRepeats: response.silentRepeats,
            elapsed: response.elapsed
        )
    }

    private func readFacts(
        _ product: ReportProduct,
        in response: HTTPClientResponse
    ) async throws(PlaidFailure) -> ReportFacts {
        do {
            return try await ReportFacts.read(product, response.body, on: largeBodies)
        } catch let refusal as JSONRefusal {
            // Cut or broken answers come whole next time; depth and size do not change.
            let isLasting = refusal == .tooDeep || refusal == .tooLarge
            throw PlaidFailure(response, class: isLasting ? .permanent : .retry(slow: false), "a report: \(refusal)")
        } catch {
            throw PlaidFailure(response, class: .retry(slow: false), "a report that could not be read now")
        }
    }

    /// Starts a report over all of the user's Items; the result comes by webhook. It may cost money.
    ///
    /// Never sent twice by the transport. After a failure see ``PlaidFailure/mayHaveTakenEffect``.
    ///
    /// - Returns: Plaid's request id.
    package func createReport(
        _ order: ReportOrder,
        deadline: MonotonicInstant? = nil
    ) async throws(PlaidFailure) -> String? {
        var request = request("/cra/check_report/create", timeouts: .report, deadline: deadline) { writer in
            order.write(to: &writer)
        }
        request.isRepeatable = false
        return PlaidName.checked(try await answer(to: request)["request_id"]?.stringValue)
    }

    // MARK: Users and Items

    /// Creates a user. With the new API a repeat for one `client_user_id` gives the same user.
    ///
    /// - Parameter identity: Plaid's `identity` object; personal data.
    package func createUser(
        clientUserID: String,
        identity: JSONValue? = nil,
        deadline: MonotonicInstant? = nil
    ) async throws(PlaidFailure) -> CreatedUser {
        var request = request("/user/create", timeouts: .report, deadline: deadline) { writer in
            writer.field("client_user_id", clientUserID)
            if let identity { writer.field("identity", identity) }
        }
        request.isRepeatable = false
        let response = try await send(request)
        let json = try json(in: response, accepting: 200...201)
        guard let user = CreatedUser(json) else {
            throw PlaidFailure(response, class: .retry(slow: false), "a user without an id")
        }
        return user
    }

    /// The user's Items, each with the error that stops it: the diagnosis of a failed report.
    package func userItems(
        _ user: UserReference,
        deadline: MonotonicInstant? = nil
    ) async throws(PlaidFailure) -> [PlaidItem] {
        let request = request("/user/items/get", timeouts: .report, deadline: deadline) { writer in
            writer.field(user.field.name, user.field.value)
        }
        let response = try await send(request)
        guard let items = try json(in: response)["items"]?.arrayValue else {
            throw PlaidFailure(response, class: .retry(slow: false), "no list of Items")
        }
        return items.compactMap(PlaidItem.init)
    }

    /// The accounts of one Item.
    package func accounts(
        accessToken: Secret,
        deadline: MonotonicInstant? = nil
    ) async throws(PlaidFailure) -> ItemAccounts {
        let request = request("/accounts/get", timeouts: .report, deadline: deadline) { writer in
            writer.field("access_token", accessToken.reveal())
        }
        let response = try await send(request)
        guard let accounts = ItemAccounts(try json(in: response)) else {
            throw PlaidFailure(response, class: .retry(slow: false), "no list of accounts")
        }
        return accounts
    }

    // MARK: Sandbox

    /// Has Plaid's sandbox sign and send one webhook of the CHECK_REPORT family about a user.
    package func fireWebhook(
        code: String,
        user: UserReference,
        url: String,
        deadline: MonotonicInstant? = nil
    ) async throws(PlaidFailure) {
        var request = request("/sandbox/user/fire_webhook", timeouts: .report, deadline: deadline) { writer in
            writer.field("webhook_type", "CHECK_REPORT")
            writer.field("webhook_code", code)
            writer.field("webhook", url)
            writer.field(user.field.name, user.field.value)
        }
        request.isRepeatable = false
        _ = try await answer(to: request)
    }

    // MARK: Verification keys

    /// Looks a webhook verification key up; 2.5 s in all.
    ///
    /// - Parameter completion: Called exactly once, on the transport's thread or at once on the caller's.
    package func verificationKey(
        id: String,
        completion: @escaping @Sendable (VerificationKeyAnswer) -> Void
    ) {
        http.begin(keyRequest(id)) { result in completion(Self.keyAnswer(to: id, result)) }
    }

    package func verificationKey(id: String) async -> VerificationKeyAnswer {
        do throws(HTTPClientError) {
            return Self.keyAnswer(to: id, .success(try await http.send(keyRequest(id))))
        } catch {
            return Self.keyAnswer(to: id, .failure(error))
        }
    }

    private func keyRequest(_ id: String) -> HTTPClientRequest {
        var request = request("/webhook_verification_key/get", timeouts: .keyLookup, deadline: nil) { writer in
            writer.field("key_id", id)
        }
        request.maxResponseBytes = Self.mostAnswerBytes
        return request
    }

    private static func keyAnswer(
        to id: String,
        _ result: Result<HTTPClientResponse, HTTPClientError>
    ) -> VerificationKeyAnswer {
        switch result {
        case .failure(let error):
            return VerificationKeyAnswer(outcome: .failed(PlaidFailure(error)), serverDate: nil)
        case .success(let response):
            do throws(PlaidFailure) {
                let json = try json(in: response)
                let outcome = VerificationKeyAnswer.Outcome(json["key"] ?? .null, asked: id, response)
                return VerificationKeyAnswer(outcome: outcome, serverDate: response.date)
            } catch {
                let isUnknown = error.errorCode == PlaidErrorTable.unknownKeyCode
                return VerificationKeyAnswer(
                    outcome: isUnknown ? .unknownKey : .failed(error),
                    serverDate: response.date
                )
            }
        }
    }

    // MARK: Requests and answers

    /// Answers other than reports are small.
    private static let mostAnswerBytes = JSON.smallBytes

    private func request(
        _ path: String,
        timeouts: HTTPTimeouts,
        deadline: MonotonicInstant?,
        _ body: (inout JSONWriter) -> Void
    ) -> HTTPClientRequest {
        var writer = JSONWriter()
        writer.object(body)
        return HTTPClientRequest(
            method: "POST",
            url: baseURL + path,
            headers: [
                ("Content-Type", "application/json"),
                ("Accept", "application/json"),
                ("Plaid-Version", .plain(Self.version)),
                ("PLAID-CLIENT-ID", .plain(credentials.clientID)),
                ("PLAID-SECRET", .secret(credentials.secret)),
            ],
            body: writer.bytes,
            timeouts: timeouts,
            isRepeatable: true,
            deadline: deadline
        )
    }

    private func send(_ request: HTTPClientRequest) async throws(PlaidFailure) -> HTTPClientResponse {
        do throws(HTTPClientError) {
            return try await http.send(request)
        } catch {
            throw PlaidFailure(error)
        }
    }

    private func answer(to request: HTTPClientRequest) async throws(PlaidFailure) -> JSONValue {
        try json(in: try await send(request))
    }

    private func json(
        in response: HTTPClientResponse,
        accepting statuses: ClosedRange<Int> = 200...200
    ) throws(PlaidFailure) -> JSONValue {
        try Self.json(in: response, accepting: statuses)
    }

    /// The object of an answer with one of the statuses.
    private static func json(
        in response: HTTPClientResponse,
        accepting statuses: ClosedRange<Int> = 200...200
    ) throws(PlaidFailure) -> JSONValue {
        guard statuses.contains(response.status) else { throw failure(in: response) }
        guard let json = object(in: response.body) else {
            throw PlaidFailure(response, class: .retry(slow: false), "an answer that is no JSON object")
        }
        return json
    }

    private func failure(in response: HTTPClientResponse) -> PlaidFailure { Self.failure(in: response) }

    private static func failure(in response: HTTPClientResponse) -> PlaidFailure {
        guard let json = object(in: response.body), let error = PlaidErrorBody(json) else {
            let failureClass = PlaidErrorTable.classifyUnreadable(status: response.status)
            return PlaidFailure(response, class: failureClass, "an answer without an error object")
        }
        return PlaidFailure(error, in: response)
    }

    private static func object(in body: Bytes) -> JSONValue? {
        guard body.count <= mostAnswerBytes, let json = try? JSON.parse(body), json.objectValue != nil else {
            return nil
        }
        return json
    }
}
