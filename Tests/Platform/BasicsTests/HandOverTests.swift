import Basics
import Glibc
import Testing

private func soon(_ seconds: Int64 = 10) -> MonotonicInstant { MonotonicClock.system.now() + .seconds(seconds) }

@Suite struct MailboxTests {
    @Test func `a full box refuses, a closed one says so, and what waits can still be taken`() {
        let box = Mailbox<Int>(capacity: 2)
        #expect(box.push(1) == .accepted)
        #expect(box.push(2) == .accepted)
        #expect(box.push(3) == .full)
        box.close()
        #expect(box.push(4) == .closed)
        var taken: [Int] = []
        #expect(box.drain(into: &taken))
        #expect(taken == [1, 2])
        #expect(!box.drain(into: &taken))
        #expect(box.wait(into: &taken, until: soon()) == .closed)
    }

    @Test func `an event descriptor is signalled once per filling`() {
        let wake = EventDescriptor()
        let box = Mailbox<Int>(capacity: 10, wake: wake)
        #expect(!wake.wait(until: MonotonicClock.system.now()))
        _ = box.push(1)
        _ = box.push(2)
        #expect(wake.wait(until: soon()))
        wake.drain()
        _ = box.push(3)
        #expect(!wake.wait(until: MonotonicClock.system.now()))
    }

    @Test func `four producers and one consuming thread lose nothing and keep each producer's order`() {
        let box = Mailbox<(producer: Int, number: Int)>(capacity: 64)
        let perProducer = 5_000
        let producers = (0..<4).map { producer in
            WorkerThread(name: "producer") {
                for number in 0..<perProducer {
                    while box.push((producer, number)) == .full { sched_yield() }
                }
            }
        }
        var next = [0, 0, 0, 0]
        var inOrder = true
        var batch: [(producer: Int, number: Int)] = []
        while next.reduce(0, +) < 4 * perProducer, box.wait(into: &batch, until: soon()) == .elements {
            for element in batch {
                inOrder = inOrder && next[element.producer] == element.number
                next[element.producer] += 1
            }
            batch.removeAll()
        }
        for producer in producers { producer.join() }
        #expect(inOrder)
        #expect(next == [5_000, 5_000, 5_000, 5_000])
    }

    @Test func `waiting ends at the deadline`() {
        var taken: [Int] = []
        let box = Mailbox<Int>(capacity: 1)
        #expect(box.wait(into: &taken, until: MonotonicClock.system.now() + .milliseconds(5)) == .timeout)
    }
}

@Suite struct AsyncMailboxTests {
    @Test func `a task takes everything in order and ends when the box is closed`() async {
        let box = AsyncMailbox<Int>(capacity: 100_000)
        let thread = WorkerThread(name: "producer") {
            for number in 0..<20_000 { _ = box.push(number) }
            box.close()
        }
        var expected = 0
        while let number = await box.next() {
            #expect(number == expected)
            expected += 1
        }
        #expect(expected == 20_000)
        thread.join()
    }

    @Test func `the bound holds while nobody waits`() {
        let box = AsyncMailbox<Int>(capacity: 3)
        #expect((0..<4).map { box.push($0) } == [.accepted, .accepted, .accepted, .full])
        #expect(box.count == 3)
    }

    @Test func `cancelling the consumer ends its wait`() async {
        let box = AsyncMailbox<Int>(capacity: 1)
        let task = Task { await box.next() }
        task.cancel()
        #expect(await task.value == nil)
    }
}

@Suite struct PromiseTests {
    @Test func `the first result wins`() async throws {
        let promise = Promise<Int>()
        #expect(promise.resolve(.success(1)))
        #expect(!promise.resolve(.success(2)))
        #expect(try await promise.value() == 1)
    }

    @Test func `cancellation ends the wait, tells the library, and a late result changes nothing`() async {
        let promise = Promise<Int>()
        let told = Locked(0)
        let task = Task { try await promise.value { told.withLock { $0 += 1 } } }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(!promise.resolve(.success(1)))
        #expect(told.withLock { $0 } == 1)
    }

    @Test func `a second waiter is refused, not left hanging`() async throws {
        let promise = Promise<Int>()
        promise.resolve(.success(1))
        _ = try await promise.value()
        await #expect(throws: (any Error).self) { try await promise.value() }
    }

