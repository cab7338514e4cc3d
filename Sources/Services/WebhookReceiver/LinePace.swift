// How often the same trouble is worth a line: an outage of an hour is one story, not a line for each webhook.

import Basics

/// Lets the first line of each kind through, and then one in 30 seconds with the number of those held back.
struct LinePace: Sendable {
    static let every = Duration.seconds(30)
    /// Kinds come from a closed set; more than this many at once would be a fault of the caller.
    static let mostKinds = 64

    private struct Entry {
        var last: MonotonicInstant
        var heldBack = 0
    }
    private var entries: [String: Entry] = [:]

    /// - Returns: How many lines of this kind were held back since the last one; nil: hold this one back too.
    mutating func take(_ kind: String, at now: MonotonicInstant) -> Int? {
        guard var entry = entries[kind] else {
            if entries.count < Self.mostKinds { entries[kind] = Entry(last: now) }
            return 0
        }
        guard now - entry.last >= Self.every else {
            entry.heldBack += 1
            entries[kind] = entry
            return nil
        }
        entries[kind] = Entry(last: now)
        return entry.heldBack
    }
}
