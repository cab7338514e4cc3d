// Every bound of the server in one place.

import Basics

extension HTTPServer {
    /// Bounds of one listener. The defaults are the webhook receiver's; small listeners (admin ports) lower them.
    package struct Limits: Sendable {
        /// Open connections. Above nine tenths of it a newcomer costs the longest idle one its place; at the limit
        /// newcomers wait unanswered in the kernel's backlog.
        package var maxConnections = 2_000
        /// Request line and header fields together, bytes → 431. Each used connection keeps twice this in memory.
        package var maxHeaderBytes = 8 * 1_024
        /// → 431
        package var maxHeaderFields = 64
        /// → 414
        package var maxTargetBytes = 4 * 1_024

        /// From the accept to the end of the first request line.
        package var firstTimeout: Duration = .seconds(5)
        /// From the end of the request line to the end of the header.
        package var headTimeout: Duration = .seconds(5)
        /// From the end of the header to the end of the body.
        package var bodyTimeout: Duration = .seconds(10)
        /// From the answer to its last byte handed to the kernel; longer answers get more time by
        /// ``writeBytesPerSecond``.
        package var writeTimeout: Duration = .seconds(10)
        /// The slowest reader that is waited for.
        package var writeBytesPerSecond = 64 * 1_024
        /// Between two requests; above a load balancer's own, which is usually 60 s. Bytes of an unfinished request
        /// line do not renew it.
        package var idleTimeout: Duration = .seconds(75)

        /// Requests that wait for their answer at the same time; beyond it ``overloadAnswer``.
        package var maxWaiting = 1_000
        /// Bodies up to this size are held without asking ``largeBodyBytes``.
        package var smallBodyBytes = 32 * 1_024
        /// Memory of all larger bodies together, counted as it is used. A body that finds it full is read off and
        /// answered with ``overloadAnswer``, so that big bodies cannot shut out small ones. At least twice the
        /// largest body limit of the service.
        package var largeBodyBytes = 16 * 1_024 * 1_024
        /// A body over its limit is read off, so that the 413 arrives, up to this many times the limit. Announced
        /// longer, it gets the 413 at once; a chunked one is cut off there without an answer.
        package var discardFactor = 4
        /// What is read off of a body whose request is refused by its head.
        package var refusedBodyBytes = 4 * 1_024 * 1_024
        /// Sent for ``maxWaiting`` and ``largeBodyBytes``.
        package var overloadAnswer = Response.empty(429, retryAfter: 1)
        /// What ``HTTPServer/stop()`` grants to answers that are being written, and to the service's tasks.
        package var stopGrace: Duration = .seconds(1)
        /// Off where a service sets its own `Date` on every answer.
        package var sendsDate = true

        package init() {}

        /// The library's memory for one connection: the answer's head must fit beside the request's.
        var poolBytes: Int { max(2 * maxHeaderBytes, 4_096) }

        /// The library's own idle timeout: above all of ours, for the day one is forgotten.
        var backstopSeconds: UInt32 {
            let longest = [firstTimeout, headTimeout, bodyTimeout, writeTimeout, idleTimeout].max() ?? .zero
            return UInt32(clamping: max(120, longest.components.seconds + 60))
        }

        /// From this many connections on a newcomer evicts.
        var evictionThreshold: Int { max(1, maxConnections - maxConnections / 10) }
    }
}
