// What a service brings to the runtime: what to do with events, and what to do with those that die.

package import Basics

/// The events that one attempt deals with: one, or several of a key that merge.
package struct LaneWork: Sendable {
    /// In order of arrival, at least one.
    package let events: [EventRecord]

    /// The event with the newest `received-at`: what the attempt covers (rule 4). Among equals the last that came.
    package let newest: EventRecord

    /// The latest deadline among them: an older event is answered by what answers a newer one.
    package let deadline: Timestamp

    package init(first: EventRecord, others: [EventRecord] = []) {
        events = [first] + others
        newest = others.reduce(first) { $1.receivedAt >= $0.receivedAt ? $1 : $0 }
        deadline = others.reduce(first.deadline) { max($0, $1.deadline) }
    }
}

/// What an attempt may ask its runtime.
package struct HandlerContext: Sendable {
    /// 1 for the first; attempts that cost none (a 429) are not counted.
    package let attempt: Int
    /// When the work expires, on the monotonic clock: no call made for it needs to last longer.
    package let deadline: MonotonicInstant
    /// False once the partitions were given up: another member has the events, effects are repeated there.
    package let isCurrent: @Sendable () -> Bool

    package init(attempt: Int, deadline: MonotonicInstant, isCurrent: @escaping @Sendable () -> Bool) {
        self.attempt = attempt
        self.deadline = deadline
        self.isCurrent = isCurrent
    }
}

/// One service's work. Calls come from child tasks of one group, for different keys at once, never twice at once
/// for one key. Both must end by themselves in bounded time; a cancelled task must return soon.
package protocol EventHandler: Sendable {
    /// Carries out the work: effects in the order of rule 5, repeatable at any point.
    func handle(_ work: LaneWork, context: HandlerContext) async -> Outcome

    /// Records that the work's time has passed. Asked for once per event, also while everything else is paused;
    /// again only when it does not answer ``Outcome/done`` or after a crash.
    func expire(_ work: LaneWork, context: HandlerContext) async -> Outcome
}

/// An event that ended as a dead letter, with all that is needed to show and replay it.
package struct DeadLetter: Sendable {
    package let event: EventRecord
    package let group: String
    package let reason: ParkReason
    package let attempts: Int
    package let firstFailedAt: Timestamp
    package let failedAt: Timestamp

    package init(
        event: EventRecord,
        group: String,
        reason: ParkReason,
        attempts: Int,
        firstFailedAt: Timestamp,
        failedAt: Timestamp
    ) {
        self.event = event
        self.group = group
        self.reason = reason
        self.attempts = attempts
        self.firstFailedAt = firstFailedAt
        self.failedAt = failedAt
    }
}

/// Where dead letters go: first the topic, then the table, then the offset moves on. A failed step is repeated,
/// so both must be repeatable: the row is unique by the record's coordinates.
package protocol DeadLetterSink: Sendable {
    /// Returns when the brokers have acknowledged the record in `<group>.dead-letters`.
    func publish(_ letter: DeadLetter) async throws
    /// Returns when the row is committed.
    func record(_ letter: DeadLetter) async throws
}
