// The producer against the mock cluster.

import Basics
import Testing

@testable import Kafka

@Suite struct ProducerTests {
    /// A cluster, a producer, and their end.
    final class Bench: Sendable {
        let cluster: MockCluster
        let producer: Producer
        let fatal = Watched<[KafkaError]>([])
        let logged = Watched<[KafkaLogLine]>([])

        init(_ tuning: Producer.Tuning = .receiver, brokers: Int = 1, properties: [(String, String)] = []) throws {
            cluster = try MockCluster(brokers: brokers)
            try cluster.createTopic("events", partitions: 3)
            let settings = KafkaSettings(
                bootstrapServers: cluster.bootstrapServers,
                clientID: "bench",
                properties: properties.map { (name: $0.0, value: $0.1) }
            )
            producer = try Producer(
                settings: settings,
                tuning: tuning,
                log: { [logged] line in logged.change { $0.append(line) } },
                onFatal: { [fatal] error in fatal.change { $0.append(error) } }
            )
        }

        func end() async throws {
            let producer = producer
            _ = try await onThread { producer.close(until: soon(.seconds(5))) }
        }
    }

    @Test func `a published record has its partition and offset`() async throws {
        let bench = try Bench()
        let first = try await bench.producer.publish(ProducerRecord("events", "a", key: "k"))
        let second = try await bench.producer.publish(ProducerRecord("events", "b", key: "k"))
        #expect(second.partition == first.partition)
        #expect(second.offset == first.offset + 1)
        #expect(bench.producer.queuedMessages == 0)
        try await bench.end()
    }

    @Test func `each of many results comes once, on another thread than the sender's`() async throws {
        let bench = try Bench()
        let results = Watched<[Int: Int]>([:])
        for index in 0..<2_000 {
            bench.producer.send(ProducerRecord("events", "\(index)", key: "\(index % 7)")) { result in
                guard case .success = result else { return }
                results.change { $0[index, default: 0] += 1 }
            }
        }
        let counts = try await results.first("all results") { $0.count == 2_000 ? $0 : nil }
        #expect(counts.values.allSatisfy { $0 == 1 })
        try await bench.end()
        #expect(results.value.values.allSatisfy { $0 == 1 })
    }

    @Test func `threads that race for a topic's first message leave nothing behind`() async throws {
        let bench = try Bench()
        let results = Watched(0)
        try await withThrowingDiscardingTaskGroup { group in
            for index in 0..<8 {
                group.addTask {
                    try await onThread {
                        for topic in 0..<20 {
                            bench.producer.send(ProducerRecord("new-\(topic)", "\(index)")) { _ in
                                results.change { $0 += 1 }
                            }
                        }
                    }
                }
            }
        }
        _ = try await results.first("every result") { $0 == 160 ? true : nil }
        // A topic handle too many would hold the destruction for ever.
        #expect(try await onThread { bench.producer.close(until: soon(.seconds(5))) })
    }

    @Test func `a broker that is down fails the message inside its deadline and surely unstored`() async throws {
        let bench = try Bench()
        bench.cluster.setBroker(1, isUp: false)
        let (error, took) = await measured {
            await kafkaError { _ = try await bench.producer.publish(ProducerRecord("events", "a")) }
        }
        #expect(error?.code == .timedOut)
        #expect(error?.isRetriable == true)
        #expect(took < .seconds(5))
        #expect(took > .seconds(2))
        try await bench.end()
    }

    @Test func `a broker that comes back in time gets the message`() async throws {
        let bench = try Bench(.standard)
        bench.cluster.setBroker(1, isUp: false)
        async let delivery = bench.producer.publish(ProducerRecord("events", "a"))
        try await eventually("the lost connection is noticed") { bench.producer.lastTrouble != nil }
        bench.cluster.setBroker(1, isUp: true)
        #expect(try await delivery.offset == 0)
        try await bench.end()
    }

    @Test func `a message's own earlier deadline is kept, and what comes after it is counted`() async throws {
        let bench = try Bench()
        _ = try await onThread { try bench.producer.warm(topics: ["events"], timeout: .seconds(5)) }
        _ = try await bench.producer.publish(ProducerRecord("events", "warm"))
        bench.cluster.setRoundTripTime(.milliseconds(900), ofBroker: 1)
        let (error, took) = await measured {
            await kafkaError {
                _ = try await bench.producer.publish(ProducerRecord("events", "a"), deadline: soon(.milliseconds(200)))
            }
        }
        #expect(error?.code == .timedOut)
        #expect(error?.mayBeStored == true)
        #expect(took < .milliseconds(600), "\(took)")
        try await eventually("the late delivery") { bench.producer.statistics.lateDeliveries == 1 }
        try await bench.end()
    }

