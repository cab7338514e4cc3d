// Whether the topics that a producer needs have leaders now: measured again and again by a thread of its own.

package import Basics

/// What was last measured of one topic.
package struct TopicReadiness: Sendable {
    package let partitions: Int
    /// Partitions without a leader.
    package let leaderless: Int
    /// Partitions whose leader cannot be reached from here.
    package let unreachable: Int
    /// Why the last measurement gave nothing, or why the topic is not there.
    package let error: KafkaError?
    /// Nil when nothing was measured yet.
    package let measuredAt: MonotonicInstant?
    /// Every partition has a reachable leader, measured within the last ``TopicWatch/freshness``.
    package let isReady: Bool
}

/// Asks for each watched topic's metadata every two seconds, and at once after a lost connection.
///
/// A stopped broker keeps its connections, so silence proves nothing: only an answer does.
final class TopicWatch: Sendable {
    private struct Measurement {
        var leaders: [Int32] = []
        var error: KafkaError?
        var measuredAt: MonotonicInstant?
    }
    private struct State {
        var topics: [String: Measurement] = [:]
        /// Brokers that the statistics call unreachable.
        var unreachable: Set<Int32> = []
        var isRunning = false
        var isClosed = false
    }

    static let interval = Duration.seconds(2)
    static let answerLimit = Duration.seconds(2)
    /// Between two rounds, however often connections are lost.
    static let shortestPause = Duration.milliseconds(200)
    /// Older measurements say nothing about now.
    static let freshness = Duration.seconds(5)

    private let state = Locked(State())
    private let kick = EventDescriptor()
    private let closing = Latch()
    private let clock: MonotonicClock
    private let ask: @Sendable (String, Duration) -> Result<TopicMetadata, KafkaError>?

    init(
        clock: MonotonicClock,
        ask: @escaping @Sendable (_ topic: String, _ timeout: Duration) -> Result<TopicMetadata, KafkaError>?
    ) {
        self.clock = clock
        self.ask = ask
    }

    /// Begins to watch these topics too, with the first call on a new thread.
    func watch(_ topics: [String]) {
        let mustStart = state.withLock { state in
            for topic in topics where state.topics[topic] == nil && state.topics.count < ProducerHandle.maxTopics {
                state.topics[topic] = Measurement()
            }
            guard !state.isRunning, !state.isClosed else { return false }
            state.isRunning = true
            return true
        }
        // Ends by itself after `close`, within the answer limit: nobody joins it.
        if mustStart { _ = WorkerThread(name: "kafka-topics") { [self] in run() } }
    }

    /// Asks one topic on the calling thread, blocking up to `timeout`, and keeps what was found.
    func measure(_ topic: String, timeout: Duration) -> KafkaError? {
        guard let result = ask(topic, timeout) else { return KafkaError(.closed, "the producer is closed") }
        let now = clock.now()
        return state.withLock { state in
            switch result {
            case .success(let metadata):
                let leaders = metadata.partitions.map(\.leader)
                state.topics[topic] = Measurement(leaders: leaders, error: nil, measuredAt: now)
                return nil
            case .failure(let error):
                state.topics[topic] = Measurement(leaders: [], error: error, measuredAt: now)
                return error
            }
        }
    }

    func brokersChanged(_ brokers: [ClientStatistics.Broker]) {
        let unreachable = Set(brokers.filter { !$0.isReachable }.map { Int32(clamping: $0.nodeID) })
        state.withLock { $0.unreachable = unreachable }
    }

    /// Measures soon: a connection was lost, or the handle is new.
    func wake() { kick.signal() }

    func close() {
        state.withLock { $0.isClosed = true }
        closing.open()
        kick.signal()
    }

    /// What is known, without waiting. Topics not yet watched are from now on.
    func snapshot(_ topics: [String]) -> [String: TopicReadiness] {
        let now = clock.now()
        let (readiness, isMissing) = state.withLock { state in
            var readiness: [String: TopicReadiness] = [:]
            var isMissing = !state.isRunning
            for topic in topics {
                let known = state.topics[topic]
                if known == nil { isMissing = true }
                let measurement = known ?? Measurement()
                let leaderless = measurement.leaders.count { $0 < 0 }
                let unreachable = measurement.leaders.count { state.unreachable.contains($0) }
                let isFresh = measurement.measuredAt.map { now - $0 < Self.freshness } ?? false
                readiness[topic] = TopicReadiness(
                    partitions: measurement.leaders.count,
                    leaderless: leaderless,
                    unreachable: unreachable,
                    error: measurement.error,
                    measuredAt: measurement.measuredAt,
                    isReady: isFresh && measurement.error == nil && !measurement.leaders.isEmpty && leaderless == 0
                        && unreachable == 0
                )
            }
            return (readiness, isMissing)
        }
        if isMissing { watch(topics) }
        return readiness
    }

    private func run() {
        while true {
            let started = clock.now()
            let topics = state.withLock { $0.isClosed ? [] : Array($0.topics.keys) }
            for topic in topics {
                // When one got no answer, the others will not either: tell them so at once.
                if let error = measure(topic, timeout: Self.answerLimit), isUnanswered(error) {
                    failOthers(error, besides: topic)
                    break
                }
            }
            if state.withLock({ $0.isClosed }) { return }
            _ = kick.wait(until: started + Self.interval)
            kick.drain()
            if state.withLock({ $0.isClosed }) { return }
            _ = closing.wait(until: started + Self.shortestPause)
        }
    }

    private func isUnanswered(_ error: KafkaError) -> Bool {
        switch error.code {
        case .timedOut, .transport, .closed, .nameResolution, .tls, .authentication: true
        default: false
        }
    }

    private func failOthers(_ error: KafkaError, besides topic: String) {
        let now = clock.now()
        state.withLock { state in
            for name in state.topics.keys where name != topic {
                state.topics[name] = Measurement(leaders: [], error: error, measuredAt: now)
            }
        }
    }
}
