import Basics
import HTTPClient
import HTTPServer
import JSON
import TestSupport
import Testing

@testable import ServiceKit

@Suite struct AdminServerTests {
    /// An admin listener on a free port and a client; both end with the test.
    private final class Fixture: Sendable {
        let health = Health()
        let metrics = MetricsRegistry()
        let capture = LogCapture()
        let admin: AdminServer
        let client: HTTPClient

        init() throws {
            admin = try AdminServer(
                host: "127.0.0.1",
                port: 0,
                health: health,
                metrics: metrics,
                logger: capture.logger()
            )
            client = try HTTPClient(settings: HTTPClientSettings(maxInFlight: 4, allowsPlainHTTP: true))
            admin.start()
        }

        deinit {
            client.close(grace: .zero)
            admin.stop()
        }

        func ask(_ path: String, method: String = "GET") async throws -> HTTPClientResponse {
            try await client.send(
                HTTPClientRequest(
                    method: method,
                    url: "http://127.0.0.1:\(admin.port)\(path)",
                    timeouts: HTTPTimeouts(
                        connect: .seconds(5),
                        firstByte: .seconds(10),
                        stall: .seconds(10),
                        whole: .seconds(10)
                    ),
                    isRepeatable: true
                )
            )
        }
    }

    @Test func `ready follows the checks, live does not`() async throws {
        let fixture = try Fixture()
        let check = fixture.health.check("kafka")
        let before = try await fixture.ask("/health/ready")
        #expect(before.status == 503)
        #expect(before.contentType == "application/json")
        #expect(try JSON.parse(before.body)["checks"]?.arrayValue?.first?["name"] == "kafka")
        #expect(try await fixture.ask("/health/live").status == 200)
        check.pass()
        #expect(try await fixture.ask("/health/ready").status == 200)
        fixture.health.beginDraining()
        #expect(try await fixture.ask("/health/ready").status == 503)
    }

    @Test func `metrics are Prometheus text`() async throws {
        let fixture = try Fixture()
        fixture.metrics.counter("check_pipeline_x_total", help: "X.").increment()
        let answer = try await fixture.ask("/metrics")
        #expect(answer.status == 200)
        #expect(answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8")
        #expect(answer.body.string()?.contains("check_pipeline_x_total 1\n") == true)
    }

    @Test func `other paths and methods are refused`() async throws {
        let fixture = try Fixture()
        #expect(try await fixture.ask("/").status == 404)
        #expect(try await fixture.ask("/metrics", method: "DELETE").status == 405)
    }

    @Test func `a free port is logged`() throws {
        let fixture = try Fixture()
        let line = try #require(try fixture.capture.objects().first)
        #expect(line["server.port"] == .integer(Int64(fixture.admin.port)))
        #expect(fixture.admin.port != 0)
    }

    @Test func `a taken port is 69, an address of another machine 78`() throws {
        let fixture = try Fixture()
        func open(_ host: String, _ port: UInt16) -> (any Error)? {
            do {
                _ = try AdminServer(
                    host: host,
                    port: port,
                    health: fixture.health,
                    metrics: fixture.metrics,
                    logger: fixture.capture.logger()
                )
                return nil
            } catch {
                return ListenerFailure.translated(error, host: Setting.adminHost, port: Setting.adminPort)
            }
        }
        let taken = ProgramFailure(reporting: try #require(open("127.0.0.1", fixture.admin.port)))
        #expect(taken.code == .unavailable)
        #expect(taken.message.hasPrefix("ADMIN_PORT: "))
        let foreign = ProgramFailure(reporting: try #require(open("192.0.2.1", 0)))
        #expect(foreign.code == .configuration)
        #expect(foreign.message.hasPrefix("ADMIN_HOST: "))
    }

    @Test func `requests of a router are timed under the names of OpenTelemetry`() {
        let registry = MetricsRegistry()
        let metrics = HTTPRequestMetrics(in: registry)
        for method in ["GET", "GET", "BREW", "SMELL"] {
            metrics.record(method: method, route: "/a/{id}", status: 200, elapsed: .zero)
        }
        let text = String(decoding: registry.render(), as: UTF8.self)
        let name = "http_server_request_duration_seconds_count"
        let rest = "http_response_status_code=\"200\",http_route=\"/a/{id}\"} 2\n"
        #expect(text.contains("\(name){http_request_method=\"GET\",\(rest)"))
        #expect(text.contains("\(name){http_request_method=\"_OTHER\",\(rest)"))
    }
}
