import Basics
import Testing

@testable import Kafka
@testable import WorkerKit

@Suite struct ConsumerRuntimeTests {
    private let again = RetryReason("upstream")
    private let unknownUser = ParkReason(type: "USER_ERROR", code: "USER_NOT_FOUND", message: "no such user")

    // MARK: Keys

    @Test func `different keys run at once, one key in order, the retry topic in the key's lane`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            harness.deliver(1, key: 1)
            harness.deliver(7, key: 1, on: harness.retries)
            harness.deliver(2, key: 2)
            let first = try await harness.handler.next()
            let second = try await harness.handler.next()
            #expect(Set([first, second].map(\.offsets)) == [[0], [2]])
            let ofOne = try #require([first, second].first { $0.offsets == [0] })
            try await harness.answer(ofOne, .done)
            let third = try await harness.handler.next()
            #expect(third.offsets == [1])
            try await harness.answer(third, .done)
            let fourth = try await harness.handler.next()
            #expect(fourth.work.newest.coordinates.topicPartition == harness.retries)
            try await harness.answer(fourth, .done)
            harness.tick()
            #expect(harness.commits == [[harness.partition: 2, harness.retries: 8]], "offset 2 still runs")
        }
    }

    @Test func `queued events of a key that merge are handled by one call`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1, kind: "ready")
            let first = try await harness.handler.next()
            harness.deliver(1, key: 1, kind: "ready")
            harness.deliver(2, key: 1, kind: "ready", hoursOld: 3)
            harness.deliver(3, key: 1, kind: "ready")
            try await harness.answer(first, .done)
            let second = try await harness.handler.next()
            #expect(second.offsets == [1, 2, 3])
            #expect(second.work.newest.coordinates.offset == 3)
            #expect(second.work.deadline == second.work.newest.deadline)
            harness.tick()
            #expect(harness.commits == [[harness.partition: 1]])
            try await harness.answer(second, .done)
            harness.runtime.commitCompleted([harness.partition: 1], error: nil)
            harness.clock.advance(by: .milliseconds(250))
            harness.tick()
            #expect(harness.commits.last == [harness.partition: 4])
        }
    }

    @Test func `no more than the limit run at once`() async throws {
        try await withHarness(limits: AdmissionLimits(maxInFlight: 3)) { harness in
            for offset in 0..<10 { harness.deliver(Int64(offset), key: UInt8(offset)) }
            var calls: [ScriptedHandler.Call] = []
            for _ in 0..<3 { calls.append(try await harness.handler.next()) }
            #expect(harness.runtime.snapshot.inFlight == 3)
            #expect(harness.runtime.snapshot.queued == 7)
            #expect(harness.handler.calls.count == 0)
            for _ in 0..<7 {
                try await harness.answer(calls.removeFirst(), .done)
                calls.append(try await harness.handler.next())
                #expect(harness.runtime.snapshot.inFlight == 3)
            }
            for call in calls { try await harness.answer(call, .done) }
        }
    }

    // MARK: Retries

    @Test func `a waiting repeat holds its key, no other key, and no place`() async throws {
        try await withHarness(limits: AdmissionLimits(maxInFlight: 1)) { harness in
            harness.deliver(0, key: 1)
            harness.deliver(1, key: 1)
            let first = try await harness.handler.next()
            #expect(first.context.attempt == 1)
            try await harness.answer(first, .retry(after: .seconds(30), reason: again))
            for offset in 2..<20 {
                harness.deliver(Int64(offset), key: 2)
                let call = try await harness.handler.next()
                #expect(call.offsets == [Int64(offset)])
                try await harness.answer(call, .done)
            }
            #expect(harness.runtime.snapshot.waiting == 2)
            #expect(harness.runtime.snapshot.waitingByReason == ["upstream": 1])
            harness.tick()
            #expect(harness.commits.isEmpty, "nothing passes the unfinished event")
            harness.clock.advance(by: .seconds(29))
            #expect(harness.handler.calls.count == 0)
            harness.clock.advance(by: .seconds(2))
            let second = try await harness.handler.next()
            #expect(second.offsets == [0])
            #expect(second.context.attempt == 2)
            try await harness.answer(second, .done)
            let behind = try await harness.handler.next()
            #expect(behind.offsets == [1])
            try await harness.answer(behind, .done)
            harness.tick()
            #expect(harness.commits == [[harness.partition: 20]])
        }
    }

    @Test func `what says nothing about the event costs no attempt`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            var call = try await harness.handler.next()
            for _ in 0..<3 {
                try await harness.answer(
                    call,
                    .retry(after: .seconds(60), reason: RetryReason("rate-limited", costsAttempt: false))
                )
                harness.clock.advance(by: .seconds(62))
                call = try await harness.handler.next()
                #expect(call.context.attempt == 1)
            }
            try await harness.answer(call, .done)
        }
    }

    @Test func `a repeat that would come after the deadline is an expiry at the deadline, once`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1, hoursOld: 23)
            let first = try await harness.handler.next()
            #expect(first.context.deadline == harness.clock.monotonic.now() + .seconds(3_600))
            try await harness.answer(first, .retry(after: .seconds(7_200), reason: again))
            harness.clock.advance(by: .seconds(3_599))
            #expect(harness.handler.calls.count == 0)
            harness.clock.advance(by: .seconds(1))
            let expiry = try await harness.handler.next()
            #expect(expiry.kind == .expire)
            #expect(try await harness.answer(expiry, .done) == .expired)
            harness.clock.advance(by: .seconds(86_400))
            #expect(harness.handler.calls.count == 0)
            harness.tick()
            #expect(harness.commits == [[harness.partition: 1]])
        }
    }

    @Test func `an event that comes too late is never handled, and its expiry is repeated until it is recorded`()
        async throws
    {
        try await withHarness { harness in
            harness.deliver(0, key: 1, hoursOld: 25)
            let first = try await harness.handler.next()
            #expect(first.kind == .expire)
            try await harness.answer(first, .retry(after: nil, reason: again))
            harness.clock.advance(by: .seconds(2))
            let second = try await harness.handler.next()
            #expect(second.kind == .expire)
            try await harness.answer(second, .done)
        }
    }

    @Test func `an upstream that says expired is followed by the expiry at once`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            let first = try await harness.handler.next()
            first.answer.resolve(.success(.expired))
            let expiry = try await harness.handler.next()
            #expect(expiry.kind == .expire)
            // Its record fails: what is repeated is the expiry, not the fetch.
            try await harness.answer(expiry, .retry(after: nil, reason: again))
            harness.clock.advance(by: .seconds(2))
            let repeated = try await harness.handler.next()
            #expect(repeated.kind == .expire)
            try await harness.answer(repeated, .done)
        }
    }

    // MARK: Commits

    @Test func `one commit in flight, and a failed one is built anew at the next tick`() async throws {
        try await withHarness { harness in
            harness.handler.standing.withLock { $0 = .done }
            for offset in 0..<3 {
                harness.deliver(Int64(offset), key: UInt8(offset))
                _ = try await harness.observations.nextEnding()
            }
            harness.tick()
            harness.deliver(3, key: 3)
            _ = try await harness.observations.nextEnding()
            harness.clock.advance(by: .seconds(1))
            harness.tick()
            #expect(harness.commits == [[harness.partition: 3]])
            harness.runtime.commitCompleted(
                [harness.partition: 3],
                error: KafkaError(.coordinatorUnavailable, "away", isRetriable: true)
            )
            harness.tick()
            #expect(harness.commits == [[harness.partition: 3], [harness.partition: 4]])
            harness.runtime.commitCompleted([harness.partition: 4], error: nil)
            harness.clock.advance(by: .seconds(1))
            harness.tick()
            #expect(harness.commits.count == 2)
        }
    }

    // MARK: Dead letters

    @Test func `topic before row before offset, and only the failed step is repeated`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            harness.deliver(1, key: 1)
            let call = try await harness.handler.next()
            try await harness.answer(call, .park(unknownUser))
            let publish = try await harness.sink.next()
            #expect(publish.kind == .publish)
            #expect(publish.letter.event.coordinates.offset == 0)
            #expect(publish.letter.reason == unknownUser)
            #expect(publish.letter.attempts == 1)
            #expect(publish.letter.group == "group")
            publish.answer.resolve(.failure(TookTooLong()))
            #expect(try await harness.observations.nextEnding() == .deadLetterFailed)
            harness.clock.advance(by: .seconds(2))

            let publishAgain = try await harness.sink.next()
            #expect(publishAgain.kind == .publish)
            publishAgain.answer.resolve(.success(()))
            let row = try await harness.sink.next()
            #expect(row.kind == .record)
            row.answer.resolve(.failure(TookTooLong()))
            #expect(try await harness.observations.nextEnding() == .deadLetterFailed)
            harness.tick()
            #expect(harness.commits.isEmpty)
            #expect(harness.runtime.snapshot.waitingByReason == ["dead-letter": 1])
            harness.clock.advance(by: .seconds(3))

            let rowAgain = try await harness.sink.next()
            #expect(rowAgain.kind == .record, "the topic has it already")
            harness.tick()
            #expect(harness.commits.isEmpty)
            rowAgain.answer.resolve(.success(()))
            #expect(try await harness.observations.nextEnding() == .deadLettered)
            harness.tick()
            #expect(harness.commits == [[harness.partition: 1]])
            let next = try await harness.handler.next()
            #expect(next.offsets == [1], "the key goes on")
            try await harness.answer(next, .done)
        }
    }

    @Test func `each of several merged events becomes a dead letter of its own`() async throws {
        try await withHarness(limits: AdmissionLimits(maxInFlight: 1)) { harness in
            harness.deliver(0, key: 9)
            let other = try await harness.handler.next()
            for offset in 1...3 { harness.deliver(Int64(offset), key: 1, kind: "ready") }
            try await harness.answer(other, .done)
            let call = try await harness.handler.next()
            #expect(call.offsets == [1, 2, 3])
            try await harness.answer(call, .park(unknownUser))
            for offset in Int64(1)...3 {
                for kind in [ScriptedSink.Step.Kind.publish, .record] {
                    let step = try await harness.sink.next()
                    #expect(step.kind == kind)
                    #expect(step.letter.event.coordinates.offset == offset)
                    step.answer.resolve(.success(()))
                }
                #expect(try await harness.observations.nextEnding() == .deadLettered)
            }
            harness.tick()
            #expect(harness.commits == [[harness.partition: 4]])
        }
    }

    @Test func `beyond the allowance an event is held and tried again`() async throws {
        try await withHarness(deadLetters: DeadLetterAllowance(burst: 1, perMinute: 1)) { harness in
            harness.deliver(0, key: 1)
            try await harness.answer(try await harness.handler.next(), .park(unknownUser))
            for _ in 0..<2 { try await harness.sink.next().answer.resolve(.success(())) }
            #expect(try await harness.observations.nextEnding() == .deadLettered)
            harness.deliver(1, key: 2)
            #expect(try await harness.answer(try await harness.handler.next(), .park(unknownUser)) == .held)
            #expect(harness.runtime.snapshot.waitingByReason == ["dead-letter-rate": 1])
            harness.clock.advance(by: .seconds(599))
            #expect(harness.handler.calls.count == 0)
            #expect(harness.sink.steps.count == 0)
            harness.clock.advance(by: .seconds(2))
            let second = try await harness.handler.next()
            #expect(second.context.attempt == 2)
            try await harness.answer(second, .done)
        }
    }

    @Test func `short waits before a long one leave no timers behind`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            let patient = try await harness.handler.next()
            try await harness.answer(patient, .retry(after: .seconds(3_600), reason: RetryReason("not-ready")))
            harness.deliver(1, key: 2)
            for _ in 0..<40 {
                let call = try await harness.handler.next()
                #expect(call.offsets == [1])
                try await harness.answer(call, .retry(after: .seconds(1), reason: RetryReason("transient")))
                harness.clock.advance(by: .seconds(3))
            }
            // The next wake's, and the heartbeat's.
            #expect(harness.timers.count <= 2)
            harness.clock.advance(by: .seconds(3_600))
            var offsets: Set<Int64> = []
            for _ in 0..<2 { offsets.formUnion(try await harness.handler.next().offsets) }
            #expect(offsets == [0, 1], "the long wait ends too")
        }
    }

    // MARK: Faults that hit everything

    @Test func `a global fault pauses the partitions, keeps the events, probes with one`() async throws {
        try await withHarness { harness in
            for offset in 0..<8 { harness.deliver(Int64(offset), key: UInt8(offset)) }
            var calls: [ScriptedHandler.Call] = []
            for _ in 0..<4 { calls.append(try await harness.handler.next()) }
            for call in calls {
                #expect(
                    try await harness.answer(call, .pauseAll(for: .seconds(10), reason: "INVALID_API_KEYS")) == .paused
                )
            }
            harness.tick()
            #expect(harness.broker.log.withLock { $0.paused } == [harness.partition, harness.retries])
            #expect(harness.handler.calls.count == 0)
            #expect(harness.runtime.snapshot.pauseReason == "INVALID_API_KEYS")

            harness.clock.advance(by: .seconds(13))
            let probe = try await harness.handler.next()
            #expect(probe.context.attempt == 1, "a fault of everything costs the event nothing")
            #expect(harness.runtime.snapshot.inFlight == 1)
            try await harness.answer(probe, .pauseAll(for: .seconds(10), reason: "INVALID_API_KEYS"))
            harness.clock.advance(by: .seconds(19))
            #expect(harness.handler.calls.count == 0, "the pause has doubled")
            harness.clock.advance(by: .seconds(7))
            let second = try await harness.handler.next()
            harness.handler.standing.withLock { $0 = .done }
            try await harness.answer(second, .done)
            harness.tick()
            #expect(harness.broker.log.withLock { $0.paused }.isEmpty)
            #expect(harness.runtime.snapshot.pauseReason == nil)
            var rest: Set<Int64> = []
            for _ in 0..<7 { rest.formUnion(try await harness.handler.next().offsets) }
            #expect(rest.count == 7)
        }
    }

    @Test func `deadlines pass while everything is paused`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            harness.deliver(1, key: 2, hoursOld: 23)
            let first = try await harness.handler.next()
            let second = try await harness.handler.next()
            for call in [first, second] {
                try await harness.answer(call, .pauseAll(for: .seconds(5_000), reason: "keys"))
            }
            harness.clock.advance(by: .seconds(3_601))
            harness.tick()
            let expiry = try await harness.handler.next()
            #expect(expiry.kind == .expire)
            #expect(expiry.offsets == [1])
            try await harness.answer(expiry, .done)
            #expect(harness.runtime.snapshot.pauseReason == "keys", "an expiry proves nothing about the fault")
            #expect(harness.handler.calls.count == 0)
        }
    }

    @Test func `an expired event is no probe`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1, hoursOld: 23)
            harness.deliver(1, key: 2)
            let held = [try await harness.handler.next(), try await harness.handler.next()]
            // The one that will expire is the first in turn.
            for call in held.sorted(by: { $0.offsets[0] < $1.offsets[0] }) {
                try await harness.answer(call, .pauseAll(for: .seconds(3_000), reason: "keys"))
            }
            // The first event's life is over when the pause ends.
            harness.clock.advance(by: .seconds(3_760))
            harness.tick()
            let calls = [try await harness.handler.next(), try await harness.handler.next()]
            let expiry = try #require(calls.first { $0.kind == .expire })
            let probe = try #require(calls.first { $0.kind == .handle })
            #expect(expiry.offsets == [0] && probe.offsets == [1])
            try await harness.answer(expiry, .done)
            #expect(harness.runtime.snapshot.pauseReason == "keys", "the keys were not tried")
            try await harness.answer(probe, .done)
            #expect(harness.runtime.snapshot.pauseReason == nil)
        }
    }

    @Test func `with nothing left to probe with, records are let in`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1, on: harness.retries)
            try await harness.answer(try await harness.handler.next(), .pauseAll(for: .seconds(1), reason: "database"))
            harness.tick()
            _ = try await onThread { harness.broker.revoke([harness.retries]) }
            harness.clock.advance(by: .seconds(2))
            harness.tick()
            #expect(harness.broker.log.withLock { $0.paused }.isEmpty)
            harness.deliver(0, key: 1)
            harness.deliver(1, key: 2)
            let probe = try await harness.handler.next()
            #expect(harness.runtime.snapshot.inFlight == 1)
            try await harness.answer(probe, .done)
            try await harness.answer(try await harness.handler.next(), .done)
        }
    }

    // MARK: Intake

    @Test func `pauses at the high mark and resumes at the low one`() async throws {
        let limits = AdmissionLimits(maxInFlight: 1, queued: .init(high: 5, low: 2))
        try await withHarness(limits: limits) { harness in
            for offset in 0..<6 { harness.deliver(Int64(offset), key: UInt8(offset)) }
            harness.tick()
            #expect(harness.broker.log.withLock { $0.paused }.count == 2)
            for left in [4, 3, 2, 1] {
                try await harness.answer(try await harness.handler.next(), .done)
                harness.tick()
                #expect(harness.broker.log.withLock { $0.paused }.isEmpty == (left <= 2))
            }
            #expect(harness.broker.log.withLock { $0.pauseCalls } == 1)
            #expect(harness.broker.log.withLock { $0.resumeCalls } == 1)
        }
    }

    @Test func `waiting repeats do not stop the intake`() async throws {
        let limits = AdmissionLimits(maxInFlight: 2, queued: .init(high: 5, low: 2))
        try await withHarness(limits: limits) { harness in
            harness.handler.standing.withLock { [again] in $0 = .retry(after: .seconds(600), reason: again) }
            for offset in 0..<50 {
                harness.deliver(Int64(offset), key: UInt8(offset))
                _ = try await harness.observations.nextEnding()
            }
            harness.tick()
            #expect(harness.runtime.snapshot.waiting == 50)
            #expect(harness.broker.log.withLock { $0.paused }.isEmpty)
        }
    }

    @Test func `a partition assigned while everything is paused is paused too`() async throws {
        try await withHarness { harness in
            harness.deliver(0, key: 1)
            try await harness.answer(try await harness.handler.next(), .pauseAll(for: .seconds(60), reason: "database"))
            let late = TopicPartition(topic: "source", partition: 5)
            harness.runtime.assigned([late], epoch: 9)
            #expect(harness.broker.log.withLock { $0.paused.contains(late) })
        }
    }

    // MARK: The worker's row

    @Test func `the worker's row is written at once and at every beat`() async throws {
        try await withHarness { harness in
            _ = try await within { await harness.beats.next() }
            for _ in 0..<3 {
                while harness.timers.count == 0 { await Task.yield() }
                harness.clock.advance(by: .seconds(5))
                let beat = try await within { await harness.beats.next() }
                #expect(beat.group == "group")
            }
        }
    }

    @Test func `a snapshot tells what is in hand, and when a restart is the cure`() async throws {
        try await withHarness { harness in
            harness.deliver(4, key: 1, hoursOld: 1)
            harness.deliver(5, key: 1)
            harness.deliver(6, key: 2)
            _ = try await harness.handler.next()
            _ = try await harness.handler.next()
            harness.tick()
            harness.clock.advance(by: .seconds(30))
            let snapshot = harness.runtime.snapshot
            #expect(snapshot.inFlight == 2)
            #expect(snapshot.queued == 1)
            #expect(snapshot.oldestAttempt == .seconds(30))
            #expect(snapshot.earliestDeadline == harness.clock.wall.now() - .seconds(30) + .seconds(23 * 3_600))
            let state = try #require(snapshot.partitions.first { $0.partition == harness.partition })
            #expect(state.lowWaterMark == 4)
            #expect(state.unfinished == 3)
            #expect(snapshot.stuck() == nil)
            harness.clock.advance(by: .seconds(40))
            #expect(harness.runtime.snapshot.stuck()?.contains("poll thread") == true)
            harness.tick()
            #expect(harness.runtime.snapshot.stuck() == nil)
            harness.clock.advance(by: .seconds(900))
            harness.tick()
            #expect(harness.runtime.snapshot.stuck()?.contains("attempt") == true)
        }
    }
}
