// The receiver's service alone, between a Plaid and a Kafka of the test's.

import Basics
import PipelineEvents
import PlaidAPI
import ServiceKit

@testable import WebhookReceiver

extension ReceiverService {
    /// For the sandbox environment, with the system's clocks and a log that nobody reads.
    static func between(_ plaid: any PlaidTransport, _ sink: any WebhookSink, topics: Topics) -> ReceiverService {
        let metrics = ReceiverMetrics(MetricsRegistry(), wallClock: .system)
        let advice = Locked(RetryAdvice())
        let logger = Logger(
            label: "test",
            destination: LogDestination(format: .json, level: .critical, service: "test") { _ in }
        )
        return ReceiverService(
            environment: .sandbox,
            topics: topics,
            limits: .init(),
            verifier: WebhookVerifier(),
            keys: KeyService(
                plaid: PlaidClient(
                    http: plaid,
                    baseURL: "http://plaid.test",
                    credentials: PlaidCredentials(clientID: "client-1", secret: Secret("hush"))
                ),
                advice: advice,
                clock: .system,
                wallClock: .system,
                metrics: metrics,
                logger: logger
            ),
            sink: sink,
            advice: advice,
            metrics: metrics,
            health: PublicHealth { false },
            logger: logger,
            clock: .system,
            wallClock: .system
        )
    }
}
