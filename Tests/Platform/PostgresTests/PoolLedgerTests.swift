// Queues, seats and the gate for reconnecting, without a server.

import Basics
import Testing

@testable import Postgres

@Suite struct PoolLedgerTests {
    struct Work: PoolWork, Equatable {
        let id: UInt64
        var role = SeatRole.general
        var byteCount = 100
    }

    private let start = MonotonicInstant(nanoseconds: 1_000_000_000)
    private let lost = PostgresError.lost("gone", outcome: .unknown)

    private func ledger(_ roles: [SeatRole] = [.general, .write, .write, .large]) -> PoolLedger<Work> {
        PoolLedger(
            roles: roles,
            limits: .init(
                maxWaiting: 20,
                maxLaneJobs: 16,
                maxLaneBytes: 1_000,
                reconnectDelay: .milliseconds(50) ... .seconds(5)
            ),
            now: start
        )
    }

    /// All seats connected and idle.
    private func connected(_ roles: [SeatRole] = [.general, .write, .write, .large]) -> PoolLedger<Work> {
        var ledger = ledger(roles)
        for seat in roles.indices { _ = ledger.connected(seat, expiry: start + .seconds(3_600), now: start) }
        for seat in roles.indices { _ = ledger.next(seat, now: start) }
        return ledger
    }

    private func works(_ step: PoolLedger<Work>.Step) -> [UInt64]? {
        if case .work(let works) = step { works.map(\.id) } else { nil }
    }
    private func waits(_ step: PoolLedger<Work>.Step) -> MonotonicInstant? {
        if case .wait(let until) = step { until } else { nil }
    }
    private func connects(_ step: PoolLedger<Work>.Step) -> Bool { if case .connect = step { true } else { false } }

    @Test func `general work goes one at a time, in order, to the first idle seat of its kind`() {
        var ledger = connected()
        #expect(ledger.submit(Work(id: 1)).wake == [0])
        #expect(ledger.submit(Work(id: 2)).wake == [])
        #expect(works(ledger.next(0, now: start)) == [1])
        #expect(works(ledger.next(0, now: start)) == [2])
        #expect(waits(ledger.next(0, now: start)) == start + .seconds(3_600))
    }

    @Test func `a lane takes what waits, up to 16 jobs and the byte bound, and never nothing`() {
        var ledger = connected()
        for id in 1...18 { _ = ledger.submit(Work(id: UInt64(id), role: .write, byteCount: 10)) }
        #expect(works(ledger.next(1, now: start)) == Array(1...16))
        #expect(works(ledger.next(2, now: start)) == [17, 18])
        for (id, bytes) in [(19, 600), (20, 400), (21, 1), (22, 5_000)] {
            _ = ledger.submit(Work(id: UInt64(id), role: .write, byteCount: bytes))
        }
        #expect(works(ledger.next(1, now: start)) == [19, 20])
        #expect(works(ledger.next(1, now: start)) == [21])
        #expect(works(ledger.next(1, now: start)) == [22])
    }

