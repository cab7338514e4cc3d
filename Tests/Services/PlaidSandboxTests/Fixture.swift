// One sandbox over real HTTP for one test, and a receiver of its webhooks that answers as told.

import Basics
import Cryptography
import HTTPClient
import HTTPServer
import JSON
import PlaidAPI
import Testing

@testable import PlaidSandbox

struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A queue that tests wait on with a deadline.
final class Signals<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var waiter: Promise<Element>?
    }
    private let state = Locked(State())

    func push(_ element: Element) {
        let waiter = state.withLock { state -> Promise<Element>? in
            guard let waiter = state.waiter else {
                state.elements.append(element)
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resolve(.success(element))
    }

    /// The next one in order; fails after 20 s.
    func next(_ what: String) async throws -> Element {
        let promise = Promise<Element>()
        state.withLock { state in
            if state.elements.isEmpty {
                state.waiter = promise
            } else {
                promise.resolve(.success(state.elements.removeFirst()))
            }
        }
        let token = TimerQueue.shared.schedule(at: MonotonicClock.system.now() + .seconds(20)) { [state] in
            state.withLock { $0.waiter = nil }
            promise.resolve(.failure(TestFailure("waited 20 s for \(what)")))
        }
        defer { TimerQueue.shared.cancel(token) }
        return try await promise.value()
    }

    var count: Int { state.withLock { $0.elements.count } }
}

/// A webhook as it arrived.
struct ReceivedWebhook: Sendable {
    let tokens: [String]
    let body: Bytes
    var json: JSONValue { (try? JSON.parse(body)) ?? .null }
    var text: String { body.string() ?? "" }
}

/// The sandbox, its clock, and who listens.
final class Fixture: Sendable {
    static let clientID = "test-client"
    static let secret = "test-secret"
    static let start = Timestamp(seconds: 1_800_000_000, nanoseconds: 123_456_789)

    let sandbox: Sandbox
    let clock: ManualClock
    let http: HTTPClient
    let webhooks = Signals<ReceivedWebhook>()
    let steps: Signals<WebhookStep>
    /// What the receiver answers, in order; 200 when there is none left.
    let answers: Locked<[Response]>
    let base: String
    let hook: String
    private let server: HTTPServer
    private let receiver: HTTPServer
    private let sender: HTTPClient

    private init(seed: UInt64, speed: Double) throws {
        HTTPClientLibrary.globalInit()
        try CryptographyLibrary.start()
        clock = ManualClock(wall: Self.start)
        let steps = Signals<WebhookStep>()
        self.steps = steps
        http = try HTTPClient(settings: HTTPClientSettings(maxInFlight: 16, allowsPlainHTTP: true))
        sender = try HTTPClient(settings: HTTPClientSettings(maxInFlight: 64, allowsPlainHTTP: true))
        sandbox = try Sandbox(
            settings: SandboxSettings(
                seed: seed,
                speed: speed,
                credentials: Credentials(clientID: Self.clientID, secret: Secret(Self.secret))
            ),
            http: sender,
            timers: TimerQueue(manual: clock),
            clock: clock.monotonic,
            wallClock: clock.wall,
            observe: { steps.push($0) }
        )
        let answers = Locked<[Response]>([])
        self.answers = answers
        let sink = Router(routes: [
            Route(
                .post,
                "/hook",
                handler: .immediate { [webhooks] request in
                    let tokens = request.head.headerValues("plaid-verification")
                    webhooks.push(ReceivedWebhook(tokens: tokens, body: request.body))
                    return answers.withLock { $0.isEmpty ? .empty(200) : $0.removeFirst() }
                }
            )
        ])
        server = try HTTPServer(host: "127.0.0.1", port: 0, service: sandbox.router(), name: "sandbox")
        receiver = try HTTPServer(host: "127.0.0.1", port: 0, service: sink, name: "sink")
        base = "http://127.0.0.1:\(server.port)"
        hook = "http://127.0.0.1:\(receiver.port)/hook"
        server.start()
        receiver.start()
    }

    /// Runs a test against a sandbox and ends everything afterwards.
    static func with(
        seed: UInt64 = 1,
        speed: Double = 1,
        _ test: (Fixture) async throws -> Void
    ) async throws {
        let fixture = try Fixture(seed: seed, speed: speed)
        do {
            try await test(fixture)
        } catch {
            await fixture.end()
            throw error
        }
        await fixture.end()
    }

    private func end() async {
        let ended = Promise<Void>()
        let thread = WorkerThread(name: "fixture-end") { [self] in
            sandbox.sender.stop()
            sender.close(grace: .zero)
            http.close(grace: .zero)
            server.stop()
            receiver.stop()
            ended.resolve(.success(()))
        }
        try? await ended.value()
        thread.join()
    }

    // MARK: calls

    var plaid: PlaidClient {
        PlaidClient(
            http: http,
            baseURL: base,
            credentials: PlaidCredentials(clientID: Self.clientID, secret: Secret(Self.secret))
        )
    }

    func send(
        _ method: String,
        _ path: String,
        _ body: String,
        headers: [(name: String, value: HeaderValue)] = []
    ) async throws -> HTTPClientResponse {
        try await http.send(
            HTTPClientRequest(
                method: method,
                url: base + path,
                headers: [("Content-Type", "application/json")] + headers,
                body: Array(body.utf8),
                isRepeatable: false
            )
        )
    }

    /// A call with the right credentials in the headers.
    func post(_ path: String, _ body: JSONValue) async throws -> HTTPClientResponse {
        try await send(
            "POST",
            path,
            String(decoding: body.serialized(), as: UTF8.self),
            headers: [("PLAID-CLIENT-ID", .plain(Self.clientID)), ("PLAID-SECRET", .plain(Self.secret))]
        )
    }

    /// The answer of a call that must succeed.
    @discardableResult
    func good(_ path: String, _ body: JSONValue) async throws -> JSONValue {
        let response = try await post(path, body)
        guard (200...201).contains(response.status) else {
            throw TestFailure("\(path): \(response.status) \(response.body.string() ?? "")")
        }
        return try JSON.parse(response.body)
    }

    /// `TYPE/CODE` and the status of a call that must fail.
    func refusal(_ path: String, _ body: JSONValue) async throws -> String {
        let response = try await post(path, body)
        return try Self.refusal(response)
    }

    static func refusal(_ response: HTTPClientResponse) throws -> String {
        let json = try JSON.parse(response.body)
        guard let type = json["error_type"]?.stringValue, let code = json["error_code"]?.stringValue,
            let id = json["request_id"]?.stringValue, !id.isEmpty, json["error_message"]?.stringValue != nil
        else { throw TestFailure("not Plaid's error shape: \(response.status) \(response.body.string() ?? "")") }
        return "\(response.status) \(type)/\(code)"
    }

    // MARK: users

    enum Kind: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case current, legacy
        var testDescription: String { rawValue }
    }

    /// A user as requests name it.
    struct User: Sendable {
        let id: String
        let token: String?
        var field: JSONMember {
            token.map { JSONMember(key: "user_token", value: .string($0)) }
                ?? JSONMember(key: "user_id", value: .string(id))
        }
        var reference: UserReference { token.map { .userToken(Secret($0)) } ?? .userID(id) }
        func naming(_ members: [JSONMember] = []) -> JSONValue { .object([field] + members) }
    }

    func user(_ clientUserID: String = "customer-1", _ kind: Kind = .current) async throws -> User {
        let identity: JSONMember =
            kind == .current
            ? JSONMember(key: "identity", value: ["name": ["given_name": "Robin", "family_name": "Vance"]])
            : JSONMember(
                key: "consumer_report_user_identity",
                value: [
                    "first_name": "Robin", "last_name": "Vance", "phone_numbers": ["+14155550100"],
                    "emails": ["robin@example.com"], "date_of_birth": "1990-04-12",
                    "primary_address": [
                        "street": "12 Alder Way", "city": "Dayton", "region": "OH", "postal_code": "45402",
                        "country": "US",
                    ],
                ]
            )
        let made = try await good(
            "/user/create",
            .object([JSONMember(key: "client_user_id", value: .string(clientUserID)), identity])
        )
        guard let id = made["user_id"]?.stringValue else { throw TestFailure("no user_id") }
        return User(id: id, token: made["user_token"]?.stringValue)
    }

    @discardableResult
    func item(_ user: User, overrideUsername: String? = nil) async throws -> String {
        var members: [JSONMember] = [
            JSONMember(key: "institution_id", value: "ins_109508"),
            JSONMember(key: "initial_products", value: ["cra_base_report"]),
        ]
        if let overrideUsername {
            members.append(JSONMember(key: "options", value: ["override_username": .string(overrideUsername)]))
        }
        let made = try await good("/sandbox/public_token/create", user.naming(members))
        guard let token = made["public_token"]?.stringValue else { throw TestFailure("no public_token") }
        return token
    }

    static let allProducts = ReportProduct.allCases.map(\.rawValue)

    func order(_ user: User, products: [String] = allProducts, url: String? = nil) -> JSONValue {
        user.naming([
            JSONMember(key: "webhook", value: .string(url ?? hook)),
            JSONMember(key: "days_requested", value: 365),
            JSONMember(key: "client_report_id", value: "loan-1"),
            JSONMember(key: "products", value: .array(products.map { .string($0) })),
            JSONMember(key: "consumer_report_permissible_purpose", value: "EXTENSION_OF_CREDIT"),
        ])
    }

    func create(_ user: User, products: [String] = allProducts) async throws {
        try await good("/cra/check_report/create", order(user, products: products))
    }

    /// A user with an Item whose report is ready and announced.
    func readyUser(_ clientUserID: String = "customer-1", _ kind: Kind = .current) async throws -> User {
        let user = try await user(clientUserID, kind)
        try await item(user)
        try await create(user)
        try await makeReady()
        return user
    }

    /// Lets the generation time pass and waits until the webhook was acknowledged.
    @discardableResult
    func makeReady() async throws -> ReceivedWebhook {
        clock.advance(by: .seconds(10))
        let webhook = try await webhooks.next("the READY webhook")
        _ = try await steps.next("the end of its delivery")
        return webhook
    }

    func truth() async throws -> JSONValue {
        let response = try await send("GET", "/_sandbox/truth", "")
        return try JSON.parse(response.body)
    }
}
