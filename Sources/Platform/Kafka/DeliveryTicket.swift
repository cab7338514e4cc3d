// One message's result: told once, by whichever comes first of delivery report, refusal and deadline.

import Basics

/// What librdkafka carries as a message's opaque pointer.
final class DeliveryTicket: Sendable {
    typealias Completion = @Sendable (Result<Delivery, KafkaError>) -> Void

    let deadline: MonotonicInstant
    /// Emptied by the first result, so that a ticket that waits in the deadline heap holds nothing of the caller's.
    private let completion: Locked<Completion?>

    init(deadline: MonotonicInstant, completion: @escaping Completion) {
        self.deadline = deadline
        self.completion = Locked(completion)
    }

    var isTold: Bool { completion.withLock { $0 == nil } }

    /// Tells the result, unless one was told before; then false.
    func tell(_ result: Result<Delivery, KafkaError>) -> Bool {
        let completion = completion.withLock { completion in
            defer { completion = nil }
            return completion
        }
        guard let completion else { return false }
        completion(result)
        return true
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
