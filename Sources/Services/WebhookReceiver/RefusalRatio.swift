// How much of the last day's deliveries was refused: above nine in ten Plaid stops retrying.

import Basics

/// Answers counted by the hour over 24 hours. Decisions only; 24 numbers whatever the load.
struct RefusalRatio: Sendable {
    private struct Hour {
        var number: Int64 = -1
        var accepted = 0
        var refused = 0
    }
    private static let hours: Int64 = 24
    private var ring = [Hour](repeating: Hour(), count: Int(RefusalRatio.hours))

    mutating func record(accepted: Bool, at now: Timestamp) {
        let number = now.seconds / 3_600
        let index = Int((number % Self.hours + Self.hours) % Self.hours)
        if ring[index].number != number { ring[index] = Hour(number: number) }
        if accepted { ring[index].accepted += 1 } else { ring[index].refused += 1 }
    }

    /// Refused ÷ all, nil without any answer in the last 24 hours.
    func ratio(at now: Timestamp) -> Double? {
        let current = now.seconds / 3_600
        let live = ring.filter { $0.number > current - Self.hours && $0.number <= current }
        let refused = live.reduce(0) { $0 + $1.refused }
        let all = live.reduce(refused) { $0 + $1.accepted }
        return all > 0 ? Double(refused) / Double(all) : nil
    }
}
