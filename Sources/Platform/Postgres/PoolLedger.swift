// Who does what in a pool: queues, seats, reconnection. Decides only; `PoolCore` locks it and wakes threads.

import Basics

/// What a connection is for.
enum SeatRole: Int, Sendable, CaseIterable { case general, write, large }

/// What the ledger must know of an operation.
protocol PoolWork {
    var id: UInt64 { get }
    var role: SeatRole { get }
    var byteCount: Int { get }
}

/// The state of a pool: three FIFO queues, the seats (a connection and its thread each), one gate for reconnecting.
///
/// A seat serves its own queue, and another's while that one has no connection standing, so that a pool that got only
/// some of its connections still does everything. When connecting fails, one seat probes and the others wait.
struct PoolLedger<Work: PoolWork> {
    struct Limits {
        var maxWaiting: Int
        var maxLaneJobs: Int
        var maxLaneBytes: Int
        var reconnectDelay: ClosedRange<Duration>
    }
    enum Step {
        case connect
        case wait(until: MonotonicInstant)
        case work([Work])
        /// Close the connection: too old, or all are condemned.
        case disconnect
        case stop
    }
    enum Admission: Equatable { case queued, full, closed }
    private struct Seat {
        let role: SeatRole
        var isConnected = false
        var isIdle = false
        var expiry = MonotonicInstant.distantFuture
        var generation = 0
    }
    private enum Phase { case open, draining, stopping }

    private let limits: Limits
    private var seats: [Seat]
    private var queues: [[Work]] = [[], [], []]
    private var phase = Phase.open
    /// Connections of older generations are closed: all of them stood on a standby.
    private var generation = 0
    /// False while nobody has connected since the last failure or loss: then only ``prober`` tries.
    private var isProven = false
    private var prober: Int?
    private(set) var failures = 0
    private var nextAttempt = MonotonicInstant(nanoseconds: 0)
    private(set) var availableSince: MonotonicInstant
    private(set) var lastError: PostgresError?

    init(roles: [SeatRole], limits: Limits, now: MonotonicInstant) {
        seats = roles.map { Seat(role: $0) }
        self.limits = limits
        availableSince = now
    }

    var connections: Int { seats.count { $0.isConnected } }
    var waiting: Int { queues.reduce(0) { $0 + $1.count } }
    var isStopping: Bool { phase == .stopping }

    // MARK: Work

    /// Puts work at the end of its queue. Also returns the seats to wake.
    mutating func submit(_ work: Work) -> (Admission, wake: [Int]) {
        guard phase == .open else { return (.closed, []) }
        guard queues[work.role.rawValue].count < limits.maxWaiting else { return (.full, []) }
        queues[work.role.rawValue].append(work)
        return (.queued, wakeOne(for: work.role))
    }

    /// Puts work whose connection was lost back to the front; it may exceed the bound by what was in hand.
    mutating func requeue(_ works: [Work]) -> [Int] {
        guard let role = works.first?.role else { return [] }
        queues[role.rawValue].insert(contentsOf: works, at: 0)
        return wakeOne(for: role)
    }

    /// Takes work out of its queue; false when it is not there (any more).
    mutating func remove(_ id: UInt64, role: SeatRole) -> Bool {
        guard let index = queues[role.rawValue].firstIndex(where: { $0.id == id }) else { return false }
        queues[role.rawValue].remove(at: index)
        return true
    }

    /// Empties all queues, for the end.
    mutating func takeAll() -> [Work] {
        defer { queues = [[], [], []] }
        return queues.flatMap { $0 }
    }

    private func isServed(_ role: SeatRole) -> Bool { seats.contains { $0.role == role && $0.isConnected } }

    private mutating func wakeOne(for role: SeatRole) -> [Int] {
        let own = seats.indices.first { seats[$0].isIdle && seats[$0].role == role }
        guard let seat = own ?? (isServed(role) ? nil : seats.indices.first { seats[$0].isIdle }) else { return [] }
        seats[seat].isIdle = false
        return [seat]
    }

