// A receiver in this process: its service on a real listener, with a scripted Plaid and a scripted Kafka.

import Basics
import Cryptography
import HTTPClient
import HTTPServer
import Kafka
import PipelineEvents
import PlaidAPI
import ServiceKit

@testable import WebhookReceiver

final class Receiver: Sendable {
    struct Options {
        var answerWithin = Duration.seconds(4)
        var maxWaiting = 1_000
        var wall = WallClock.system
        /// The clock of keys, retries and counts; the listener's deadlines always run by the system's.
        var clock = MonotonicClock.system
        var environment = PlaidEnvironment.sandbox
    }
    static let bodyLimit = 4_096

    let keys = ScriptedKeys()
    let sink = ScriptedSink()
    let registry = MetricsRegistry()
    let lines = Locked<[String]>([])
    let isDraining = Locked(false)
    let health: PublicHealth
    let keyService: KeyService
    let service: ReceiverService
    let server: HTTPServer
    private let client: HTTPClient
    private let wall: WallClock

    private init(_ options: Options) throws {
        HTTPClientLibrary.globalInit()
        let metrics = ReceiverMetrics(registry, wallClock: options.wall)
        let advice = Locked(RetryAdvice())
        let logger = Logger(
            label: "test",
            destination: LogDestination(format: .json, level: .info, service: "webhook-receiver") { [lines] line in
                lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
            }
        )
        keyService = KeyService(
            plaid: PlaidClient(
                http: keys,
                baseURL: "http://plaid.test",
                credentials: PlaidCredentials(clientID: "client-1", secret: Secret("hush"))
            ),
            advice: advice,
            clock: options.clock,
            wallClock: options.wall,
            metrics: metrics,
            logger: logger
        )
        health = PublicHealth { [isDraining] in isDraining.withLock { $0 } }
        var limits = ReceiverService.Limits()
        limits.bodyBytes = Self.bodyLimit
        limits.answerWithin = options.answerWithin
        service = ReceiverService(
            environment: options.environment,
            topics: Topics(prefix: "t."),
            limits: limits,
            verifier: WebhookVerifier(),
            keys: keyService,
            sink: sink,
            advice: advice,
            metrics: metrics,
            health: health,
            logger: logger,
            clock: options.clock,
            wallClock: options.wall
        )
        var serverLimits = HTTPServer.Limits()
        serverLimits.maxWaiting = options.maxWaiting
        serverLimits.overloadAnswer = .empty(429, retryAfter: 10)
        server = try HTTPServer(
            host: "127.0.0.1",
            port: 0,
            limits: serverLimits,
            service: service,
            wallClock: options.wall
        )
        client = try HTTPClient(settings: HTTPClientSettings(maxInFlight: 32, allowsPlainHTTP: true))
        wall = options.wall
        keys.set(date: options.wall.now())
    }

    /// Runs `body` with a receiver that knows the signer's key, and stops it whatever happens.
    static func with(
        _ options: Options = Options(),
        _ body: (Receiver, Signer) async throws -> Void
    ) async throws {
        let signer = try Signer()
        let receiver = try Receiver(options)
        receiver.keys.set(signer.keyID, .key(signer))
        receiver.server.start()
        defer {
            receiver.server.stop()
            receiver.client.close(grace: .zero)
        }
        try await body(receiver, signer)
    }

    // MARK: Requests

    func send(
        _ body: [UInt8],
        tokens: [String],
        method: String = "POST",
        path: String = ReceiverService.path,
        headers: [(name: String, value: HeaderValue)] = [("Content-Type", "application/json")]
    ) async throws -> HTTPClientResponse {
        let request = HTTPClientRequest(
            method: method,
            url: "http://127.0.0.1:\(server.port)\(path)",
            headers: headers + tokens.map { (name: "Plaid-Verification", value: .plain($0)) },
            body: body,
            isRepeatable: false,
            deadline: MonotonicClock.system.now() + .seconds(20)
        )
        return try await client.send(request)
    }

    /// Signs a body now and sends it.
    func send(_ body: String, by signer: Signer) async throws -> HTTPClientResponse {
        let bytes = Array(body.utf8)
        return try await send(bytes, tokens: [signer.token(bytes, issuedAt: wall.now())])
    }

    /// Hands a request to the service without a connection. Nil: it waits.
    func ask(
        _ body: [UInt8],
        tokens: [String],
        arrivedWhileDraining: Bool = false,
        serial: UInt64 = 1,
        later: @escaping @Sendable (Response) -> Void = { _ in }
    ) -> Response? {
        let request = Request(
            head: RequestHead(
                method: .post,
                path: ReceiverService.path,
                headers: tokens.map { ("plaid-verification", $0) },
                arrivedWhileDraining: arrivedWhileDraining
            ),
            body: Bytes(body),
            receivedAt: wall.now(),
            receivedMonotonic: MonotonicClock.system.now()
        )
        switch service.request(request, exchange: .detached(serial: serial, later)) {
        case .answer(let response): return response
        case .wait: return nil
        }
    }

    // MARK: Counts

    /// The value of a series as it stands in the exposition, labels included.
    func count(_ series: String) -> Double? {
        let text = String(decoding: registry.render(), as: UTF8.self)
        let line = text.split(separator: "\n").first { $0.hasPrefix(series + " ") }
        return line.flatMap { Double($0.dropFirst(series.count + 1)) }
    }

    func refused(_ reason: BadReason) -> Double? {
        count("check_pipeline_webhooks_refused_total{reason=\"\(reason.rawValue)\"}")
    }
    func undecided(_ reason: Answer.Postponement) -> Double? {
        count("check_pipeline_webhooks_undecided_total{reason=\"\(reason.rawValue)\"}")
    }
    func unusable(_ reason: Answer.Unusable) -> Double? {
        count("check_pipeline_webhooks_unusable_total{reason=\"\(reason.rawValue)\"}")
    }
    var acknowledged: Double? { count("check_pipeline_webhooks_acknowledged_total") }
    var late: Double? { count("check_pipeline_webhooks_late_deliveries_total") }
}

/// A webhook body of the main kind.
let readyBody =
    #"{"webhook_type":"CHECK_REPORT","webhook_code":"USER_CHECK_REPORT_READY","user_id":"usr_1","#
    + #""successful_products":["cra_base_report"],"environment":"sandbox"}"#

extension ProducerRecord {
    func header(_ name: String) -> String? {
        headers.first { $0.name == name }?.value.map { String(decoding: $0, as: UTF8.self) }
    }
    var keyText: String? { key.map { String(decoding: $0, as: UTF8.self) } }
}
