import Basics
import HTTPClient
import HTTPServer
import TestSupport
import Testing

@testable import ServiceKit

@Suite struct PublicListenerTests {
    private let capture = LogCapture()

    private func context(_ environment: [String: String]) throws -> ProgramContext {
        let health = Health()
        return ProgramContext(
            name: "test",
            settings: try Settings(
                Setting.publicListener,
                environment: ["HTTP_HOST": "127.0.0.1", "HTTP_PORT": "0"].merging(environment) { _, new in new }
            ),
            logger: capture.logger(),
            logHash: LogHash(key: nil),
            metrics: MetricsRegistry(),
            health: health,
            lifecycle: Lifecycle(grace: .seconds(20), logger: capture.logger(), health: health)
        )
    }

    @Test func `serves from its start to its stop and shows its figures`() async throws {
        let context = try context([:])
        let started = Promise<Void>()
        let router = Router(routes: HealthRoutes.onceReady(context.health))
        let server = try context.addPublicListener(service: router)
        context.add(component: "after", start: { started.resolve(.success(())) })
        let client = try context.addHTTPClient("self", HTTPClientSettings(maxInFlight: 2, allowsPlainHTTP: true))
        let ended = Promise<ExitCode>()
        _ = WorkerThread(name: "lifecycle") { ended.resolve(.success(context.lifecycle.run())) }
        try await started.value()
        let request = HTTPClientRequest(
            method: "GET",
            url: "http://127.0.0.1:\(server.port)/health/ready",
            timeouts: HTTPTimeouts(
                connect: .seconds(5),
                firstByte: .seconds(5),
                stall: .seconds(5),
                whole: .seconds(10)
            ),
            isRepeatable: true
        )
        #expect(try await client.send(request).status == 200)
        let text = String(decoding: context.metrics.render(), as: UTF8.self)
        #expect(text.contains("check_pipeline_http_client_answers_total{upstream=\"self\"} 1\n"))
        context.lifecycle.requestStop("test")
        #expect(try await ended.value() == .success)
        #expect(capture.texts.joined().contains("\"server.port\":\(server.port)"))
    }

    @Test func `a taken port is 69 and named`() throws {
        let first = try HTTPServer(host: "127.0.0.1", port: 0, service: Router(routes: []))
        let context = try context(["HTTP_PORT": String(first.port)])
        let error = #expect(throws: ProgramFailure.self) { try context.addPublicListener(service: Router(routes: [])) }
        #expect(error?.code == .unavailable)
        #expect(error?.message.hasPrefix("HTTP_PORT: ") == true)
    }

    @Test func `TLS that cannot be served is refused, not ignored`() throws {
        let context = try context(["HTTP_TLS_CERT_FILE": "/tls/cert", "HTTP_TLS_KEY_FILE": "/tls/key"])
        let error = #expect(throws: ConfigurationError.self) {
            try context.addPublicListener(service: Router(routes: []))
        }
        #expect(error?.variable == "HTTP_TLS_CERT_FILE")
    }
}
