// What a client is made with, and the figures it shows.

/// How one client is set up; fixed for its life.
package struct HTTPClientSettings: Sendable {
    /// Requests inside libcurl at once. One client carries at most about 1,000 well: more of them, more clients.
    package var maxInFlight: Int
    /// Requests that may wait beside those in flight; beyond it `send` fails as `overloaded` at once.
    package var maxWaiting: Int
    /// Requests without a connection yet, at once: handshakes cost about 1 ms of CPU each at a cold start.
    package var maxConnecting: Int
    /// Open connections, in use and idle together; at least ``maxInFlight``.
    package var maxConnections: Int
    /// PEM file of the authorities that are trusted; read at creation, and an error when unreadable.
    package var caFile: String
    /// True only when the base URL is an `http://` one.
    package var allowsPlainHTTP: Bool
    /// Bytes of bodies held at once, shared by all clients that are given it; nil: each answer's own cap only.
    package var bodyBudget: BodyBudget?
    /// Below the server's idle limit, so that we close first.
    package var maxIdle: Duration
    package var userAgent: String?

    /// Debian's bundle of the authorities in `ca-certificates`.
    package static let defaultCAFile = "/etc/ssl/certs/ca-certificates.crt"

    package init(
        maxInFlight: Int,
        maxWaiting: Int? = nil,
        maxConnecting: Int = 50,
        maxConnections: Int? = nil,
        caFile: String = HTTPClientSettings.defaultCAFile,
        allowsPlainHTTP: Bool = false,
        bodyBudget: BodyBudget? = nil,
        maxIdle: Duration = .seconds(30),
        userAgent: String? = nil
    ) {
        self.maxInFlight = max(1, maxInFlight)
        self.maxWaiting = max(0, maxWaiting ?? 4 * maxInFlight)
        self.maxConnecting = max(1, maxConnecting)
        self.maxConnections = max(maxConnections ?? maxInFlight + 16, max(1, maxInFlight))
        self.caFile = caFile
        self.allowsPlainHTTP = allowsPlainHTTP
        self.bodyBudget = bodyBudget
        self.maxIdle = maxIdle
        self.userAgent = userAgent
    }
}

/// Counters since creation, and what is going on now.
package struct HTTPClientMetrics: Sendable, Hashable {
    /// Accepted by `send`.
    package var requests = 0
    /// Ended with a complete answer, whatever its status.
    package var answered = 0
    /// Ended without one.
    package var failed = 0
    /// Refused at once: client full or closed, or a bad request.
    package var refused = 0
    package var inFlight = 0
    package var waiting = 0
    /// Bodies that waited for room in the budget when the clocks were last looked at.
    package var paused = 0
    /// Requests libcurl sent again by itself.
    package var silentRepeats = 0
    /// Sockets opened; a host with addresses of both families may take two for one connection.
    package var connectionsOpened = 0
    package var connectionsOpen = 0
    package var connectionsIdle = 0
    /// Idle connections given up because something came on them: an answer nobody asked for, an end, a reset.
    package var connectionsSevered = 0
    /// Body bytes of complete answers.
    package var bodyBytes = 0
    /// Times the clocks were looked at; stands still while nothing is in hand.
    package var sweeps = 0

    package init() {}
}
