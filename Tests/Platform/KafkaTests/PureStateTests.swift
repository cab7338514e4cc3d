// The structs without I/O: statistics reader, deadline heap, assignment book.

import Basics
import Testing

@testable import Kafka

private func statistics(_ text: String) -> ClientStatistics? {
    Array(text.utf8).withUnsafeBytes { ClientStatistics(json: $0) }
}

private let sample = """
    { "name": "a\\"}{", "txmsgs": 120, "x": [1, [2, {"y": "]"}], -3.5e2, true, null],
      "brokers": {
        "b:1/1": {"name":"b:1/1", "nodeid":1, "state":"UP", "req_timeouts": 2, "rtt": {"p50":10, "p99":777},
                  "req": {"Fetch": 0, "Produce": 40}, "toppars": {"t-0": {"topic":"t","partition":0}}},
        "b:2/2": {"nodeid":2, "state":"TRY_CONNECT", "req": {"Produce": 5}},
        "b:3/3": {"nodeid":3, "state":"INIT"},
        "b:1/bootstrap": {"nodeid":-1, "state":"DOWN"}
      }, "topics": {}, "cgrp": {"state":"up","join_state":"steady","rebalance_cnt":3,"assignment_size":2} }
    """

@Suite struct ClientStatisticsTests {
    @Test func `reads brokers, counters and the group, and skips the rest`() throws {
        let read = try #require(statistics(sample))
        #expect(read.transmittedMessages == 120)
        #expect(read.brokers.map(\.nodeID).sorted() == [1, 2, 3])
        let first = try #require(read.brokers.first { $0.nodeID == 1 })
        #expect(first.produceRequests == 40 && first.requestTimeouts == 2 && first.roundTripP99Microseconds == 777)
        #expect(read.brokers.filter { !$0.isReachable }.map(\.nodeID) == [2])
        #expect(read.group?.state == "up" && read.group?.joinState == "steady")
        #expect(read.group?.rebalances == 3 && read.group?.assignmentSize == 2)
    }

    @Test func `no part of a text traps or is taken for the whole`() {
        let bytes = Array(sample.utf8)
        for count in 0..<bytes.count - 1 {
            #expect(bytes[..<count].withUnsafeBytes { ClientStatistics(json: $0) } == nil)
        }
    }

    @Test(arguments: 1...8)
    func `damaged texts do not trap`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            var bytes = Array(sample.utf8)
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = [
                    UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "9"),
                    UInt8(ascii: "["), UInt8(ascii: ","), 0,
                ].randomElement(using: &random)!
            }
            _ = bytes.withUnsafeBytes { ClientStatistics(json: $0) }
        }
    }

    @Test(arguments: ["", "[]", "{", "{\"txmsgs\":}", "{\"txmsgs\":99999999999999999999}", "{\"a\":1}}"])
    func `what is no object is nothing`(_ text: String) {
        // Trailing bytes after a whole object are nobody's: only the last case is read.
        #expect((statistics(text) == nil) == !text.hasSuffix("}}"))
    }
}

@Suite struct DeadlineHeapTests {
    private func ticket(_ nanoseconds: UInt64) -> DeliveryTicket {
        DeliveryTicket(deadline: MonotonicInstant(nanoseconds: nanoseconds)) { _ in }
    }

    @Test(arguments: 1...5)
    func `gives tickets in the order of their deadlines`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var heap = DeadlineHeap()
        let deadlines = (0..<500).map { _ in UInt64.random(in: 0..<1_000, using: &random) }
        for deadline in deadlines { heap.insert(ticket(deadline)) }
        var taken: [UInt64] = []
        while let next = heap.popExpired(MonotonicInstant(nanoseconds: 700)) { taken.append(next.deadline.nanoseconds) }
        #expect(taken == deadlines.filter { $0 <= 700 }.sorted())
        #expect(heap.count == deadlines.count { $0 > 700 })
    }

    @Test func `told tickets do not pile up`() {
        var heap = DeadlineHeap()
        let waiting = (0..<10).map { _ in ticket(5) }
        for ticket in waiting { heap.insert(ticket) }
        for index in 0..<100_000 {
            let next = ticket(UInt64(index))
            _ = next.claim()
            heap.insert(next)
        }
        #expect(heap.count <= 1_024)
        #expect(heap.removeAll().count { !$0.isTold } == 10)
    }

    @Test func `a ticket is told once`() {
        let count = Locked(0)
        let ticket = DeliveryTicket(deadline: .distantFuture) { _ in count.withLock { $0 += 1 } }
        #expect(!ticket.isTold)
        ticket.claim()?(.failure(KafkaError(.other, "")))
        #expect(ticket.isTold)
        #expect(ticket.claim() == nil)
        #expect(count.withLock { $0 } == 1)
    }
}

