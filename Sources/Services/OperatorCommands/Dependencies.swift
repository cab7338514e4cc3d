// What commands reach for, opened for one command and closed behind it. Nothing is waited for longer than a person
// would: a dependency that is away ends the command with 69 and one line that says what it was and why.

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

    var topics: Topics { Topics(prefix: settings[Setting.topicPrefix]) }

    // MARK: Postgres

    /// Opens the database for `body`, after a look at its schema.
    func withDatabase<Value: Sendable>(_ body: (PostgresPool) async throws -> Value) async throws -> Value {
        let pool = try makePool()
        pool.start()
        return try await closing({ pool.close(until: soon(.seconds(1))) }) {
            try await checkSchema(pool)
            return try await body(pool)
        }
    }

    private func makePool() throws(ConfigurationError) -> PostgresPool {
        var poolSettings = settings.poolSettings(applicationName: "checkctl")
        poolSettings.generalConnections = 1
        poolSettings.writeLanes = 1
        poolSettings.largeLane = false
        let events = logger.labelled("postgres").poolEvents
        do {
            return try PostgresPool(settings: poolSettings) { event in
                // That it is away is the command's own last line.
                if case .unavailable = event { return }
                events(event)
            }
        } catch {
            throw ConfigurationError(Setting.databaseURL.name, "is malformed; expected a libpq connection string")
        }
    }

    private func checkSchema(_ pool: PostgresPool) async throws {
        let state: SchemaVersion.State
        do {
            state = try await SchemaVersion.check(pool, deadline: soon(Self.reachLimit))
        } catch let error as PostgresError where error.kind == .deadline {
            let reason = pool.state.lastError?.message ?? "no answer within \(Self.reachLimit)"
            throw ProgramFailure(.unavailable, "Postgres cannot be reached, see DATABASE_URL: \(reason)")
        }
        switch state {
        case .usable: break
        case .missing: throw ProgramFailure(.unavailable, "the database has no schema yet: run checkctl migrate")
        case .older(let found):
            throw ProgramFailure(
                .unavailable,
                "the schema is at \(found) and this program needs \(SchemaVersion.required): run checkctl migrate"
            )
        }
    }

    // MARK: Kafka

    func withAdmin<Value: Sendable>(_ body: (AdminClient) async throws -> Value) async throws -> Value {
        let kafka = try settings.kafkaSettings(clientID: "checkctl")
        let words = KafkaWords(logger.labelled("kafka"))
        let admin = try AdminClient(settings: kafka, log: { words.take($0) })
        do {
            let value = try await body(admin)
            admin.close()
            return value
        } catch let error as KafkaError {
            admin.close()
            // The library's words come with the end of the handle.
            _ = try await onThread { admin.waitUntilClosed(until: soon(.seconds(2))) }
            throw words.failure(error, servers: kafka.bootstrapServers)
        } catch {
            admin.close()
            throw error
        }
    }

    /// A producer that has seen `needed`: a broker that is away, or a topic that is missing, ends the command before
    /// anything is sent.
    func withProducer<Value: Sendable>(
        for needed: [String],
        _ body: (Producer) async throws -> Value
    ) async throws -> Value {
        let kafka = try settings.kafkaSettings(clientID: "checkctl")
        let words = KafkaWords(logger.labelled("kafka"))
        let producer = try Producer(settings: kafka, tuning: .standard, log: { words.take($0) })
        return try await closing({ producer.close(until: soon(.seconds(5))) }) {
            do {
                try await onThread { try producer.warm(topics: needed, timeout: Self.reachLimit) }
                return try await body(producer)
            } catch let error as KafkaError {
                throw words.failure(error, servers: kafka.bootstrapServers)
            }
        }
    }
}

/// What librdkafka said of connections: its errors name a host and a reason where its results do not.
final class KafkaWords: Sendable {
    private let last = Locked<String?>(nil)
    private let logger: Logger
    private let log: @Sendable (KafkaLogLine) -> Void

    init(_ logger: Logger) {
        self.logger = logger
        log = logger.kafkaLog
    }

    /// Severe lines become the reason of the command's last line; they repeat for as long as a broker is away.
    func take(_ line: KafkaLogLine) {
        guard line.level <= 4 else { return log(line) }
        last.withLock { $0 = Self.withoutThread(line.message) }
        logger.debug("librdkafka says", metadata: ["kafka.message": .string(line.message)])
    }

    /// The error as a person can use it.
    func failure(_ error: KafkaError, servers: String) -> any Error {
        switch error.code {
        case .transport, .timedOut, .nameResolution, .tls, .authentication:
            let reason = last.withLock { $0 } ?? error.message
            return ProgramFailure(.unavailable, "Kafka cannot be reached at \(servers): \(reason)")
        case .unknownTopic:
            return ProgramFailure(.unavailable, "\(error.message); run checkctl topics apply")
        case .unsupported:
            return ProgramFailure(
                .unavailable,
                "the broker at \(servers) does not take this request; the embedded broker makes its topics itself"
            )
        default: return error
        }
    }

    /// Without `[thrd:…]: `, which names a thread of the library.
    private static func withoutThread(_ text: String) -> String {
        guard text.hasPrefix("[thrd:"), let end = text.firstRange(of: "]: ") else { return text }
        return String(text[end.upperBound...])
    }
}

/// Runs blocking work on a thread of its own.
func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    let promise = Promise<Value>()
    // Ends with the work, which is bounded by its own deadline.
    _ = WorkerThread(name: "checkctl") { promise.resolve(Result { try work() }) }
    return try await promise.value()
}

/// Runs `body` and then, whatever came of it, `close`, which may block for a moment.
func closing<Value: Sendable>(
    _ close: @escaping @Sendable () -> Void,
    after body: () async throws -> Value
) async throws -> Value {
    let result: Result<Value, any Error>
    do {
        result = .success(try await body())
    } catch {
        result = .failure(error)
    }
    try? await onThread(close)
    return try result.get()
}
