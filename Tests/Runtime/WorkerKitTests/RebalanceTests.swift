import Basics
import Testing

@testable import Kafka
@testable import WorkerKit

@Suite struct RebalanceTests {
    private let again = RetryReason("upstream")

    @Test func `a revocation waits for what runs and commits what is done`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            harness.deliver(1, key: 2)
            harness.deliver(2, key: 1)
            let calls = [try await harness.handler.next(), try await harness.handler.next()]
            async let revoked = onThread { harness.broker.revoke([harness.partition], patience: .seconds(20)) }
            try await harness.revocationWaits()
            for call in calls { try await harness.answer(call, .done) }
            let (offsets, waitedUntil, ranOut) = try await revoked
            #expect(!ranOut, "woken when the last call ended")
            #expect(offsets == [harness.partition: 2], "what had not started is left to the next owner")
            #expect(waitedUntil == harness.clock.monotonic.now() + .seconds(5))
            #expect(harness.handler.calls.count == 0)
            #expect(harness.runtime.snapshot.heldBytes == 0)
        }
    }

    @Test func `the wait ends at its bound, and the late completion changes nothing`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            let old = try await harness.handler.next()
            #expect(old.context.isCurrent())
            let (offsets, _, _) = try await onThread {
                harness.broker.revoke([harness.partition], patience: .milliseconds(20))
            }
            #expect(offsets.isEmpty)
            #expect(!old.context.isCurrent())
            harness.broker.assign([harness.partition])
            harness.deliver(0, key: 1)
            harness.deliver(1, key: 2)
            let other = try await harness.handler.next()
            #expect(other.offsets == [1], "the key's lane is taken until the old call ends")
            try await harness.answer(other, .done)
            try await harness.answer(old, .done)
            harness.tick()
            #expect(harness.commits.isEmpty, "the old completion does not finish the new record")
            let new = try await harness.handler.next()
            #expect(new.offsets == [0])
            try await harness.answer(new, .done)
            harness.tick()
            #expect(harness.commits == [[harness.partition: 2]])
            let late = harness.observations.all.withLock {
                $0.contains { if case .late(1) = $0 { true } else { false } }
            }
            #expect(late)
        }
    }

    @Test(arguments: ["done", "retry", "park", "pause", "expired"])
    func `a late end of whatever kind frees its place and touches nothing`(_ kind: String) async throws {
        try await withHarness(limits: AdmissionLimits(maxInFlight: 1)) { harness in
            harness.deliver(0, key: 1)
            let old = try await harness.handler.next()
            _ = try await onThread { harness.broker.revoke([harness.partition], patience: .milliseconds(5)) }
            let outcome: Outcome =
                switch kind {
                case "retry": .retry(after: nil, reason: again)
                case "park": .park(ParkReason(type: "t", code: "c", message: "m"))
                case "pause": .pauseAll(for: .milliseconds(100), reason: "db")
                case "expired": .expired
                default: .done
                }
            old.answer.resolve(.success(outcome))
            if kind == "expired" { try await harness.handler.next().answer.resolve(.success(.done)) }
            _ = try await harness.observations.nextEnding()
            #expect(harness.sink.steps.count == 0, "no dead letter of a record that is not ours")
            let snapshot = harness.runtime.snapshot
            #expect(snapshot.inFlight == 0 && snapshot.queued == 0 && snapshot.waiting == 0)
            harness.clock.advance(by: .seconds(1))
            harness.broker.assign([harness.partition])
            harness.deliver(0, key: 1)
            let new = try await harness.handler.next()
            try await harness.answer(new, .done)
            harness.tick()
            #expect(harness.commits == [[harness.partition: 1]])
        }
    }

    @Test func `nothing in flight, nothing waited for`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            harness.deliver(1, key: 2)
            try await harness.answer(try await harness.handler.next(), .retry(after: .seconds(60), reason: again))
            try await harness.answer(try await harness.handler.next(), .done)
            // A repeat that waits is not in flight, nor does work of another partition count.
            harness.deliver(0, key: 3, on: harness.retries)
            let other = try await harness.handler.next()
            let (offsets, waitedUntil, _) = try await onThread { harness.broker.revoke([harness.partition]) }
            #expect(waitedUntil == nil)
            #expect(offsets.isEmpty)
            harness.clock.advance(by: .seconds(100))
            #expect(harness.handler.calls.count == 0, "the repeat went with its partition")
            try await harness.answer(other, .done)
            harness.tick()
            #expect(harness.commits == [[harness.retries: 1]])
        }
    }

    @Test func `a retry during the wait ends it`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            let call = try await harness.handler.next()
            async let revoked = onThread { harness.broker.revoke([harness.partition], patience: .seconds(20)) }
            try await harness.revocationWaits()
            try await harness.answer(call, .retry(after: nil, reason: again))
            let (offsets, waitedUntil, ranOut) = try await revoked
            #expect(!ranOut, "woken when the last call ended")
            #expect(waitedUntil != nil)
            #expect(offsets.isEmpty)
            harness.clock.advance(by: .seconds(10))
            #expect(harness.handler.calls.count == 0)
        }
    }

    @Test func `records that come during the wait are left to the next owner`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            let call = try await harness.handler.next()
            async let revoked = onThread { harness.broker.revoke([harness.partition], patience: .seconds(20)) }
            try await harness.revocationWaits()
            harness.deliver(1, key: 2)
            try await harness.answer(call, .done)
            let (offsets, _, ranOut) = try await revoked
            #expect(!ranOut, "woken when the last call ended")
            #expect(offsets == [harness.partition: 1])
            #expect(harness.handler.calls.count == 0)
        }
    }

    @Test func `lost is not revoked: no wait, no commit`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            harness.deliver(1, key: 2)
            let calls = [try await harness.handler.next(), try await harness.handler.next()]
            try await harness.answer(try #require(calls.first { $0.offsets == [0] }), .done)
            let (offsets, waitedUntil, _) = try await onThread {
                harness.broker.revoke([harness.partition], lost: true)
            }
            #expect(offsets.isEmpty)
            #expect(waitedUntil == nil)
            #expect(calls.allSatisfy { !$0.context.isCurrent() })
        }
    }

    @Test func `a purged repeat frees the other partition's events of its key`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            harness.deliver(0, key: 1, on: harness.retries)
            try await harness.answer(try await harness.handler.next(), .retry(after: .seconds(600), reason: again))
            #expect(harness.handler.calls.count == 0)
            _ = try await onThread { harness.broker.revoke([harness.partition]) }
            let call = try await harness.handler.next()
            #expect(call.work.newest.coordinates.topicPartition == harness.retries)
            try await harness.answer(call, .done)
        }
    }

    @Test func `a dead letter of a partition that went meanwhile is not published`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            let call = try await harness.handler.next()
            try await harness.answer(call, .park(ParkReason(type: "t", code: "c", message: "m")))
            let publish = try await harness.sink.next()
            publish.answer.resolve(.failure(TookTooLong()))
            _ = try await harness.observations.nextEnding()
            _ = try await onThread { harness.broker.revoke([harness.partition]) }
            harness.clock.advance(by: .seconds(60))
            #expect(harness.sink.steps.count == 0)
        }
    }

    // MARK: Stopping

    @Test func `stop finishes what runs, starts nothing, commits and leaves`() async throws {
        let harness = try Harness()
        harness.broker.assign([harness.partition])
        harness.deliver(0, key: 1)
        harness.deliver(1, key: 2)
        harness.deliver(2, key: 2)
        let calls = [try await harness.handler.next(), try await harness.handler.next()]
        async let stopped = onThread { harness.runtime.stop(until: MonotonicClock.system.now() + .seconds(8)) }
        while !harness.runtime.snapshot.isStopping { await Task.yield() }
        #expect(!harness.broker.log.withLock { $0.isClosed })
        harness.tick()
        #expect(harness.broker.log.withLock { $0.paused } == [harness.partition])
        for call in calls { try await harness.answer(call, .done) }
        #expect(try await stopped)
        let log = harness.broker.log.withLock { $0 }
        #expect(log.isClosed)
        #expect(log.lastCommits == [[harness.partition: 2]])
        #expect(harness.handler.calls.count == 0)
    }

    @Test func `stop with nothing in hand is immediate`() async throws {
        let harness = try Harness()
        harness.broker.assign([harness.partition])
        let began = MonotonicClock.system.now()
        let stopped = try await onThread { harness.runtime.stop(until: MonotonicClock.system.now() + .seconds(8)) }
        #expect(stopped)
        #expect(MonotonicClock.system.now() - began < .seconds(4))
    }

    @Test func `stop gives up at its deadline, cancels, and says so`() async throws {
        let harness = try Harness()
        harness.broker.assign([harness.partition])
        harness.deliver(0, key: 1)
        harness.deliver(1, key: 2)
        let calls = [try await harness.handler.next(), try await harness.handler.next()]
        try await harness.answer(try #require(calls.first { $0.offsets == [0] }), .done)
        let began = MonotonicClock.system.now()
        let stopped = try await onThread {
            harness.runtime.stop(until: MonotonicClock.system.now() + .milliseconds(400))
        }
        #expect(!stopped)
        #expect(MonotonicClock.system.now() - began < .seconds(4))
        #expect(harness.broker.log.withLock { $0.lastCommits } == [[harness.partition: 1]])
        // The cancelled call has returned; nothing of it is finished.
        #expect(try await harness.observations.nextEnding() == .retry)
    }
}
