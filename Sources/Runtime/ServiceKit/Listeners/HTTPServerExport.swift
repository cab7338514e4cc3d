// A listener's figures as metrics: OpenTelemetry's name for request durations, our own for the rest.

import Basics
package import HTTPServer

/// Turns a router's observations into `http_server_request_duration_seconds`.
package final class HTTPRequestMetrics: Sendable {
    private struct Key: Hashable {
        let method: String
        let route: String
        let status: Int
    }

    private static let knownMethods: Set<String> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

    private let registry: MetricsRegistry
    private let histograms = Locked<[Key: Histogram]>([:])

    package init(in registry: MetricsRegistry) { self.registry = registry }

    /// For ``Router``'s `observe`. Methods and statuses outside the known sets share one label value.
    package func observe(_ observation: RouteObservation) {
        record(
            method: observation.method.name,
            route: observation.pattern ?? "",
            status: observation.status,
            elapsed: observation.elapsed
        )
    }

    /// The same for a service that is no router.
    ///
    /// - Parameter route: A pattern, never a path from outside.
    package func record(method: String, route: String, status: Int, elapsed: Duration) {
        let key = Key(method: Self.knownMethods.contains(method) ? method : "_OTHER", route: route, status: status)
        if let known = histograms.withLock({ $0[key] }) { return known.record(elapsed) }
        let made = registry.histogram(
            "http_server_request_duration_seconds",
            help: "Time from the last byte of a request to its answer.",
            labels: [
                ("http_request_method", key.method), ("http_response_status_code", String(key.status)),
                ("http_route", key.route),
            ]
        )
        histograms.withLock { $0[key] = made }
        made.record(elapsed)
    }
}

enum HTTPServerExport {
    /// Registers what a server counts, read at each scrape.
    static func register(_ server: HTTPServer, listener: String, in registry: MetricsRegistry) {
        typealias Read = @Sendable (HTTPServerMetrics) -> Int
        let gauges: [(String, String, Read)] = [
            ("check_pipeline_http_connections", "Open connections.", { $0.openConnections }),
            ("http_server_active_requests", "Requests that are being read or answered.", { $0.inHand }),
            ("check_pipeline_http_waiting_requests", "Requests that wait for their answer.", { $0.waiting }),
            ("check_pipeline_http_large_body_bytes", "Memory held by large request bodies.", { $0.largeBodyBytes }),
        ]
        let counters: [(String, String, Read)] = [
            ("check_pipeline_http_accepted_connections_total", "Connections accepted.", { $0.acceptedConnections }),
            (
                "check_pipeline_http_evicted_connections_total", "Idle connections closed for newcomers.",
                { $0.evictedConnections }
            ),
            (
                "check_pipeline_http_unfinished_requests_total", "Requests that ended before their answer was sent.",
                { $0.unfinishedRequests }
            ),
            (
                "check_pipeline_http_late_completions_total", "Answers that came after their time-out.",
                { $0.lateCompletions }
            ),
            ("check_pipeline_http_oversized_bodies_total", "Bodies above their limit.", { $0.oversizedBodies }),
            (
                "check_pipeline_http_overload_answers_total", "Requests refused because too many were in hand.",
                { $0.overloadAnswers }
            ),
        ]
        let label = [("listener", listener)]
        for (kind, entries) in [(MetricKind.gauge, gauges), (.counter, counters)] {
            for (name, help, read) in entries {
                registry.collect(name, kind, help: help) { [weak server] in
                    server.map { [MetricsRegistry.Sample(Double(read($0.metrics)), labels: label)] } ?? []
                }
            }
        }
        registry.collect(
            "check_pipeline_http_longest_turn_seconds",
            .gauge,
            help: "Longest turn of the HTTP loop so far."
        ) { [weak server] in
            server.map { [MetricsRegistry.Sample($0.metrics.longestTurn.inSeconds, labels: label)] } ?? []
        }
        registry.collect(
            "check_pipeline_http_deadline_hits_total",
            .counter,
            help: "Connections closed by a deadline, by the state they were in."
        ) { [weak server] in
            let hits = server?.metrics.deadlineHits ?? [:]
            return ConnectionState.allCases.map { state in
                MetricsRegistry.Sample(Double(hits[state] ?? 0), labels: label + [("state", state.name)])
            }
        }
        registry.collect(
            "check_pipeline_http_refused_heads_total",
            .counter,
            help: "Requests refused by their head, by fault."
        ) { [weak server] in
            let refused = server?.metrics.refusedHeads ?? [:]
            return HeadFault.allCases.map { fault in
                MetricsRegistry.Sample(Double(refused[fault] ?? 0), labels: label + [("fault", fault.rawValue)])
            }
        }
    }
}