@Suite struct AssignmentTests {
    private let first = TopicPartition(topic: "t", partition: 0)
    private let second = TopicPartition(topic: "t", partition: 1)

    @Test func `sends only forward, and only for partitions that are ours`() {
        var book = Assignment()
        #expect(book.assign([first]) == 1)
        #expect(book.admit([first: 5, second: 3]).send == [first: 5])
        #expect(book.admit([second: 3]).foreign == [second: 3])
        book.acknowledge([first: 5])
        #expect(book.admit([first: 4]).known == [first: 4])
        #expect(book.admit([first: 5]).known == [first: 5])
        #expect(book.admit([first: 6]).send == [first: 6])
    }

    @Test func `what is on its way is not success yet`() {
        var book = Assignment()
        _ = book.assign([first])
        #expect(book.admit([first: 5]).send == [first: 5])
        #expect(book.admit([first: 4]).overtaken == [first: 4])
        #expect(book.admit([first: 5]).send == [first: 5])
        book.forget([first])
        #expect(book.admit([first: 4]).send == [first: 4])
    }

    @Test func `a success of an earlier assignment says nothing about this one`() {
        var book = Assignment()
        _ = book.assign([first])
        _ = book.admit([first: 9])
        book.revoke([first])
        _ = book.assign([first])
        book.acknowledge([first: 9])
        #expect(book.admit([first: 4]).send == [first: 4])
    }

    @Test func `a failed commit may be sent again`() {
        var book = Assignment()
        _ = book.assign([first])
        _ = book.admit([first: 5])
        book.forget([first])
        #expect(book.admit([first: 5]).send == [first: 5])
    }

    @Test func `a partition that comes back begins anew`() {
        var book = Assignment()
        _ = book.assign([first, second])
        _ = book.admit([first: 9])
        _ = book.pause([first])
        book.revoke([first])
        #expect(book.paused.isEmpty && book.partitions == [second])
        #expect(book.assign([first]) == 2)
        // Another owner may have gone back on purpose.
        #expect(book.admit([first: 4]).send == [first: 4])
    }

    @Test func `a log that went back takes the commits of its new records`() {
        var book = Assignment()
        _ = book.assign([first, second])
        _ = book.admit([first: 1_000, second: 7])
        book.acknowledge([first: 1_000, second: 7])
        _ = book.admit([first: 1_010])
        book.delivers(second, 7)
        #expect(book.admit([second: 7]).known == [second: 7], "the next record is no step back")
        book.delivers(first, 1_005)
        #expect(book.admit([first: 1_006]).send == [first: 1_006])
        // The answer to what was sent before comes late and names records that are gone.
        book.acknowledge([first: 1_010])
        #expect(book.admit([first: 1_007]).send == [first: 1_007])
        book.delivers(first, 0)
        #expect(book.admit([first: 1]).send == [first: 1])
    }

    @Test func `only what is paused is resumed, and only once`() {
        var book = Assignment()
        _ = book.assign([first, second])
        #expect(book.resume([first]).isEmpty)
        #expect(book.pause([first, TopicPartition(topic: "x", partition: 0)]) == [first])
        #expect(book.pause([first]).isEmpty)
        #expect(book.resume([first, second]) == [first])
        #expect(book.resume([first]).isEmpty)
    }
}
