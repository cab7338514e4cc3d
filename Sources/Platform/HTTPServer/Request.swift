// A whole request as a service sees it.

package import Basics

package struct Request: Sendable {
    package let head: RequestHead
    /// The body as received, after chunked framing is taken off; ``Bytes/ownPadding`` zero bytes may be read after it.
    package let body: Bytes
    /// When the last byte of the body (or the end of the header) was read, by the wall clock.
    package let receivedAt: Timestamp
    /// The same moment by the monotonic clock: what answer deadlines count from.
    package let receivedMonotonic: MonotonicInstant
    /// What stood in the places of the route's pattern, percent-decoded; empty without a ``Router``.
    package internal(set) var parameters: [String: String] = [:]

    package init(head: RequestHead, body: Bytes, receivedAt: Timestamp, receivedMonotonic: MonotonicInstant) {
        self.head = head
        self.body = body
        self.receivedAt = receivedAt
        self.receivedMonotonic = receivedMonotonic
    }
}
