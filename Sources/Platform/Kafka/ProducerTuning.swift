// The producer's settings: one set for the receiver, whose answer waits for them, one for everybody else.

package import Basics

extension Producer {
    package struct Tuning: Sendable {
        /// From `send` to the broker's acknowledgement, retries included; then the message has failed.
        package var deliveryTimeout: Duration
        /// What the result may come late: librdkafka looks for expired messages once a second.
        package var reportSlack: Duration
        /// How long a broker may take to gather its replicas.
        package var requestTimeout: Duration
        /// An unanswered request of this age costs the connection.
        package var socketTimeout: Duration
        package var linger: Duration
        package var queueMaxMessages: Int
        package var queueMaxBytes: ByteCount
        package var maxMessageBytes: ByteCount
        /// Longest pause between attempts to reach a broker. The library's own 10 s would mean that the broker is
        /// back and we are not.
        package var reconnectBackoffMax: Duration
        package var metadataRefresh: Duration
        /// How often librdkafka reports broker states and counters.
        package var statisticsInterval: Duration

        /// The result comes before the webhook's 5 s are over, whatever the broker does.
        package static let receiver = Tuning(
            deliveryTimeout: .milliseconds(3_800),
            reportSlack: .seconds(1),
            requestTimeout: .seconds(2),
            socketTimeout: .seconds(3),
            linger: .milliseconds(5),
            queueMaxMessages: 10_000,
            queueMaxBytes: ByteCount(64 << 20),
            maxMessageBytes: ByteCount(2 << 20),
            reconnectBackoffMax: .seconds(1),
            metadataRefresh: .seconds(30),
            statisticsInterval: .seconds(1)
        )

        /// For consumers, which repeat what timed out.
        package static let standard = Tuning(
            deliveryTimeout: .seconds(30),
            reportSlack: .seconds(2),
            requestTimeout: .seconds(10),
            socketTimeout: .seconds(10),
            linger: .milliseconds(5),
            queueMaxMessages: 10_000,
            queueMaxBytes: ByteCount(64 << 20),
            maxMessageBytes: ByteCount(2 << 20),
            reconnectBackoffMax: .seconds(1),
            metadataRefresh: .seconds(30),
            statisticsInterval: .seconds(5)
        )

        /// What an operator may change by `KAFKA_CONFIG_FILE`.
        var defaults: [(String, String)] {
            [
                ("request.timeout.ms", "\(requestTimeout.inMilliseconds)"),
                ("socket.timeout.ms", "\(socketTimeout.inMilliseconds)"),
                // The library's 30 s would make a black hole out of one dead address.
                ("socket.connection.setup.timeout.ms", "3000"),
                ("reconnect.backoff.max.ms", "\(reconnectBackoffMax.inMilliseconds)"),
                ("retry.backoff.ms", "50"),
                ("linger.ms", "\(linger.inMilliseconds)"),
                // Off by default before 2.10: small requests would wait for acknowledgements of TCP.
                ("socket.nagle.disable", "true"),
                // Java's partitioner, so that other clients' keys meet ours.
                ("partitioner", "murmur2_random"),
                ("queue.buffering.max.messages", "\(queueMaxMessages)"),
                ("queue.buffering.max.kbytes", "\(queueMaxBytes.bytes / 1024)"),
                ("message.max.bytes", "\(maxMessageBytes.bytes)"),
                ("topic.metadata.refresh.interval.ms", "\(metadataRefresh.inMilliseconds)"),
                // A missing topic is told inside the delivery time-out, not made with wrong settings.
                ("allow.auto.create.topics", "false"),
                ("topic.metadata.propagation.max.ms", "1000"),
            ]
        }

        /// What the promises rest on.
        var pinned: [(String, String)] {
            [
                ("acks", "all"),
                ("enable.idempotence", "true"),
                // One request on its way to a broker: with more, a broker that has no state of this producer yet (a
                // partition made or moved a moment ago) may turn the first away and store the second, from which the
                // library concludes that the first was stored too. Batches grow instead.
                ("max.in.flight.requests.per.connection", "1"),
                ("message.timeout.ms", "\(deliveryTimeout.inMilliseconds)"),
                ("statistics.interval.ms", "\(statisticsInterval.inMilliseconds)"),
            ]
        }
    }
}
