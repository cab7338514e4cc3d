import Basics
import Cryptography
import ServiceKit
import TestSupport
import Testing

/// The contract's variables, written down a second time.
private let contract: [String: String?] = [
    "HTTP_HOST": "0.0.0.0", "HTTP_PORT": "8080", "HTTP_TLS_CERT_FILE": nil, "HTTP_TLS_KEY_FILE": nil,
    "MAX_BODY": "1MiB", "MAX_CONNECTIONS": "2000", "ADMIN_HOST": "127.0.0.1", "ADMIN_PORT": "9464",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092", "KAFKA_CONFIG_FILE": nil, "TOPIC_PREFIX": "empty",
    "DATABASE_URL": "postgresql:///check_pipeline", "DATABASE_PREPARE": "on", "PLAID_ENV": "sandbox",
    "PLAID_BASE_URL": "by PLAID_ENV", "PLAID_CLIENT_ID": nil, "PLAID_SECRET": nil, "LAYER_ENV": "sandbox",
    "LAYER_BASE_URL": "by LAYER_ENV", "LAYER_TOKEN_URL": "by LAYER_ENV", "LAYER_CLIENT_ID": nil,
    "LAYER_CLIENT_SECRET": nil, "LAYER_GATE_LIMIT": "24h", "LAYER_SWEEP_EVERY": "24h", "LAYER_READ_ONLY": "off",
    "ENCRYPTION_KEYS": nil, "LOG_HASH_KEY": "made at each start", "API_KEYS": nil, "MAX_IN_FLIGHT": "256",
    "MAX_IN_FLIGHT_BYTES": "256MiB", "PLAID_RATE_LIMITS": nil, "RETRY_BASE": "1s", "RETRY_MAX": "5m",
    "RETRY_IN_PROCESS": "30s", "REPORT_LIFETIME": "24h", "REGENERATE_EXPIRED": "off",
    "NOT_READY_SCHEDULE": "5m,15m,60m", "RECONCILE_AFTER": "30m", "RECONCILE_EVERY": "5m", "PLAID_WEBHOOK_URL": nil,
    "REPORT_DAYS_REQUESTED": "365", "REPORT_PERMISSIBLE_PURPOSE": nil, "REPORT_PRODUCTS": "cra_base_report",
    "EXPECTED_PRODUCTS": "cra_base_report", "SHUTDOWN_GRACE": "25s", "LOG_LEVEL": "info", "LOG_FORMAT": "json",
    "OTEL_SERVICE_NAME": "the program's name", "SANDBOX_SEED": "1", "SANDBOX_SPEED": "1", "SANDBOX_FAULTS_FILE": nil,
]

private let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

/// What a program cannot start without.
private let required = [
    "PLAID_CLIENT_ID": "client", "PLAID_SECRET": "secret", "LAYER_CLIENT_ID": "client",
    "LAYER_CLIENT_SECRET": "secret", "ENCRYPTION_KEYS": "k1:\(key)",
    "API_KEYS": "ops:\(String(repeating: "ab", count: 32))",
]

@Suite struct SettingTableTests {
    @Test func `has every variable of the contract once, with its default`() {
        #expect(Setting.all.map(\.name).sorted() == contract.keys.sorted())
        for key in Setting.all { #expect(key.defaultText == contract[key.name] ?? nil, "\(key.name)") }
    }

    @Test func `every default is acceptable, and what has none is refused by its name`() throws {
        #expect(throws: Never.self) { try Settings(Setting.all, environment: required) }
        for name in required.keys {
            var environment = required
            environment[name] = nil
            let error = #expect(throws: ConfigurationError.self) { try Settings(Setting.all, environment: environment) }
            #expect(error?.variable == name)
            #expect(Setting.all.contains { $0.name == name && $0.isRequired })
        }
        #expect(Set(Setting.all.filter(\.isRequired).map(\.name)) == Set(required.keys))
    }

    @Test func `what may hold a password or a key is marked secret`() {
        #expect(
            Set(Setting.all.filter(\.isSecret).map(\.name)) == [
                "DATABASE_URL", "PLAID_SECRET", "LAYER_CLIENT_SECRET", "ENCRYPTION_KEYS", "LOG_HASH_KEY", "API_KEYS",
            ]
        )
    }