    @Test func `results from many threads race without loss`() async throws {
        for round in 0..<200 {
            let promise = Promise<Int>()
            let wins = Locked(0)
            let threads = (0..<3).map { number in
                WorkerThread(name: "resolver") { if promise.resolve(.success(number)) { wins.withLock { $0 += 1 } } }
            }
            _ = try await promise.value()
            for thread in threads { thread.join() }
            #expect(wins.withLock { $0 } == 1, "round \(round)")
        }
    }
}

@Suite struct TimerQueueTests {
    @Test func `on a manual clock calls come at their time, in order`() {
        let clock = ManualClock()
        let timers = TimerQueue(manual: clock)
        let fired = Locked<[String]>([])
        let start = clock.monotonic.now()
        timers.schedule(at: start + .seconds(2)) { fired.withLock { $0.append("second") } }
        timers.schedule(at: start + .seconds(1)) { fired.withLock { $0.append("first") } }
        let cancelled = timers.schedule(at: start + .seconds(1)) { fired.withLock { $0.append("cancelled") } }
        timers.cancel(cancelled)
        clock.advance(by: .milliseconds(999))
        #expect(fired.withLock { $0 } == [])
        clock.advance(by: .milliseconds(1))
        #expect(fired.withLock { $0 } == ["first"])
        clock.advance(by: .seconds(5))
        #expect(fired.withLock { $0 } == ["first", "second"])
        #expect(timers.count == 0)
    }

    @Test func `a sleeping task wakes, and a cancelled one leaves nothing behind`() async throws {
        let timers = TimerQueue()
        defer { timers.close() }
        try await timers.sleep(for: .milliseconds(2))
        let task = Task { try await timers.sleep(for: .seconds(3_600)) }
        while timers.count == 0 { await Task.yield() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(timers.count == 0)
    }

    @Test func `an earlier deadline overtakes the one that is waited for`() async throws {
        let timers = TimerQueue()
        defer { timers.close() }
        timers.schedule(at: soon(3_600)) {}
        let promise = Promise<Void>()
        timers.schedule(at: MonotonicClock.system.now() + .milliseconds(3)) { promise.resolve(.success(())) }
        try await promise.value()
    }

    @Test func `ten thousand deadlines in random order fire in order`() {
        let clock = ManualClock()
        let timers = TimerQueue(manual: clock)
        var random = SeededGenerator(seed: 3)
        let fired = Locked<[Int64]>([])
        let start = clock.monotonic.now()
        for _ in 0..<10_000 {
            let delay = Int64.random(in: 0..<1_000_000, using: &random)
            let token = timers.schedule(at: start + .nanoseconds(delay)) { fired.withLock { $0.append(delay) } }
            if delay % 3 == 0 { timers.cancel(token) }
        }
        clock.advance(by: .seconds(1))
        let order = fired.withLock { $0 }
        #expect(order == order.sorted())
        #expect(order.allSatisfy { $0 % 3 != 0 })
        #expect(timers.count == 0)
    }
}

@Suite struct LockedTests {
    @Test func `increments from eight threads are all counted`() {
        let counter = Locked(0)
        let threads = (0..<8).map { _ in
            WorkerThread(name: "counter") { for _ in 0..<10_000 { counter.withLock { $0 += 1 } } }
        }
        for thread in threads { thread.join() }
        #expect(counter.withLock { $0 } == 80_000)
    }

    @Test func `a latch lets everyone through once open`() {
        let latch = Latch()
        #expect(!latch.wait(until: MonotonicClock.system.now()))
        let passed = Locked(0)
        let threads = (0..<3).map { _ in
            WorkerThread(name: "waiter") { if latch.wait(until: soon()) { passed.withLock { $0 += 1 } } }
        }
        latch.open()
        for thread in threads { thread.join() }
        #expect(passed.withLock { $0 } == 3)
    }

    @Test func `a worker thread joins twice without harm`() {
        let thread = WorkerThread(name: "short") {}
        thread.join()
        thread.join()
    }
}

@Suite struct SeededGeneratorTests {
    @Test func `the same seed gives the same numbers, another seed others`() {
        var first = SeededGenerator(seed: 1)
        var second = SeededGenerator(seed: 1)
        var third = SeededGenerator(seed: 2)
        let numbers = (0..<8).map { _ in first.next() }
        #expect(numbers == (0..<8).map { _ in second.next() })
        #expect(numbers != (0..<8).map { _ in third.next() })
        #expect(Set(numbers).count == 8)
    }
}
