// The program: what it reads, what it is made of, in which order that starts.

import Basics
import HTTPClient
import HTTPServer
import Kafka
import PipelineEvents
import PlaidAPI
import ServiceKit

/// `webhook-receiver`.
package enum WebhookReceiverProgram {
    package static func main() -> Never {
        Program.run(
            name: "webhook-receiver",
            summary: "verifies Plaid's webhooks and publishes each to Kafka; its 200 means that the broker has it",
            settings: Setting.publicListener + [Setting.maxBody] + Setting.kafka + Setting.plaid,
            build: build
        )
    }

    /// Look-ups of verification keys are rare: one at a time per key, a few keys.
    private static let keyLookupsInFlight = 16
    /// How long one attempt to see the topics may take while they are waited for.
    private static let warmLimit = Duration.seconds(4)

    /// Room beside the body for key, headers and the token.
    private static let headerRoom = 1 << 20
    /// Room for all bodies above 32 KiB together. A webhook is smaller by far, so this is what a hostile crowd can make
    /// the process hold: the server's own bound would be half of all its memory.
    private static let largeBodies = ByteCount(8 << 20)

    private static func build(_ context: ProgramContext) throws {
        let settings = context.settings
        let topics = Topics(prefix: settings[Setting.topicPrefix])
        let advice = Locked(RetryAdvice())
        let metrics = ReceiverMetrics(context.metrics, wallClock: .system)
        let publicHealth = PublicHealth { [health = context.health] in health.isDraining }

        var tuning = Producer.Tuning.receiver
        // A body of MAX_BODY with its headers must fit one message; the topics' own limit is the operator's to raise.
        tuning.maxMessageBytes = max(tuning.maxMessageBytes, ByteCount(settings[Setting.maxBody].bytes + headerRoom))
        let producer = try context.addProducer(tuning: tuning)
        let http = try context.addHTTPClient("plaid", settings.plaidHTTPClient(maxInFlight: keyLookupsInFlight))
        let plaid = settings.plaidClient(http)
        let keys = KeyService(
            plaid: plaid,
            advice: advice,
            clock: .system,
            wallClock: .system,
            metrics: metrics,
            logger: context.logger.labelled("keys")
        )
        var limits = ReceiverService.Limits()
        limits.bodyBytes = settings[Setting.maxBody].bytes
        let service = ReceiverService(
            environment: settings.plaidEnvironment,
            topics: topics,
            limits: limits,
            verifier: WebhookVerifier(),
            keys: keys,
            sink: producer,
            advice: advice,
            metrics: metrics,
            health: publicHealth,
            logger: context.logger.labelled("receiver"),
            clock: .system,
            wallClock: .system
        )
        context.add(
            waitFor: "topics",
            attempt: { _ in try producer.warm(topics: topics.webhooks, timeout: warmLimit) },
            arrived: { publicHealth.succeeded() }
        )
        context.health.measure("kafka") { ReceiverHealth.kafka(producer.topicsReady(topics.webhooks)) }
        context.health.measure("clock") { ReceiverHealth.clock(keys) }
        context.metrics.gauge("check_pipeline_verification_keys", help: "Verification keys held") {
            Double(keys.keyCount)
        }
        var serverLimits = settings.httpServerLimits
        serverLimits.largeBodyBytes = max(largeBodies.bytes, 2 * settings[Setting.maxBody].bytes)
        serverLimits.overloadAnswer = .empty(429, retryAfter: Int(RetryAdvice.ordinary.inSeconds))
        try context.addPublicListener(service: service, limits: serverLimits)
    }
}

/// Readiness, measured now.
enum ReceiverHealth {
    /// The clocks agree, or have not been compared. A doubt is looked into for the next time somebody asks.
    static func clock(_ keys: KeyService) -> HealthState {
        keys.probeClock()
        return keys.clockTrust == .off ? .failing("this machine's clock differs from Plaid's") : .passing
    }

    /// Every webhook topic has reachable leaders.
    static func kafka(_ topics: [String: TopicReadiness]) -> HealthState {
        let missing = topics.filter { !$0.value.isReady }.sorted { $0.key < $1.key }
        guard let (name, topic) = missing.first else { return topics.isEmpty ? .failing("not yet measured") : .passing }
        let why =
            if let error = topic.error {
                error.message
            } else if topic.measuredAt == nil {
                "not yet measured"
            } else {
                "\(topic.leaderless) partitions without a leader, \(topic.unreachable) with one that cannot be reached"
            }
        return .failing("\(name): \(why)")
    }
}