    @Test func `reads the defaults as typed values`() throws {
        let settings = try Settings(Setting.all, environment: required)
        #expect(settings[Setting.httpPort] == 8080)
        #expect(settings[Setting.maxBody].bytes == 1 << 20)
        #expect(settings[Setting.shutdownGrace] == .seconds(25))
        #expect(settings[Setting.notReadySchedule] == [.seconds(300), .seconds(900), .seconds(3600)])
        #expect(settings[Setting.databaseURL].reveal() == "postgresql:///check_pipeline")
        #expect(settings[Setting.databasePrepare])
        #expect(settings[Setting.plaidBaseURL] == nil)
        #expect(settings[Setting.topicPrefix].isEmpty)
        #expect(settings[Setting.expectedProducts] == ["cra_base_report"])
        #expect(settings[Setting.encryptionKeys].primaryKeyID.name == "k1")
        #expect(settings[Setting.logLevel] == .info)
        #expect(settings[Setting.sandboxSpeed] == 1)
    }

    /// At least two wrong values for each variable that can be wrong at all.
    static let malformed: [(String, String)] = [
        ("HTTP_HOST", "a b"), ("HTTP_HOST", "host\n"), ("HTTP_PORT", "65536"), ("HTTP_PORT", "-1"),
        ("HTTP_PORT", "80a"),
        ("HTTP_PORT", "+80"), ("HTTP_TLS_CERT_FILE", "a\u{0}b"), ("HTTP_TLS_KEY_FILE", "a\u{7F}b"),
        ("MAX_BODY", "1MB"), ("MAX_BODY", "1"), ("MAX_BODY", "0KiB"), ("MAX_BODY", "65MiB"),
        ("MAX_BODY", "99999999999GiB"),
        ("MAX_CONNECTIONS", "0"), ("MAX_CONNECTIONS", "2e3"), ("ADMIN_HOST", "a/b"), ("ADMIN_PORT", "http"),
        ("ADMIN_PORT", "99999999999999999999"), ("KAFKA_BOOTSTRAP_SERVERS", "broker"),
        ("KAFKA_BOOTSTRAP_SERVERS", "a:9092,,b:9092"), ("KAFKA_BOOTSTRAP_SERVERS", "a:0"),
        ("KAFKA_CONFIG_FILE", "\u{1}"),
        ("TOPIC_PREFIX", "a b"), ("TOPIC_PREFIX", "ä"), ("DATABASE_URL", "a\nb"), ("DATABASE_PREPARE", "yes"),
        ("DATABASE_PREPARE", "ON"), ("PLAID_ENV", "development"), ("PLAID_BASE_URL", "ftp://x"),
        ("PLAID_BASE_URL", "https://"), ("PLAID_BASE_URL", "https://user@host"), ("PLAID_BASE_URL", "https://h:70000"),
        ("PLAID_BASE_URL", "https://h/?q=1"), ("PLAID_CLIENT_ID", "a\r\nX: y"), ("PLAID_SECRET", "hidden\nvalue"),
        ("LAYER_ENV", "Production"), ("LAYER_BASE_URL", "sandbox"), ("LAYER_TOKEN_URL", "https:/x"),
        ("LAYER_CLIENT_ID", "\u{9B}0m"), ("LAYER_CLIENT_SECRET", "hidden\u{0}"), ("LAYER_GATE_LIMIT", "1 h"),
        ("LAYER_GATE_LIMIT", "-1h"), ("LAYER_SWEEP_EVERY", "1s"), ("LAYER_READ_ONLY", "true"),
        ("ENCRYPTION_KEYS", "k1:hidden"), ("ENCRYPTION_KEYS", "k1:\(key),k1:\(key)"), ("ENCRYPTION_KEYS", key),
        ("LOG_HASH_KEY", "hidden"), ("LOG_HASH_KEY", "aGlkZGVu"), ("API_KEYS", "ops"), ("API_KEYS", "ops:hidden"),
        ("MAX_IN_FLIGHT", "0"), ("MAX_IN_FLIGHT", "1_000"), ("MAX_IN_FLIGHT_BYTES", "256"),
        ("PLAID_RATE_LIMITS", "base_report"), ("PLAID_RATE_LIMITS", "reports=1/min"),
        ("PLAID_RATE_LIMITS", "pdf=0/min"), ("PLAID_RATE_LIMITS", "pdf=1/day"),
        ("PLAID_RATE_LIMITS", "pdf=1/s,pdf=2/s"),
        ("RETRY_BASE", "0s"), ("RETRY_BASE", "1"), ("RETRY_MAX", "25h"), ("RETRY_IN_PROCESS", "s"),
        ("REPORT_LIFETIME", "0h"), ("REPORT_LIFETIME", "1d2h"), ("REGENERATE_EXPIRED", "1"),
        ("NOT_READY_SCHEDULE", "5m,"),
        ("NOT_READY_SCHEDULE", "5m;15m"), ("RECONCILE_AFTER", "soon"), ("RECONCILE_EVERY", "0s"),
        ("PLAID_WEBHOOK_URL", "example.com"), ("REPORT_DAYS_REQUESTED", "732"), ("REPORT_DAYS_REQUESTED", "0"),
        ("REPORT_PERMISSIBLE_PURPOSE", "CURIOSITY"), ("REPORT_PRODUCTS", "cra_bose_report"), ("EXPECTED_PRODUCTS", ","),
        ("SHUTDOWN_GRACE", "25"), ("SHUTDOWN_GRACE", "9999999999999999999h"), ("LOG_LEVEL", "INFO"),
        ("LOG_LEVEL", "warn"), ("LOG_FORMAT", "xml"), ("OTEL_SERVICE_NAME", "a\nb"), ("SANDBOX_SEED", "-1"),
        ("SANDBOX_SEED", "18446744073709551616"), ("SANDBOX_SPEED", "0"), ("SANDBOX_SPEED", "inf"),
        ("SANDBOX_SPEED", "1e2"), ("SANDBOX_FAULTS_FILE", "\u{1B}"),
    ]

