// The admin listener of every long-running program: liveness, readiness, metrics.

import Basics
package import HTTPServer

/// Serves `/health/live`, `/health/ready` and `/metrics`.
///
/// Bound when made, so that a taken port ends the program before anything else starts.
package final class AdminServer: Sendable {
    private let server: HTTPServer
    private let host: String
    private let logger: Logger

    /// - Parameter port: 0 takes a free one.
    /// - Throws: ``HTTPServerError`` when the port cannot be opened.
    package init(
        host: String,
        port: UInt16,
        health: Health,
        metrics: MetricsRegistry,
        logger: Logger
    ) throws(HTTPServerError) {
        let routes =
            HealthRoutes.measured(health) + [
                .get("/metrics") { _ in
                    Response(
                        status: 200,
                        headers: [("Content-Type", MetricsRegistry.contentType)],
                        body: metrics.render()
                    )
                }
            ]
        self.host = host
        self.logger = logger
        server = try HTTPServer(
            host: host,
            port: port,
            limits: Self.limits,
            service: Router(routes: routes),
            name: "admin",
            onEvent: logger.httpServerEvents
        )
    }

    /// The port in use.
    package var port: UInt16 { server.port }

    package func start() {
        server.start()
        logger.info(
            "the admin listener is open",
            metadata: ["server.address": .string(host), "server.port": .stringConvertible(Int(port))]
        )
    }

    package func stop() { server.stop() }

    /// First to start and last to stop, so that health and metrics can be asked for meanwhile.
    package var component: Component {
        Component("admin", start: { [self] in start() }, stop: { [self] _ in stop() })
    }

    /// A few probes and scrapers; nothing here has a body.
    private static let limits: HTTPServer.Limits = {
        var limits = HTTPServer.Limits()
        limits.maxConnections = 64
        limits.maxWaiting = 16
        limits.largeBodyBytes = 1 << 20
        limits.idleTimeout = .seconds(120)
        return limits
    }()
}

/// `/health/live` and `/health/ready`, for any listener.
package enum HealthRoutes {
    /// Ready says what is measured now.
    package static func measured(_ health: Health) -> [Route] { routes(health) { health.readiness() } }

    /// Ready is 503 only before the first success and while draining: for a listener behind a balancer, whose own
    /// answer would be worse for the sender than ours.
    package static func onceReady(_ health: Health) -> [Route] { routes(health) { health.publicReadiness() } }

    private static func routes(_ health: Health, ready: @escaping @Sendable () -> HealthReport) -> [Route] {
        [
            .get("/health/live") { _ in response(health.liveness()) },
            .get("/health/ready") { _ in response(ready()) },
        ]
    }

    private static func response(_ report: HealthReport) -> Response {
        .json(report.status, report.json).adding("Cache-Control", "no-store")
    }
}

extension Logger {
    /// Takes a listener's events; none of them carries a part of a request.
    var httpServerEvents: @Sendable (HTTPServerEvent) -> Void {
        { event in
            switch event {
            case .libraryMessage(let text):
                debug("the HTTP library says", metadata: ["http.library.message": .string(text)])
            case .unsendableAnswer(let status):
                error(
                    "an answer could not be sent; 500 went out",
                    metadata: ["http.response.status_code": .stringConvertible(status)]
                )
            }
        }
    }
}
