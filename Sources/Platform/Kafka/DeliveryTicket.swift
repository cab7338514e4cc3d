// One message's result: told once, by whichever comes first of delivery report, refusal and deadline.

import Basics
import Synchronization

/// What librdkafka carries as a message's opaque pointer.
final class DeliveryTicket: @unchecked Sendable {
    // Sendable because `completion` is touched by `init` and then only by the one `claim` that turns `told`.
    typealias Completion = @Sendable (Result<Delivery, KafkaError>) -> Void

    let deadline: MonotonicInstant
    private let told = Atomic(false)
    /// Emptied by the first result, so that a ticket that waits in the deadline heap holds nothing of the caller's.
    private var completion: Completion?

    init(deadline: MonotonicInstant, completion: @escaping Completion) {
        self.deadline = deadline
        self.completion = completion
    }

    var isTold: Bool { told.load(ordering: .acquiring) }

    /// The completion, for the first caller only: who gets it must call it.
    func claim() -> Completion? {
        guard !told.exchange(true, ordering: .acquiringAndReleasing) else { return nil }
        defer { completion = nil }
        return completion
    }
}

/// Tickets by deadline, the earliest first. Told ones are thrown out when they become the majority, so the heap
/// holds at most twice the messages that wait, and a thousand.
struct DeadlineHeap {
    private var tickets: [DeliveryTicket] = []
    private var limit = 1_024

    var count: Int { tickets.count }
    var earliest: MonotonicInstant { tickets.first?.deadline ?? .distantFuture }

    mutating func insert(_ ticket: DeliveryTicket) {
        if tickets.count >= limit {
            tickets.removeAll(where: \.isTold)
            // A sorted array is a heap.
            tickets.sort { $0.deadline < $1.deadline }
            limit = max(1_024, 2 * tickets.count)
        }
        tickets.append(ticket)
        var child = tickets.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard tickets[child].deadline < tickets[parent].deadline else { break }
            tickets.swapAt(child, parent)
            child = parent
        }
    }

    mutating func removeAll() -> [DeliveryTicket] {
        defer { tickets = [] }
        return tickets
    }

    /// Takes the earliest ticket if its deadline is not after `now`.
    mutating func popExpired(_ now: MonotonicInstant) -> DeliveryTicket? {
        guard let first = tickets.first, first.deadline <= now else { return nil }
        let last = tickets.removeLast()
        guard !tickets.isEmpty else { return first }
        tickets[0] = last
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < tickets.count && tickets[child].deadline < tickets[smallest].deadline { smallest = child }
            if smallest == parent { return first }
            tickets.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