    @Test(arguments: malformed)
    func `names a malformed variable, says what is accepted and never repeats the value`(
        _ name: String,
        _ value: String
    ) throws {
        var environment = required
        environment[name] = value
        let error = try #require(throws: ConfigurationError.self) {
            try Settings(Setting.all, environment: environment)
        }
        #expect(error.variable == name)
        let key = try #require(Setting.all.first { $0.name == name })
        #expect(error.description == "\(name): is malformed; expected \(key.accepted)")
        if key.isSecret { #expect(!error.description.contains("hidden")) }
        #expect(!error.description.contains("\n"))
    }

    @Test func `every variable has a malformed value above`() {
        #expect(Set(Self.malformed.map(\.0)) == Set(contract.keys))
    }

    @Test func `reads rate limits`() throws {
        let settings = try Settings(
            [Setting.plaidRateLimits],
            environment: ["PLAID_RATE_LIMITS": "base_report=1000/min, pdf=50/s,create=3/h"]
        )
        #expect(
            settings[Setting.plaidRateLimits] == [
                PlaidRateLimit(endpoint: "base_report", count: 1000, interval: .seconds(60)),
                PlaidRateLimit(endpoint: "pdf", count: 50, interval: .seconds(1)),
                PlaidRateLimit(endpoint: "create", count: 3, interval: .seconds(3600)),
            ]
        )
    }

    @Test(arguments: [
        ("https://sandbox.plaid.com", "https://sandbox.plaid.com"), ("http://127.0.0.1:8081/", "http://127.0.0.1:8081"),
        ("http://[::1]:80/a/b//", "http://[::1]:80/a/b"), ("https://h.example/plaid", "https://h.example/plaid"),
    ])
    func `takes URLs with ports and prefixes`(_ text: String, _ expected: String) throws {
        let settings = try Settings([Setting.plaidBaseURL], environment: ["PLAID_BASE_URL": text])
        #expect(settings[Setting.plaidBaseURL] == expected)
    }

    @Test(arguments: [
        (["RETRY_BASE": "1m", "RETRY_MAX": "1s"], "RETRY_MAX"),
        (["HTTP_TLS_CERT_FILE": "/tls/cert"], "HTTP_TLS_KEY_FILE"),
        (["HTTP_TLS_KEY_FILE": "/tls/key"], "HTTP_TLS_CERT_FILE"),
        (["PLAID_ENV": "production", "PLAID_BASE_URL": "http://plaid.example"], "PLAID_BASE_URL"),
        (["PLAID_ENV": "production", "PLAID_BASE_URL": "http://localhost.example"], "PLAID_BASE_URL"),
        (["PLAID_ENV": "production", "PLAID_BASE_URL": "http://127.example"], "PLAID_BASE_URL"),
    ])
    func `settings that contradict each other are refused`(_ extra: [String: String], _ variable: String) {
        let environment = required.merging(extra) { _, new in new }
        let error = #expect(throws: ConfigurationError.self) { try Settings(Setting.all, environment: environment) }
        #expect(error?.variable == variable)
    }

    @Test(arguments: ["http://127.0.0.1:1", "http://localhost", "http://localhost:1/p", "http://[::1]:1", "https://h"])
    func `production is reached in the clear on this machine only`(_ url: String) throws {
        #expect(throws: Never.self) {
            try Settings(
                [Setting.plaidEnvironment, Setting.plaidBaseURL],
                environment: ["PLAID_ENV": "production", "PLAID_BASE_URL": url]
            )
        }
    }
}
