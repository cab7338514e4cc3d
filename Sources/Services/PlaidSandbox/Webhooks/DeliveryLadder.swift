// When a webhook is sent again, and when no more: Plaid's published rules as pure structs.

import Basics

/// What came of one attempt.
enum DeliveryAnswer: Hashable, Sendable {
    /// Status 200.
    case accepted
    case refused(status: Int, retryAfter: Duration?)
    /// No complete answer within 10 s.
    case unanswered(String)

    /// For logs.
    var text: String {
        switch self {
        case .accepted: "200"
        case .refused(let status, _): String(status)
        case .unanswered(let why): why
        }
    }
}

/// One delivery's attempts: 30 s after the first, each next gap four times as long, for 24 hours. A 429's `Retry-After`
/// is honoured up to four hours and does not lengthen the next gap.
struct DeliveryLadder: Sendable {
    enum Step: Hashable, Sendable {
        case done
        case again(after: Duration)
        /// No attempt follows.
        case lost(LossReason)
    }
    enum LossReason: String, Sendable {
        case endOfLadder = "end_of_ladder"
        case refusesMost = "refuses_most"
        case tooMany = "too_many"
        case stopped
    }

    static let firstGap = Duration.seconds(30)
    static let gapFactor = 4
    static let window = Duration.seconds(24 * 3_600)
    static let mostRetryAfter = Duration.seconds(4 * 3_600)

    private let speed: Double
    private let firstAttempt: MonotonicInstant
    private var nextGap = DeliveryLadder.firstGap
    /// Time that receivers asked for is real time; it does not eat a shortened window.
    private var grantedByReceivers = Duration.zero

    init(firstAttempt: MonotonicInstant, speed: Double) {
        self.firstAttempt = firstAttempt
        self.speed = speed
    }

    /// - Parameter refusesMost: What ``RefusalHistory`` says of the URL.
    mutating func step(_ answer: DeliveryAnswer, now: MonotonicInstant, refusesMost: Bool) -> Step {
        if case .accepted = answer { return .done }
        if refusesMost { return .lost(.refusesMost) }
        let end = firstAttempt + Self.window / speed + grantedByReceivers * (1 - 1 / speed)
        if case .refused(status: 429, let asked?) = answer {
            let wait = min(max(asked, .zero), Self.mostRetryAfter)
            grantedByReceivers += wait
            return now + wait / speed <= end ? .again(after: wait) : .lost(.endOfLadder)
        }
        let gap = nextGap / speed
        nextGap *= Self.gapFactor
        return now + gap <= end ? .again(after: gap) : .lost(.endOfLadder)
    }
}

/// How one URL answered in the last 24 hours.
///
/// Nothing is sent again while it has refused more than nine in ten. Ten deliveries are the least that says anything:
/// without that, a single failure would end its own ladder. A 429 with `Retry-After` asks for patience and counts on
/// neither side.
struct RefusalHistory: Sendable {
    private var entries: [(at: MonotonicInstant, refused: Bool)] = []
    private var first = 0
    private var refusals = 0
    private let window: Duration

    static let least = 10
    /// Older ones are forgotten early.
    static let most = 10_000

    init(speed: Double) { window = DeliveryLadder.window / speed }

    mutating func note(_ answer: DeliveryAnswer, now: MonotonicInstant) {
        let isRefusal: Bool
        switch answer {
        case .accepted: isRefusal = false
        case .refused(status: 429, retryAfter: _?): return
        case .refused, .unanswered: isRefusal = true
        }
        entries.append((now, isRefusal))
        refusals += isRefusal ? 1 : 0
        forget(now)
    }

    mutating func refusesMost(now: MonotonicInstant) -> Bool {
        forget(now)
        let count = entries.count - first
        return count >= Self.least && refusals * 10 > count * 9
    }

    private mutating func forget(_ now: MonotonicInstant) {
        while first < entries.count, entries[first].at + window < now || entries.count - first > Self.most {
            refusals -= entries[first].refused ? 1 : 0
            first += 1
        }
        if first > 1_024, first * 2 > entries.count {
            entries.removeFirst(first)
            first = 0
        }
    }
}
