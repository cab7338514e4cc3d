// What follows from a batch's error: one pure function.

import Basics

/// How a batch that came back with an error goes on.
enum BatchDecision: Equatable {
    /// Its members get the error.
    case fail
    /// The same again on this connection, after the wait.
    case again(after: Duration)
    /// The same again, with all statements prepared anew.
    case prepareAgain
    /// Each member in a transaction of its own: only the guilty one gets the error.
    case apart
    /// On another connection.
    case elsewhere
    /// On another connection, and every connection of the pool is thrown away.
    case elsewhereAfterCondemningAll
}

enum BatchRules {
    /// Repeats after a lock wait, a deadlock or a serialization failure; the first at once.
    static let maxLockRepeats = 5
    private static let lockDelay: Duration = .milliseconds(20)

    /// - Parameters:
    ///   - members: How many jobs shared the transaction.
    ///   - lockRepeats: How often this batch was repeated for a lock already.
    ///   - hasPreparedAgain: Whether its statements were prepared anew already.
    ///   - jitter: In 0..<1.
    static func decide(
        _ error: PostgresError,
        members: Int,
        lockRepeats: Int,
        hasPreparedAgain: Bool,
        jitter: Double
    ) -> BatchDecision {
        switch error.kind {
        case .connection: return .elsewhere
        case .readOnly: return .elsewhereAfterCondemningAll
        case .lockOrSerialization:
            guard lockRepeats < maxLockRepeats else { return .fail }
            return .again(after: lockRepeats == 0 ? .zero : lockDelay * (Double(1 << lockRepeats) * jitter))
        case .preparedStatement where !hasPreparedAgain: return .prepareAgain
        case .resources, .tooManyConnections, .deadline, .overloaded, .closed: return .fail
        case .row, .unique, .schema, .credentials, .cancelled, .misuse, .corruption, .unknown, .preparedStatement:
            return members > 1 ? .apart : .fail
        }
    }
}
