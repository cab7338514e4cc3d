// What commands reach for, opened for one command and closed behind it. Nothing is waited for longer than a person
// would: a dependency that is away ends the command with 69 and one line.

import Basics
import Kafka
import PipelineEvents
import Postgres
import ReportStore
import ServiceKit

extension CommandInvocation {
    /// How long a command waits for its first answer from Postgres or Kafka.
    static let reachLimit = Duration.seconds(5)
    /// How long one statement or request may take.
    static let workLimit = Duration.seconds(60)

    func soon(_ limit: Duration = CommandInvocation.workLimit) -> MonotonicInstant {
        MonotonicClock.system.now() + limit
    }

    /// Opens the database for `body`, after a look at its schema.
    func withDatabase<Value: Sendable>(_ body: (PostgresPool) async throws -> Value) async throws -> Value {
        var poolSettings = settings.poolSettings(applicationName: "checkctl")
        poolSettings.generalConnections = 1
        poolSettings.writeLanes = 1
        poolSettings.largeLane = false
        let pool: PostgresPool
        do {
            pool = try PostgresPool(settings: poolSettings, onEvent: logger.labelled("postgres").poolEvents)
        } catch {
            throw ConfigurationError(Setting.databaseURL.name, "is malformed; expected a libpq connection string")
        }
        pool.start()
        defer { pool.close(until: soon(.seconds(1))) }
        switch try await SchemaVersion.check(pool, deadline: soon(Self.reachLimit)) {
        case .usable: break
        case .missing: throw ProgramFailure(.unavailable, "the database has no schema yet: run checkctl migrate")
        case .older(let found):
            throw ProgramFailure(
                .unavailable,
                "the schema is at \(found) and this program needs \(SchemaVersion.required): run checkctl migrate"
            )
        }
        return try await body(pool)
    }

    func withAdmin<Value: Sendable>(_ body: (AdminClient) async throws -> Value) async throws -> Value {
        let admin = try AdminClient(
            settings: try settings.kafkaSettings(clientID: "checkctl"),
            log: logger.labelled("kafka").kafkaLog
        )
        defer { admin.close() }
        return try await body(admin)
    }

    func withProducer<Value: Sendable>(_ body: (Producer) async throws -> Value) async throws -> Value {
        let producer = try Producer(
            settings: try settings.kafkaSettings(clientID: "checkctl"),
            tuning: .standard,
            log: logger.labelled("kafka").kafkaLog
        )
        defer { producer.close(until: soon(.seconds(5))) }
        return try await body(producer)
    }

    var topics: Topics { Topics(prefix: settings[Setting.topicPrefix]) }
}
