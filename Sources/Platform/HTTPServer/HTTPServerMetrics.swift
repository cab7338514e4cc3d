// What the server counts, as a value.

/// Counters since the start, and levels of now (`open…`, `waiting`, `inHand`, `largeBodyBytes`).
package struct HTTPServerMetrics: Sendable, Equatable {
    package var openConnections = 0
    package var acceptedConnections = 0
    /// Connections closed to make room for newcomers.
    package var evictedConnections = 0
    /// Request lines read.
    package var requests = 0
    /// Requests that ended without their whole answer sent: cut off, timed out, or answered by the library itself.
    package var unfinishedRequests = 0
    /// Connections cut by a deadline, and waiting requests answered by theirs, by state.
    package var deadlineHits: [ConnectionState: Int] = [:]
    /// Completions that came after their request was answered.
    package var lateCompletions = 0
    /// Requests that the library answered by itself, by status (400, 413, 414, 431, 500, 505).
    package var libraryAnswers: [Int: Int] = [:]
    /// What else the library had to say; at most ten a minute become ``HTTPServerEvent/libraryMessage(_:)``.
    package var libraryMessages = 0
    /// Requests refused by their head, by reason.
    package var refusedHeads: [HeadFault: Int] = [:]
    /// Bodies over their limit: answered with 413, or cut off.
    package var oversizedBodies = 0
    /// Requests that found ``HTTPServer/Limits/maxWaiting`` or ``HTTPServer/Limits/largeBodyBytes`` full.
    package var overloadAnswers = 0
    /// Requests between their request line and the last byte of their answer.
    package var inHand = 0
    /// Of those, the ones that wait for their answer.
    package var waiting = 0
    /// Memory of large bodies, bytes, those included that a service still holds.
    package var largeBodyBytes = 0
    /// Pauses put in because the library asked to run again at once without doing anything.
    package var guardWaits = 0
    /// The longest time the loop took from one wait to the next: how long a service's `head` or `request` may have
    /// held everybody up.
    package var longestTurn: Duration = .zero
    package var isDraining = false

    package init() {}
}

/// Where a connection stands, as far as its deadline goes.
package enum ConnectionState: Int, Sendable, CaseIterable {
    /// Accepted, first request line not yet whole.
    case first
    /// Reading header fields.
    case head
    /// Reading the body.
    case body
    /// Waiting for the service's answer.
    case wait
    /// Sending the answer.
    case write
    /// Between requests.
    case idle

    package var name: String { "\(self)" }
}
