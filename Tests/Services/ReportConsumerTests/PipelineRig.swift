// The whole consumer in this process: real client library on mock brokers, real database, scripted Plaid; wired as the
// program wires it.

import Basics
import Kafka
import PipelineEvents
import PlaidAPI
import ReportStore
import ServiceKit
import Testing
import WorkerKit

@testable import Kafka
@testable import ReportConsumer

/// Keeps what the runtime tells, on its way to the metrics.
final class WatchingObserver: WorkerObserver {
    private let metrics: ReportConsumerMetrics
    let committed = Locked<[TopicPartition: Int64]>([:])
    let news = AsyncMailbox<WorkerObservation>(capacity: 100_000)

    init(_ metrics: ReportConsumerMetrics) { self.metrics = metrics }

    func observe(_ observation: WorkerObservation) {
        metrics.observe(observation)
        if case .committed(let offsets) = observation {
            committed.withLock { $0.merge(offsets) { max($0, $1) } }
        }
        _ = news.push(observation)
    }
}

/// Takes every record of some topics as it comes.
final class Downstream: ConsumerHandler {
    let records = AsyncMailbox<ConsumerRecord>(capacity: 100_000)
    func assigned(_ partitions: [TopicPartition], epoch: UInt64) {}
    func revoked(
        _ partitions: [TopicPartition],
        lost: Bool,
        wait: (MonotonicInstant, () -> Bool) -> Void
    ) -> [TopicPartition: Int64] { [:] }
    func received(_ record: ConsumerRecord) { _ = records.push(record) }
    func commitCompleted(_ offsets: [TopicPartition: Int64], error: KafkaError?) {}
    func tick(_ now: MonotonicInstant) {}
    func consumerError(_ error: KafkaError) {}

    func next() async throws -> ConsumerRecord { try await within { [records] in await records.next() } }
}

/// Brokers in this process with the topics of one consumer.
struct Brokers {
    let cluster: MockCluster
    let topics = Topics(prefix: "t.")
    let group = ConsumerGroup.baseReport
    let producer: Producer
    private let sent = Locked<[TopicPartition: Int64]>([:])

    var settings: KafkaSettings { KafkaSettings(bootstrapServers: cluster.bootstrapServers, clientID: "tests") }

    static func with<Value>(_ body: (Brokers) async throws -> Value) async throws -> Value {
        let cluster = try MockCluster(brokers: 1)
        defer { cluster.close() }
        let brokers = try Brokers(cluster)
        do {
            let value = try await body(brokers)
            try await brokers.close()
            return value
        } catch {
            try await brokers.close()
            throw error
        }
    }

    private init(_ cluster: MockCluster) throws {
        self.cluster = cluster
        for (topic, partitions) in [
            (topics.checkReport, 3), (topics.retry(group: group), 1), (topics.deadLetters(group: group), 1),
            (topics.reports(.baseReport), 1),
        ] { try cluster.createTopic(topic, partitions: partitions) }
        producer = try Producer(
            settings: KafkaSettings(bootstrapServers: cluster.bootstrapServers, clientID: "tests"),
            tuning: .standard
        )
    }

    private func close() async throws {
        let producer = producer
        _ = try await onThread { producer.close(until: soon(5)) }
    }

    /// Publishes a webhook as the receiver does.
    func publish(_ body: String, user: String?, at received: Timestamp = moment(0)) async throws {
        let delivery = try await producer.publish(
            ProducerRecord(
                topic: topics.checkReport,
                key: user.map { Array($0.utf8) },
                value: Bytes(utf8: body),
                headers: Rig.headers(body, received)
            )
        )
        let partition = TopicPartition(topic: topics.checkReport, partition: delivery.partition)
        sent.withLock { $0[partition] = max($0[partition] ?? 0, delivery.offset + 1) }
    }

    /// What is to be committed when every webhook published so far is done.
    var ends: [TopicPartition: Int64] { sent.withLock { $0 } }

    /// Reads some topics from their beginning.
    func reading<Value>(_ topics: [String], _ body: (Downstream) async throws -> Value) async throws -> Value {
        let downstream = Downstream()
        let consumer = try Consumer(
            settings: settings,
            group: "downstream",
            topics: topics,
            tuning: .embedded,
            handler: downstream
        )
        consumer.start()
        do {
            let value = try await body(downstream)
            _ = try await onThread { consumer.close(until: soon(5)) }
            return value
        } catch {
            _ = try await onThread { consumer.close(until: soon(5)) }
            throw error
        }
    }
}

/// One running consumer.
struct RunningConsumer {
    let rig: Rig
    let observer: WatchingObserver
    let runtime: ConsumerRuntime

    init(_ rig: Rig, _ brokers: Brokers, logger: Logger) throws {
        self.rig = rig
        let metrics = ReportConsumerMetrics(MetricsRegistry(), logger: logger)
        observer = WatchingObserver(metrics)
        let reader = rig.reader
        let topics = brokers.topics
        let settings = brokers.settings
        runtime = ConsumerRuntime(
            configuration: ConsumerRuntime.Configuration(
                core: WorkerCore.Settings(
                    group: topics.groupID(brokers.group),
                    limits: AdmissionLimits(maxInFlight: 32),
                    gaps: RetryGaps(base: .milliseconds(10), max: .milliseconds(200))
                )
            ),
            service: ConsumerRuntime.Service(
                handler: rig.handler,
                deadLetters: GroupDeadLetters(
                    producer: brokers.producer,
                    topic: topics.deadLetters(group: brokers.group),
                    repository: DeadLetterRepository(pool: rig.database.pool),
                    clock: .system,
                    metrics: metrics,
                    logger: logger
                ),
                observer: observer,
                describe: { reader.describe($0) }
            )
        )
        try runtime.start { handler in
            try Consumer(
                settings: settings,
                group: topics.groupID(brokers.group),
                topics: [topics.checkReport, topics.retry(group: brokers.group)],
                tuning: .embedded,
                handler: handler
            )
        }
    }

    /// Waits for a piece of news.
    func news(_ isWanted: @escaping @Sendable (WorkerObservation) -> Bool) async throws {
        _ = try await within { [observer] in
            while let next = await observer.news.next() { if isWanted(next) { return true } }
            return nil
        }
    }

    /// Waits until these offsets are committed.
    func committed(_ ends: [TopicPartition: Int64]) async throws {
        let observer = observer
        while !ends.allSatisfy({ partition, end in observer.committed.withLock { $0[partition] == end } }) {
            try await news { if case .committed = $0 { true } else { false } }
        }
    }

    func stop() async throws -> Bool {
        try await onThread { [runtime] in runtime.stop(until: soon(15)) }
    }
}
