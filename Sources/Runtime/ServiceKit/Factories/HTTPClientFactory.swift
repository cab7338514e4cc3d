// The HTTP client's figures as metrics, and its end as a component.

import Basics
package import HTTPClient

extension ProgramContext {
    /// Makes a client, ends it with the program and shows its figures.
    ///
    /// - Parameter name: Of the upstream, for metric labels: `plaid`.
    /// - Throws: ``ProgramFailure`` 78 when this machine cannot carry it, for instance without a CA bundle.
    package func addHTTPClient(_ name: String, _ settings: HTTPClientSettings) throws -> HTTPClient {
        let client: HTTPClient
        do {
            client = try HTTPClient(settings: settings)
        } catch {
            throw ProgramFailure(reporting: error)
        }
        HTTPClientExport.register(client, upstream: name, in: metrics)
        add(
            component: "\(name)-client",
            stop: { deadline in
                client.close(grace: max(.zero, deadline - MonotonicClock.system.now()))
            }
        )
        return client
    }
}

enum HTTPClientExport {
    static func register(_ client: HTTPClient, upstream: String, in registry: MetricsRegistry) {
        typealias Read = @Sendable (HTTPClientMetrics) -> Int
        let gauges: [(String, String, Read)] = [
            ("http_client_active_requests", "Requests in flight.", { $0.inFlight }),
            ("check_pipeline_http_client_waiting_requests", "Requests that wait for a place.", { $0.waiting }),
            ("check_pipeline_http_client_paused_requests", "Answers that wait for room for their body.", { $0.paused }),
            ("check_pipeline_http_client_connections_open", "Open connections.", { $0.connectionsOpen }),
            (
                "check_pipeline_http_client_connections_idle", "Open connections without a request.",
                { $0.connectionsIdle }
            ),
        ]
        let counters: [(String, String, Read)] = [
            ("check_pipeline_http_client_requests_total", "Requests taken.", { $0.requests }),
            ("check_pipeline_http_client_answers_total", "Complete answers.", { $0.answered }),
            ("check_pipeline_http_client_failures_total", "Requests without a complete answer.", { $0.failed }),
            ("check_pipeline_http_client_refusals_total", "Requests refused at once.", { $0.refused }),
            (
                "check_pipeline_http_client_silent_repeats_total", "Repeats that libcurl made by itself.",
                { $0.silentRepeats }
            ),
            ("check_pipeline_http_client_connections_opened_total", "Connections made.", { $0.connectionsOpened }),
            ("check_pipeline_http_client_body_bytes_total", "Bytes of answers' bodies.", { $0.bodyBytes }),
        ]
        let labels = [("upstream", upstream)]
        for (kind, entries) in [(MetricKind.gauge, gauges), (.counter, counters)] {
            for (name, help, read) in entries {
                registry.collect(name, kind, help: help) { [weak client] in
                    client.map { [MetricsRegistry.Sample(Double(read($0.metrics)), labels: labels)] } ?? []
                }
            }
        }
    }
}
