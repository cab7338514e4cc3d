// The consumer's settings, measured for slow work on big records.

package import Basics

extension Consumer {
    package struct Tuning: Sendable {
        /// Without a heartbeat for this long the group gives our partitions to others.
        package var sessionTimeout: Duration
        /// Also the time a handover takes: members learn of a rebalance by their next heartbeat.
        package var heartbeatInterval: Duration
        /// Without a poll for this long we leave the group by ourselves.
        package var maxPollInterval: Duration
        /// What librdkafka may fetch ahead, in all: the bound on memory.
        package var queuedMaxKilobytes: Int
        /// Fetching ahead stops at this many records of a partition. At 1,000 and below 2.0.2 stalls for a second
        /// again and again: memory is bounded by bytes instead.
        package var queuedMinMessages: Int
        package var fetchMaxBytesPerPartition: ByteCount
        /// How long a broker holds an empty answer.
        package var fetchWaitMax: Duration
        package var socketTimeout: Duration
        package var reconnectBackoffMax: Duration
        /// A missing topic is looked for this often.
        package var metadataRefresh: Duration
        package var statisticsInterval: Duration
        /// How long giving up partitions may wait for the commit of what is done.
        package var revokeCommitLimit: Duration

        package static let standard = Tuning(
            sessionTimeout: .seconds(45),
            heartbeatInterval: .seconds(1),
            maxPollInterval: .seconds(300),
            queuedMaxKilobytes: 16_384,
            queuedMinMessages: 10_000,
            fetchMaxBytesPerPartition: ByteCount(1 << 20),
            fetchWaitMax: .milliseconds(100),
            socketTimeout: .seconds(10),
            reconnectBackoffMax: .seconds(1),
            metadataRefresh: .seconds(10),
            statisticsInterval: .seconds(5),
            revokeCommitLimit: .seconds(5)
        )

        /// For the mock cluster, which holds a whole answer for the fetch wait and re-balances by the session timeout.
        package static let embedded: Tuning = {
            var tuning = Tuning.standard
            tuning.sessionTimeout = .seconds(6)
            tuning.heartbeatInterval = .milliseconds(500)
            tuning.fetchWaitMax = .milliseconds(10)
            tuning.statisticsInterval = .seconds(1)
            return tuning
        }()

        /// What an operator may change by `KAFKA_CONFIG_FILE`.
        var defaults: [(String, String)] {
            [
                ("session.timeout.ms", "\(sessionTimeout.inMilliseconds)"),
                ("heartbeat.interval.ms", "\(heartbeatInterval.inMilliseconds)"),
                ("max.poll.interval.ms", "\(maxPollInterval.inMilliseconds)"),
                ("queued.min.messages", "\(queuedMinMessages)"),
                ("queued.max.messages.kbytes", "\(queuedMaxKilobytes)"),
                ("fetch.message.max.bytes", "\(fetchMaxBytesPerPartition.bytes)"),
                ("fetch.wait.max.ms", "\(fetchWaitMax.inMilliseconds)"),
                ("socket.timeout.ms", "\(socketTimeout.inMilliseconds)"),
                ("socket.connection.setup.timeout.ms", "3000"),
                ("reconnect.backoff.max.ms", "\(reconnectBackoffMax.inMilliseconds)"),
                ("socket.nagle.disable", "true"),
                ("topic.metadata.refresh.interval.ms", "\(metadataRefresh.inMilliseconds)"),
                ("isolation.level", "read_committed"),
                ("check.crcs", "true"),
                ("allow.auto.create.topics", "false"),
                // Members with `range` and with cooperative-sticky cannot be in one group, and below 2.10.1 the
                // latter loses assignments: the operator switches, with the group stopped.
                ("partition.assignment.strategy", "range"),
            ]
        }

        /// What the promises rest on.
        func pinned(group: String) -> [(String, String)] {
            [
                ("group.id", group),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "earliest"),
                ("enable.partition.eof", "false"),
                ("statistics.interval.ms", "\(statisticsInterval.inMilliseconds)"),
            ]
        }
    }
}