    private mutating func take(for seat: Int) -> [Work]? {
        let own = seats[seat].role
        for role in [own] + SeatRole.allCases.filter({ $0 != own && !isServed($0) }) {
            let index = role.rawValue
            guard let first = queues[index].first else { continue }
            var count = 1
            if role == .write {
                var bytes = first.byteCount
                while count < min(queues[index].count, limits.maxLaneJobs),
                    bytes + queues[index][count].byteCount <= limits.maxLaneBytes
                {
                    bytes += queues[index][count].byteCount
                    count += 1
                }
            }
            let taken = Array(queues[index].prefix(count))
            queues[index].removeFirst(count)
            return taken
        }
        return nil
    }

    // MARK: Seats

    /// What the seat's thread does next. A seat told to wait is idle until woken.
    mutating func next(_ seat: Int, now: MonotonicInstant) -> Step {
        seats[seat].isIdle = false
        if phase == .stopping || (phase == .draining && waiting == 0) {
            // Another seat may still bring back what it has in hand, and must not wait for one that is gone.
            if prober == seat { prober = nil }
            return .stop
        }
        guard seats[seat].isConnected else { return nextAttempt(of: seat, now: now) }
        if seats[seat].generation < generation || now >= seats[seat].expiry { return .disconnect }
        if let works = take(for: seat) { return .work(works) }
        seats[seat].isIdle = true
        return .wait(until: seats[seat].expiry)
    }

    private mutating func nextAttempt(of seat: Int, now: MonotonicInstant) -> Step {
        if isProven { return .connect }
        if let prober, prober != seat { return .wait(until: .distantFuture) }
        prober = seat
        return now >= nextAttempt ? .connect : .wait(until: nextAttempt)
    }

    /// The seat's connection stands. Returns whether the pool became available, and whom to wake.
    mutating func connected(_ seat: Int, expiry: MonotonicInstant, now: MonotonicInstant) -> (
        isFirst: Bool, wake: [Int]
    ) {
        let isFirst = connections == 0
        seats[seat].isConnected = true
        seats[seat].expiry = expiry
        seats[seat].generation = generation
        isProven = true
        prober = nil
        failures = 0
        nextAttempt = MonotonicInstant(nanoseconds: 0)
        lastError = nil
        if isFirst { availableSince = now }
        return (isFirst, seats.indices.filter { !seats[$0].isConnected })
    }

    /// An attempt failed. `jitter` in 0..<1 chooses the wait before the next.
    mutating func connectFailed(
        _ seat: Int,
        _ error: PostgresError,
        jitter: Double,
        now: MonotonicInstant
    ) -> (isFirst: Bool, retryIn: Duration) {
        let isFirst = failures == 0 && connections == 0 && lastError == nil
        isProven = false
        if prober == nil { prober = seat }
        failures += 1
        lastError = error
        let growth = Double(1 << min(failures - 1, 20))
        let ceiling = min(limits.reconnectDelay.lowerBound * growth, limits.reconnectDelay.upperBound)
        // Never quite at once: a server that refuses at once would be asked in a tight loop.
        let delay = max(ceiling * jitter, limits.reconnectDelay.lowerBound / 5)
        nextAttempt = now + delay
        return (isFirst, delay)
    }

    /// The seat's connection is gone; nil when it was replaced on purpose. Returns whether it was the last.
    mutating func disconnected(_ seat: Int, _ error: PostgresError?, now: MonotonicInstant) -> (
        isLast: Bool, wake: [Int]
    ) {
        guard seats[seat].isConnected else { return (false, []) }
        seats[seat].isConnected = false
        seats[seat].isIdle = false
        if let error {
            isProven = false
            lastError = error
        }
        let role = seats[seat].role
        let wake = isServed(role) || queues[role.rawValue].isEmpty ? [] : wakeOne(for: role)
        guard connections == 0 else { return (false, wake) }
        availableSince = now
        return (error != nil, wake)
    }

    /// Every connection that stands now is to be closed and found anew.
    mutating func condemnAll() -> [Int] {
        generation += 1
        isProven = false
        return Array(seats.indices)
    }

    // MARK: End

    /// Nothing new is taken; seats stop when nothing waits.
    mutating func drain() -> [Int] {
        if phase == .open { phase = .draining }
        return Array(seats.indices)
    }

    /// Seats stop now.
    mutating func stop() -> [Int] {
        phase = .stopping
        return Array(seats.indices)
    }
}
