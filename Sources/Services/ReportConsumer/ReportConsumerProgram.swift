// The program behind the three executables: what it reads, what it is made of, in which order that starts.

import Basics
import Cryptography
import HTTPClient
import Kafka
import PipelineEvents
package import PlaidAPI
import Postgres
import ReportStore
import ServiceKit
import WorkerKit

/// `base-report-consumer`, `income-insights-consumer`, `partner-insights-consumer`.
package enum ReportConsumerProgram {
    package static func main(_ product: ReportProduct) -> Never {
        Program.run(
            name: ConsumerGroup(fetching: product).rawValue,
            summary:
                "fetches \(summary(product)) from Plaid when a webhook says it is ready, and stores it as received",
            settings: Setting.kafka + Setting.database + Setting.plaid + [
                Setting.encryptionKeys, Setting.maxInFlight, Setting.maxInFlightBytes, Setting.retryBase,
                Setting.retryMax, Setting.reportLifetime, Setting.notReadySchedule, Setting.expectedProducts,
            ]
        ) { context in try build(product, context) }
    }

    private static func summary(_ product: ReportProduct) -> String {
        switch product {
        case .baseReport: "the base report"
        case .incomeInsights: "income insights"
        case .partnerInsights: "partner insights"
        }
    }

    private static func build(_ product: ReportProduct, _ context: ProgramContext) throws {
        let settings = context.settings
        let environment = settings.plaidEnvironment
        let group = ConsumerGroup(fetching: product)
        let topics = Topics(prefix: settings[Setting.topicPrefix])
        let metrics = ReportConsumerMetrics(context.metrics, logger: context.logger.labelled("worker"))

        let pool = try context.addPostgresPool()
        let producer = try context.addProducer(tuning: .standard)
        let budget = BodyBudget(limit: settings[Setting.maxInFlightBytes].bytes)
        let maxInFlight = settings[Setting.maxInFlight]
        let http = try context.addHTTPClient(
            "plaid",
            settings.plaidHTTPClient(maxInFlight: maxInFlight, bodyBudget: budget)
        )
        context.metrics.gauge("check_pipeline_body_bytes", help: "Bytes of report bodies held") { Double(budget.used) }

        let handler = ReportHandler(
            product: product,
            environment: environment,
            expected: settings[Setting.expectedProducts],
            plaid: settings.plaidClient(http),
            reports: ReportRepository(pool: pool, environment: environment),
            requests: RequestRepository(pool: pool, environment: environment),
            users: UserRepository(pool: pool, keyRing: settings[Setting.encryptionKeys], environment: environment),
            announcer: TopicAnnouncer(
                producer: producer,
                environment: environment,
                group: group,
                topic: topics.reports(product)
            ),
            table: OutcomeTable(notReadySchedule: settings[Setting.notReadySchedule]),
            report: HandlerReport(
                product: product,
                metrics: metrics,
                logger: context.logger.labelled("reports"),
                logHash: context.logHash
            ),
            databaseIsAvailable: { pool.state.isAvailable },
            wall: .system,
            clock: .system
        )
        let worker = Worker(context: context, group: group, pool: pool)
        let envelope = EnvelopeReader(
            product: product,
            environment: environment,
            expected: settings[Setting.expectedProducts],
            lifetime: settings[Setting.reportLifetime]
        )
        let runtime = ConsumerRuntime(
            configuration: ConsumerRuntime.Configuration(
                core: WorkerCore.Settings(
                    group: topics.groupID(group),
                    limits: AdmissionLimits(maxInFlight: maxInFlight),
                    gaps: RetryGaps(base: settings[Setting.retryBase], max: settings[Setting.retryMax])
                )
            ),
            service: ConsumerRuntime.Service(
                handler: handler,
                deadLetters: GroupDeadLetters(
                    producer: producer,
                    topic: topics.deadLetters(group: group),
                    repository: DeadLetterRepository(pool: pool),
                    clock: .system,
                    metrics: metrics,
                    logger: context.logger.labelled("dead-letters")
                ),
                observer: metrics,
                describe: { envelope.describe($0) },
                heartbeat: { await worker.beat($0) }
            )
        )
        RuntimeGauges.register(runtime, in: context.metrics, wall: .system)
        let kafka = try settings.kafkaSettings(clientID: context.name)
        let log = context.logger.labelled("kafka").kafkaLog
        worker.run(runtime) { handler in
            try Consumer(
                settings: kafka,
                group: topics.groupID(group),
                topics: [topics.checkReport, topics.retry(group: group)],
                tuning: .standard,
                handler: handler,
                log: log
            )
        }
    }
}
