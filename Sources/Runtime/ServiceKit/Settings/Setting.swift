// Every configuration variable of the system, once. Programs list the ones they read; `--help`, the loader, the
// error texts and the tests all walk this table.

package import Basics
package import Cryptography
package import PlaidAPI

package enum Setting {
    // MARK: Public listener

    package static let httpHost = SettingKey<String>(
        "HTTP_HOST",
        .host,
        default: "0.0.0.0",
        help: "address of the public listener"
    )
    package static let httpPort = SettingKey<UInt16>(
        "HTTP_PORT",
        .port,
        default: "8080",
        help: "port of the public listener"
    )
    package static let httpTLSCertFile = SettingKey<String>(
        "HTTP_TLS_CERT_FILE",
        .path,
        help: "PEM chain for TLS on the public listener; read again on SIGHUP"
    ).optional
    package static let httpTLSKeyFile = SettingKey<String>(
        "HTTP_TLS_KEY_FILE",
        .path,
        help: "PEM private key that belongs to HTTP_TLS_CERT_FILE"
    ).optional
    package static let maxBody = SettingKey<ByteCount>(
        "MAX_BODY",
        .size(1 << 10...64 << 20),
        default: "1MiB",
        help: "largest webhook accepted"
    )
    package static let maxConnections = SettingKey<Int>(
        "MAX_CONNECTIONS",
        .integer(1...100_000),
        default: "2000",
        help: "open connections on the public listener; beyond it the longest idle one makes room"
    )

    // MARK: Admin listener

    package static let adminHost = SettingKey<String>(
        "ADMIN_HOST",
        .host,
        default: "127.0.0.1",
        help: "address of /health/live, /health/ready and /metrics"
    )
    package static let adminPort = SettingKey<UInt16>(
        "ADMIN_PORT",
        .port,
        default: "9464",
        help: "port of the admin listener; 0 takes a free one and logs it"
    )

    // MARK: Kafka

    package static let kafkaBootstrapServers = SettingKey<String>(
        "KAFKA_BOOTSTRAP_SERVERS",
        .bootstrapServers,
        default: "127.0.0.1:9092",
        help: "Kafka brokers to start from"
    )
    package static let kafkaConfigFile = SettingKey<String>(
        "KAFKA_CONFIG_FILE",
        .path,
        help: "librdkafka properties, one name=value a line (TLS, SASL, tuning); what the promises rest on is refused"
    ).optional
    package static let topicPrefix = SettingKey<String>(
        "TOPIC_PREFIX",
        .topicPrefix,
        default: "",
        help: "put before every topic and consumer group"
    )

    // MARK: Postgres

    package static let databaseURL = SettingKey<Secret>(
        "DATABASE_URL",
        .secret,
        default: "postgresql:///check_pipeline",
        secret: true,
        help: "libpq connection string; may name several hosts"
    )
    package static let databasePrepare = SettingKey<Bool>(
        "DATABASE_PREPARE",
        .onOff,
        default: "on",
        help: "off: no named prepared statements (PgBouncer in transaction mode before 1.21)"
    )

    // MARK: Plaid

    package static let plaidEnvironment = SettingKey<PlaidEnvironment>(
        "PLAID_ENV",
        .plaidEnvironment,
        default: "sandbox",
        help: "Plaid's environment: its host, and part of every key"
    )
    package static let plaidBaseURL = SettingKey<String>(
        "PLAID_BASE_URL",
        .url,
        help: "replaces Plaid's host; may have a path prefix"
    ).optional(shown: "by PLAID_ENV")
    package static let plaidClientID = SettingKey<String>("PLAID_CLIENT_ID", .text, help: "Plaid's client id")
    package static let plaidSecret = SettingKey<Secret>(
        "PLAID_SECRET",
        .secret,
        secret: true,
        help: "Plaid's secret of that client in PLAID_ENV"
    )

    // MARK: Layer

    package static let layerEnvironment = SettingKey<String>(
        "LAYER_ENV",
        .word(["sandbox", "production"], placeholder: "sandbox|production"),
        default: "sandbox",
        help: "Layer's environment: its hosts"
    )
    package static let layerBaseURL = SettingKey<String>(
        "LAYER_BASE_URL",
        .url,
        help: "replaces Layer's API host; may have a path prefix"
    ).optional(shown: "by LAYER_ENV")
    package static let layerTokenURL = SettingKey<String>(
        "LAYER_TOKEN_URL",
        .url,
        help: "replaces Layer's OAuth2 token URL"
    ).optional(shown: "by LAYER_ENV")
    package static let layerClientID = SettingKey<String>("LAYER_CLIENT_ID", .text, help: "Layer's OAuth2 client id")
    package static let layerClientSecret = SettingKey<Secret>(
        "LAYER_CLIENT_SECRET",
        .secret,
        secret: true,
        help: "Layer's OAuth2 client secret"
    )
    package static let layerGateLimit = SettingKey<Duration>(
        "LAYER_GATE_LIMIT",
        .duration(.zero ... .seconds(30 * 86_400)),
        default: "24h",
        help: "longest wait for a report before an Item is registered"
    )
    package static let layerSweepEvery = SettingKey<Duration>(
        "LAYER_SWEEP_EVERY",
        .duration(.seconds(60) ... .seconds(30 * 86_400)),
        default: "24h",
        help: "how often every business is looked at"
    )
    package static let layerReadOnly = SettingKey<Bool>(
        "LAYER_READ_ONLY",
        .onOff,
        default: "off",
        help: "on: look and compare, write nothing"
    )

    // MARK: Keys

    package static let encryptionKeys = SettingKey<KeyRing>(
        "ENCRYPTION_KEYS",
        .encryptionKeys,
        secret: true,
        help: "id:base64-of-32-bytes[,id:…] for sealed columns; the first encrypts, all decrypt"
    )
    package static let logHashKey = SettingKey<Secret>(
        "LOG_HASH_KEY",
        .base64Key,
        secret: true,
        help: "base64 of 32 bytes: keys the hash of user ids in logs; give all programs the same"
    ).optional(shown: "made at each start")
    package static let apiKeys = SettingKey<[APIKeyHash]>(
        "API_KEYS",
        .apiKeys,
        secret: true,
        help: "name:sha256-hex-of-key[,…] that may call this program"
    )

    // MARK: Work

    package static let maxInFlight = SettingKey<Int>(
        "MAX_IN_FLIGHT",
        .integer(1...10_000),
        default: "256",
        help: "requests in flight in this process"
    )
    package static let maxInFlightBytes = SettingKey<ByteCount>(
        "MAX_IN_FLIGHT_BYTES",
        .size(1 << 20...1 << 40),
        default: "256MiB",
        help: "bytes of report bodies held at once"
    )
    package static let plaidRateLimits = SettingKey<[PlaidRateLimit]>(
        "PLAID_RATE_LIMITS",
        .rateLimits,
        help: "client-wide ceilings shared by all replicas, such as base_report=1000/min,pdf=50/min"
    ).optional
    package static let retryBase = SettingKey<Duration>(
        "RETRY_BASE",
        .duration(.milliseconds(1) ... .seconds(3600)),
        default: "1s",
        help: "first step of the backoff, with full jitter"
    )
    package static let retryMax = SettingKey<Duration>(
        "RETRY_MAX",
        .duration(.milliseconds(1) ... .seconds(86_400)),
        default: "5m",
        help: "largest step of the backoff"
    )
    package static let retryInProcess = SettingKey<Duration>(
        "RETRY_IN_PROCESS",
        .duration(.zero ... .seconds(3600)),
        default: "30s",
        help: "how long an event is retried in memory before it moves to the retry calendar"
    )
    package static let shutdownGrace = SettingKey<Duration>(
        "SHUTDOWN_GRACE",
        .duration(.milliseconds(100) ... .seconds(3600)),
        default: "25s",
        help: "time to drain after SIGTERM"
    )

    // MARK: Reports

    package static let reportLifetime = SettingKey<Duration>(
        "REPORT_LIFETIME",
        .duration(.seconds(1) ... .seconds(30 * 86_400)),
        default: "24h",
        help: "deadline of a report from its READY webhook"
    )
    package static let regenerateExpired = SettingKey<Bool>(
        "REGENERATE_EXPIRED",
        .onOff,
        default: "off",
        help: "on: one /cra/check_report/create for a report that expired unfetched (it may cost money)"
    )
    package static let notReadySchedule = SettingKey<[Duration]>(
        "NOT_READY_SCHEDULE",
        ValueFormat.duration(.milliseconds(1) ... .seconds(86_400)).list(limit: 16),
        default: "5m,15m,60m",
        help: "when to look again after PRODUCT_NOT_READY; the last repeats"
    )
    package static let reconcileAfter = SettingKey<Duration>(
        "RECONCILE_AFTER",
        .duration(.seconds(1) ... .seconds(30 * 86_400)),
        default: "30m",
        help: "a requested report without a webhook is looked for after this long"
    )
    package static let reconcileEvery = SettingKey<Duration>(
        "RECONCILE_EVERY",
        .duration(.seconds(1) ... .seconds(86_400)),
        default: "5m",
        help: "how often it is looked for"
    )
    package static let plaidWebhookURL = SettingKey<String>(
        "PLAID_WEBHOOK_URL",
        .url,
        help: "webhook of /cra/check_report/create where the first request's is not known"
    ).optional
    package static let reportDaysRequested = SettingKey<Int>(
        "REPORT_DAYS_REQUESTED",
        .integer(1...731),
        default: "365",
        help: "days of history for /cra/check_report/create where the first request's are not known"
    )
    package static let reportPermissiblePurpose = SettingKey<String>(
        "REPORT_PERMISSIBLE_PURPOSE",
        .permissiblePurpose,
        help:
            "purpose for /cra/check_report/create where the first request's is not known; without one nothing is created"
    ).optional
    package static let reportProducts = SettingKey<[String]>(
        "REPORT_PRODUCTS",
        ValueFormat.reportProduct.list(limit: 8),
        default: "cra_base_report",
        help: "products for /cra/check_report/create where the first request's are not known"
    )
    package static let expectedProducts = SettingKey<[String]>(
        "EXPECTED_PRODUCTS",
        ValueFormat.reportProduct.list(limit: 8),
        default: "cra_base_report",
        help: "products to fetch when READY names none; name only what Link or create asked for"
    )

    // MARK: Logs and telemetry

    package static let logLevel = SettingKey<Logger.Level>(
        "LOG_LEVEL",
        .logLevel,
        default: "info",
        help: "least severe level that is written"
    )
    package static let logFormat = SettingKey<LogFormat>(
        "LOG_FORMAT",
        .logFormat,
        default: "json",
        help: "json for machines, text for people"
    )
    package static let otelServiceName = SettingKey<String>(
        "OTEL_SERVICE_NAME",
        .text,
        help: "service.name of logs and metrics"
    ).optional(shown: "the program's name")

    // MARK: Sandbox

    package static let sandboxSeed = SettingKey<UInt64>(
        "SANDBOX_SEED",
        .seed,
        default: "1",
        help: "decides ids, report contents and webhook bodies"
    )
    package static let sandboxSpeed = SettingKey<Double>(
        "SANDBOX_SPEED",
        .number(1...10_000),
        default: "1",
        help: "shortens the ladder, generation and expiry"
    )
    package static let sandboxFaultsFile = SettingKey<String>(
        "SANDBOX_FAULTS_FILE",
        .path,
        help: "faults to begin with, in the form of PUT /_sandbox/faults"
    ).optional

    // MARK: Tables

    /// Every variable of the contract, in its order.
    package static let all: [any AnySettingKey] = [
        httpHost, httpPort, httpTLSCertFile, httpTLSKeyFile, maxBody, maxConnections, adminHost, adminPort,
        kafkaBootstrapServers, kafkaConfigFile, topicPrefix, databaseURL, databasePrepare, plaidEnvironment,
        plaidBaseURL, plaidClientID, plaidSecret, layerEnvironment, layerBaseURL, layerTokenURL, layerClientID,
        layerClientSecret, layerGateLimit, layerSweepEvery, layerReadOnly, encryptionKeys, logHashKey, apiKeys,
        maxInFlight, maxInFlightBytes, plaidRateLimits, retryBase, retryMax, retryInProcess, reportLifetime,
        regenerateExpired, notReadySchedule, reconcileAfter, reconcileEvery, plaidWebhookURL, reportDaysRequested,
        reportPermissiblePurpose, reportProducts, expectedProducts, shutdownGrace, logLevel, logFormat,
        otelServiceName, sandboxSeed, sandboxSpeed, sandboxFaultsFile,
    ]

    /// What every program reads beside its own.
    package static let logging: [any AnySettingKey] = [logLevel, logFormat, logHashKey, otelServiceName]

    /// The same for a command that a person runs: its last line says what happened, the log only what is wrong besides.
    package static let commandLogging: [any AnySettingKey] = [
        SettingKey("LOG_LEVEL", .logLevel, default: "warning", help: logLevel.help),
        SettingKey("LOG_FORMAT", .logFormat, default: "text", help: logFormat.help),
        logHashKey, otelServiceName,
    ]

    /// What every long-running program reads beside its own.
    package static let service: [any AnySettingKey] = [adminHost, adminPort, shutdownGrace] + logging

    /// Groups that most programs take whole.
    package static let kafka: [any AnySettingKey] = [kafkaBootstrapServers, kafkaConfigFile, topicPrefix]
    package static let database: [any AnySettingKey] = [databaseURL, databasePrepare]
    package static let publicListener: [any AnySettingKey] = [
        httpHost, httpPort, httpTLSCertFile, httpTLSKeyFile, maxConnections,
    ]
    package static let plaid: [any AnySettingKey] = [plaidEnvironment, plaidBaseURL, plaidClientID, plaidSecret]

    /// The keys in their order, each name once: groups overlap.
    static func unique(_ keys: [any AnySettingKey]) -> [any AnySettingKey] {
        var seen: Set<String> = []
        return keys.filter { seen.insert($0.name).inserted }
    }
}