    @Test func `a missing topic is told by its name, inside the deadline`() async throws {
        let bench = try Bench()
        // The mock makes topics when asked, unless it is told that this one is unknown.
        bench.cluster.setTopicError("nowhere", 3)
        let (error, took) = await measured {
            await kafkaError { _ = try await bench.producer.publish(ProducerRecord("nowhere", "a")) }
        }
        #expect(error?.code == .unknownTopic, "\(String(describing: error))")
        #expect(error?.mayBeStored == false)
        #expect(took < .seconds(5))
        try await bench.end()
    }

    @Test func `a message over the limit is refused at once, on the Kafka thread`() async throws {
        let bench = try Bench()
        let record = ProducerRecord(topic: "events", key: nil, value: Bytes([UInt8](repeating: 1, count: 3 << 20)))
        let error = await kafkaError { _ = try await bench.producer.publish(record) }
        #expect(error?.code == .messageTooLarge)
        #expect(error?.isRetriable == false && error?.mayBeStored == false)
        // One webhook of 1 MiB and its headers fits.
        let fitting = ProducerRecord(topic: "events", key: nil, value: Bytes([UInt8](repeating: 1, count: 1 << 20)))
        _ = try await bench.producer.publish(fitting)
        try await bench.end()
    }

    @Test func `a full queue refuses, and takes again when it has emptied`() async throws {
        var tuning = Producer.Tuning.receiver
        tuning.queueMaxMessages = 100
        let bench = try Bench(tuning)
        bench.cluster.setBroker(1, isUp: false)
        let results = Watched<[Result<Delivery, KafkaError>]>([])
        for index in 0..<150 {
            bench.producer.send(ProducerRecord("events", "\(index)")) { result in results.change { $0.append(result) } }
        }
        let refused = try await results.first("refusals", within: .seconds(2)) { $0.count >= 50 ? $0 : nil }
        for result in refused {
            guard case .failure(let error) = result else {
                Issue.record("a success without a broker")
                continue
            }
            #expect(error.code == .queueFull && error.isRetriable && !error.mayBeStored)
        }
        #expect(bench.producer.queuedMessages == 100)
        bench.cluster.setBroker(1, isUp: true)
        _ = try await results.first("the others") { $0.count == 150 ? $0 : nil }
        _ = try await bench.producer.publish(ProducerRecord("events", "again"))
        try await bench.end()
    }

    @Test func `cancelling the wait ends it at once and leaves the message alone`() async throws {
        let bench = try Bench(.standard)
        _ = try await bench.producer.publish(ProducerRecord("events", "warm", key: "k"))
        bench.cluster.setBroker(1, isUp: false)
        let task = Task { try await bench.producer.publish(ProducerRecord("events", "a", key: "k")) }
        try await eventually("the message is inside") { bench.producer.queuedMessages == 1 }
        task.cancel()
        await #expect(throws: CancellationError.self) { _ = try await task.value }
        bench.cluster.setBroker(1, isUp: true)
        let next = try await bench.producer.publish(ProducerRecord("events", "b", key: "k"))
        #expect(next.offset == 2)
        try await bench.end()
    }

    @Test(arguments: [Int32(7), 19, 6])
    func `what a broker calls temporary is repeated inside the client`(_ code: Int32) async throws {
        let bench = try Bench()
        _ = try await bench.producer.publish(ProducerRecord("events", "warm", key: "k"))
        bench.cluster.pushRequestErrors(.produce, [code, code])
        let delivery = try await bench.producer.publish(ProducerRecord("events", "a", key: "k"))
        #expect(delivery.offset == 1)
        try await bench.end()
    }

    /// A broker takes any sequence number from a producer it has no state of, as on a partition made a moment ago: with
    /// several requests on their way it could turn the first away and store the second, from which librdkafka
    /// concludes that the first was stored too.
    @Test func `a batch that is turned away while later ones follow is stored, not merely told as stored`() async throws
    {
        let bench = try Bench()
        try await onThread { try bench.producer.warm(topics: ["events"], timeout: .seconds(5)) }
        bench.cluster.setRoundTripTime(.milliseconds(60), ofBroker: 1)
        // NOT_LEADER_OR_FOLLOWER
        bench.cluster.pushRequestErrors(.produce, [6])
        let results = Watched<[Result<Delivery, KafkaError>]>([])
        let start = MonotonicClock.system.now()
        for index in 0..<30 {
            // One batch for each: the gaps are longer than the linger.
            try await TimerQueue.shared.sleep(until: start + .milliseconds(Int64(index) * 12))
            bench.producer.send(ProducerRecord("events", "\(index)", key: "k")) { result in
                results.change { $0.append(result) }
            }
        }
        let all = try await results.first("all results") { $0.count == 30 ? $0 : nil }
        let offsets = all.compactMap { try? $0.get().offset }
        #expect(offsets.sorted() == Array(0..<30))
        try await bench.end()
    }