    @Test func `each queue has its own bound, and an end refuses all`() {
        var ledger = connected()
        for id in 1...20 { #expect(ledger.submit(Work(id: UInt64(id))).0 == .queued) }
        #expect(ledger.submit(Work(id: 21)).0 == .full)
        #expect(ledger.submit(Work(id: 22, role: .write)).0 == .queued)
        #expect(ledger.remove(5, role: .general) && !ledger.remove(5, role: .general))
        #expect(ledger.submit(Work(id: 23)).0 == .queued)
        _ = ledger.drain()
        #expect(ledger.submit(Work(id: 24)).0 == .closed)
        #expect(works(ledger.next(0, now: start)) == [1])
        _ = ledger.stop()
        #expect(ledger.takeAll().count == 20 && ledger.waiting == 0)
        guard case .stop = ledger.next(0, now: start) else { return #expect(Bool(false)) }
    }

    @Test func `work whose connection was lost goes first`() {
        var ledger = connected()
        _ = ledger.submit(Work(id: 1))
        _ = ledger.submit(Work(id: 2))
        _ = ledger.next(0, now: start)
        _ = ledger.requeue([Work(id: 1)])
        #expect(works(ledger.next(0, now: start)) == [1])
    }

    @Test func `a seat serves a queue that has no connection of its own, and only then`() {
        var ledger = ledger()
        _ = ledger.submit(Work(id: 1, role: .large))
        _ = ledger.submit(Work(id: 2, role: .write))
        _ = ledger.connected(0, expiry: .distantFuture, now: start)
        _ = ledger.connected(1, expiry: .distantFuture, now: start)
        #expect(works(ledger.next(0, now: start)) == [1])
        #expect(waits(ledger.next(0, now: start)) != nil)
        #expect(works(ledger.next(1, now: start)) == [2])
        _ = ledger.next(1, now: start)
        // The lane goes: what it left is handed to the seat that stands.
        _ = ledger.submit(Work(id: 3, role: .write))
        #expect(ledger.disconnected(1, lost, now: start).wake == [0])
        #expect(works(ledger.next(0, now: start)) == [3])
    }

    @Test func `before the first success one seat tries and the others wait for it`() {
        var ledger = ledger()
        #expect(connects(ledger.next(2, now: start)))
        #expect(waits(ledger.next(0, now: start)) == .distantFuture)
        let failed = ledger.connectFailed(2, lost, jitter: 0.5, now: start)
        #expect(failed.isFirst && failed.retryIn == .milliseconds(25))
        #expect(waits(ledger.next(2, now: start)) == start + .milliseconds(25))
        #expect(waits(ledger.next(0, now: start)) == .distantFuture)
        let later = start + .milliseconds(25)
        #expect(connects(ledger.next(2, now: later)))
        let success = ledger.connected(2, expiry: .distantFuture, now: later)
        #expect(success.isFirst && success.wake == [0, 1, 3])
        #expect(connects(ledger.next(0, now: later)) && connects(ledger.next(1, now: later)))
        #expect(ledger.lastError == nil && ledger.availableSince == later)
    }

    @Test func `the wait between attempts grows to its bound, with full jitter`() {
        var ledger = ledger()
        let delays = (0..<12).map { _ in ledger.connectFailed(0, lost, jitter: 0.999, now: start).retryIn }
        #expect(delays[0] < .milliseconds(50) && delays[1] > delays[0])
        #expect(delays.allSatisfy { $0 <= .seconds(5) } && delays[11] > .seconds(4))
        #expect(ledger.connectFailed(0, lost, jitter: 0, now: start).retryIn == .milliseconds(10))
    }

    @Test func `a loss makes one seat probe, a replacement by age does not`() {
        var ledger = connected([.general, .write])
        let old = start + .seconds(3_600)
        guard case .disconnect = ledger.next(0, now: old) else { return #expect(Bool(false)) }
        #expect(!ledger.disconnected(0, nil, now: old).isLast)
        #expect(connects(ledger.next(0, now: old)))
        _ = ledger.connected(0, expiry: .distantFuture, now: old)
        #expect(!ledger.disconnected(0, lost, now: old).isLast)
        #expect(ledger.disconnected(1, lost, now: old).isLast)
        #expect(connects(ledger.next(0, now: old)))
        #expect(waits(ledger.next(1, now: old)) == .distantFuture)
        #expect(ledger.connections == 0 && ledger.lastError == lost)
    }

    @Test func `condemning all closes every connection that stands, and none that comes after`() {
        var ledger = connected([.general, .write])
        #expect(ledger.condemnAll() == [0, 1])
        for seat in [0, 1] {
            guard case .disconnect = ledger.next(seat, now: start) else { return #expect(Bool(false)) }
            _ = ledger.disconnected(seat, nil, now: start)
        }
        #expect(connects(ledger.next(0, now: start)))
        _ = ledger.connected(0, expiry: .distantFuture, now: start)
        #expect(waits(ledger.next(0, now: start)) == .distantFuture)
    }

    @Test func `a seat that stops while it probes leaves the probing to one with work in hand`() {
        var ledger = connected([.general, .write])
        _ = ledger.disconnected(0, lost, now: start)
        #expect(connects(ledger.next(0, now: start)))
        _ = ledger.connectFailed(0, lost, jitter: 0.9, now: start)
        _ = ledger.drain()
        guard case .stop = ledger.next(0, now: start) else { return #expect(Bool(false)) }
        _ = ledger.disconnected(1, lost, now: start)
        _ = ledger.requeue([Work(id: 1, role: .write)])
        let later = start + .seconds(1)
        #expect(connects(ledger.next(1, now: later)))
    }
}
