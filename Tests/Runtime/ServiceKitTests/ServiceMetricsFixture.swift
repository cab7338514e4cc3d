import Basics
import HTTPClient
import HTTPServer

@testable import ServiceKit

/// Everything that a service registers by itself, with a value in each family.
enum ServiceMetricsFixture {
    static func register(in registry: MetricsRegistry, health: Health, _ server: HTTPServer, _ client: HTTPClient) {
        HTTPServerExport.register(server, listener: "http", in: registry)
        HTTPClientExport.register(client, upstream: "plaid", in: registry)
        ProcessMetrics.register(in: registry)
        Program.registerIdentity("tests", health, registry)
        HTTPRequestMetrics(in: registry).record(method: "GET", route: "/x", status: 200, elapsed: .milliseconds(3))
        registry.counter("check_pipeline_events_total", help: "Events.", labels: [("outcome", "stored")]).increment()
        registry.histogram("check_pipeline_size_bytes", help: "Sizes.", bounds: Histogram.bytes).record(5000)
        registry.histogram("check_pipeline_wait_seconds", help: "Waits.", bounds: Histogram.longSeconds).record(3)
    }
}