    @Test(arguments: [Int64(-1), -1_001])
    func `a success without an offset is no delivery, may be stored, and may be repeated`(_ offset: Int64) {
        guard case .failure(let error) = Delivery.confirmed(2, offset: offset) else {
            Issue.record("taken for a delivery")
            return
        }
        #expect(error.isRetriable && error.mayBeStored && !error.isFatal)
        let first = try? Delivery.confirmed(2, offset: 0).get()
        #expect(first == Delivery(partition: 2, offset: 0))
    }

    @Test func `what a broker refuses for good fails at once`() async throws {
        let bench = try Bench()
        _ = try await bench.producer.publish(ProducerRecord("events", "warm"))
        // TOPIC_AUTHORIZATION_FAILED
        bench.cluster.pushRequestErrors(.produce, [29])
        let (error, took) = await measured {
            await kafkaError { _ = try await bench.producer.publish(ProducerRecord("events", "a")) }
        }
        #expect(error?.code == .authorization)
        #expect(took < .seconds(2))
        try await bench.end()
    }

    @Test func `close tells every message its end, in time, when the broker is gone`() async throws {
        let bench = try Bench(.standard)
        _ = try await bench.producer.publish(ProducerRecord("events", "warm"))
        bench.cluster.setBroker(1, isUp: false)
        let results = Watched<[KafkaError.Code?]>([])
        for index in 0..<50 {
            bench.producer.send(ProducerRecord("events", "\(index)")) { result in
                results.change { list in
                    if case .failure(let error) = result { list.append(error.code) } else { list.append(nil) }
                }
            }
        }
        let (isDone, took) = try await measured {
            try await onThread { bench.producer.close(until: soon(.seconds(3))) }
        }
        #expect(isDone)
        #expect(took < .milliseconds(3_200), "\(took)")
        #expect(results.value == Array(repeating: .cancelled, count: 50))
        let error = await kafkaError { _ = try await bench.producer.publish(ProducerRecord("events", "late")) }
        #expect(error?.code == .closed)
    }

    @Test func `close waits for what can be delivered`() async throws {
        let bench = try Bench()
        _ = try await bench.producer.publish(ProducerRecord("events", "warm"))
        bench.cluster.setRoundTripTime(.milliseconds(300), ofBroker: 1)
        let results = Watched<[Bool]>([])
        for index in 0..<20 {
            bench.producer.send(ProducerRecord("events", "\(index)")) { result in
                results.change { list in
                    if case .success = result { list.append(true) } else { list.append(false) }
                }
            }
        }
        #expect(try await onThread { bench.producer.close(until: soon(.seconds(5))) })
        #expect(results.value == Array(repeating: true, count: 20))
    }

    @Test func `flush waits for what was sent and no longer`() async throws {
        let bench = try Bench(.standard)
        bench.producer.send(ProducerRecord("events", "a")) { _ in }
        #expect(try await onThread { bench.producer.flush(until: soon(.seconds(5))) })
        #expect(bench.producer.queuedMessages == 0)
        bench.cluster.setBroker(1, isUp: false)
        bench.producer.send(ProducerRecord("events", "b")) { _ in }
        let (isDone, took) = try await measured {
            try await onThread { bench.producer.flush(until: soon(.milliseconds(300))) }
        }
        #expect(!isDone && took < .seconds(2))
        try await bench.end()
    }

    @Test func `a fatal error fails what waits as retriable, and the next message meets a new handle`() async throws {
        let bench = try Bench(.standard)
        _ = try await bench.producer.publish(ProducerRecord("events", "warm", key: "k"))
        bench.cluster.setRoundTripTime(.milliseconds(700), ofBroker: 1)
        let results = Watched<[Result<Delivery, KafkaError>]>([])
        bench.producer.send(ProducerRecord("events", "a", key: "k")) { result in results.change { $0.append(result) } }
        bench.producer.raiseFatalError()
        let result = try await results.first("its end", within: .seconds(10)) { $0.first }
        guard case .failure(let error) = result else {
            Issue.record("delivered by a dead handle")
            return
        }
        #expect(error.isRetriable && !error.isFatal, "\(error)")
        bench.cluster.setRoundTripTime(.zero, ofBroker: 1)
        try await eventually("the new handle") { bench.producer.statistics.replacedHandles == 1 }
        _ = try await bench.producer.publish(ProducerRecord("events", "b", key: "k"))
        #expect(bench.fatal.value.isEmpty)
        try await bench.end()
    }

    @Test func `three fatal errors in a minute are told`() async throws {
        let bench = try Bench(.standard)
        for count in 1...3 {
            _ = try await bench.producer.publish(ProducerRecord("events", "\(count)"))
            bench.producer.raiseFatalError()
            try await eventually("handle \(count + 1)") { bench.producer.statistics.replacedHandles == count }
            #expect(bench.fatal.value.count == (count == 3 ? 1 : 0) || count == 3)
        }
        let told = try await bench.fatal.first("the end is told") { $0.first }
        #expect(told.isFatal && told.code == .fatal)
        try await bench.end()
    }

    @Test func `topics are ready when their leaders answer, and not when the broker is gone`() async throws {
        let bench = try Bench()
        #expect(bench.producer.topicsReady(["events"])["events"]?.isReady == false)
        try await onThread { try bench.producer.warm(topics: ["events"], timeout: .seconds(5)) }
        let ready = try #require(bench.producer.topicsReady(["events"])["events"])
        #expect(ready.isReady && ready.partitions == 3 && ready.leaderless == 0)
        bench.cluster.setBroker(1, isUp: false)
        let (_, down) = try await measured {
            try await eventually("noticed") { bench.producer.topicsReady(["events"])["events"]?.isReady == false }
        }
        #expect(down < .seconds(5), "\(down)")
        bench.cluster.setBroker(1, isUp: true)
        try await eventually("back") { bench.producer.topicsReady(["events"])["events"]?.isReady == true }
        try await bench.end()
    }

    @Test func `warming a topic that is not there names the fault and goes on watching`() async throws {
        let bench = try Bench()
        bench.cluster.setTopicError("later", 3)
        let error = await kafkaError {
            try await onThread { try bench.producer.warm(topics: ["events", "later"], timeout: .seconds(3)) }
        }
        #expect(error?.code == .unknownTopic)
        #expect(bench.producer.topicsReady(["later"])["later"]?.isReady == false)
        bench.cluster.setTopicError("later", 0)
        try await eventually("the topic has come") { bench.producer.topicsReady(["later"])["later"]?.isReady == true }
        try await bench.end()
    }

    @Test func `a warmed topic's first message takes no second`() async throws {
        let bench = try Bench()
        try await onThread { try bench.producer.warm(topics: ["events"], timeout: .seconds(5)) }
        _ = try await bench.producer.publish(ProducerRecord("events", "sequence", key: "k"))
        let (_, took) = try await measured { try await bench.producer.publish(ProducerRecord("events", "a", key: "k")) }
        #expect(took < .milliseconds(400), "\(took)")
        try await bench.end()
    }

    @Test func `a producer starts without a broker and says nothing to standard error`() async throws {
        let producer = try Producer(
            settings: KafkaSettings(bootstrapServers: "127.0.0.1:1", clientID: "t"),
            tuning: .receiver
        )
        let error = await kafkaError {
            try await onThread { try producer.warm(topics: ["events"], timeout: .milliseconds(500)) }
        }
        #expect(error?.isRetriable == true)
        let (isDone, took) = try await measured { try await onThread { producer.close(until: soon(.seconds(4))) } }
        #expect(isDone && took < .seconds(4))
    }

    @Test func `librdkafka's log lines come to the closure`() async throws {
        let bench = try Bench(properties: [("debug", "broker")])
        _ = try await bench.producer.publish(ProducerRecord("events", "a"))
        let line = try await bench.logged.first("a line") { $0.first }
        #expect((0...7).contains(line.level) && !line.facility.isEmpty && !line.message.isEmpty)
        try await bench.end()
    }

    @Test func `statistics count messages and requests`() async throws {
        let bench = try Bench()
        for index in 0..<200 { bench.producer.send(ProducerRecord("events", "\(index)", key: "k")) { _ in } }
        try await eventually("the report") { bench.producer.statistics.messagesTransmitted == 200 }
        let statistics = bench.producer.statistics
        #expect(statistics.brokersUp == 1 && statistics.brokersKnown == 1)
        #expect(statistics.produceRequests >= 1 && statistics.messagesPerRequest > 1)
        try await bench.end()
    }

    @Test func `a dropped producer ends its thread and tells what waits`() async throws {
        let cluster = try MockCluster()
        let results = Watched<[KafkaError.Code]>([])
        do {
            let producer = try Producer(
                settings: KafkaSettings(bootstrapServers: "127.0.0.1:1", clientID: "t"),
                tuning: .standard
            )
            producer.send(ProducerRecord("events", "a")) { result in
                if case .failure(let error) = result { results.change { $0.append(error.code) } }
            }
        }
        #expect(try await results.first("its end", within: .seconds(5)) { $0.first } == .cancelled)
        cluster.close()
    }
}
