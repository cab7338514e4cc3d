// swift-tools-version: 6.3
//
// The house: six floors. A target imports only from floors below its own (on Platform: Basics only);
// Tests/House reads every import and refuses what breaks this, since the package manager only checks
// the transitive closure. Everything outside Swift comes from the distribution's C libraries.

import PackageDescription

/// A C or C++ target that owns one library of the distribution: headers, shims and the link flag.
func library(_ name: String, links: [String], cxx: [CXXSetting] = []) -> Target {
    .target(
        name: name,
        path: "Sources/Platform/C/\(name)",
        cxxSettings: cxx,
        linkerSettings: links.map { .linkedLibrary($0) }
    )
}

func module(_ floor: String, _ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/\(floor)/\(name)")
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: "Sources/Programs/\(name)")
}

func tests(_ floor: String, _ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies + ["TestSupport"], path: "Tests/\(floor)/\(name)")
}

let cLibraries: [Target] = [
    library("CLinux", links: []),
    library("CKafka", links: ["rdkafka"]),
    library("CPostgres", links: ["pq", "ssl"]),
    library("CCurl", links: ["curl"]),
    library("CMicrohttpd", links: ["microhttpd"]),
    library("CCrypto", links: ["crypto"]),
    // simdjson's class layout depends on this define; it must match the distribution's build.
    library("CSimdjson", links: ["simdjson"], cxx: [.define("SIMDJSON_THREADS_ENABLED", to: "1")]),
]

/// The owners of the C libraries: pointers are their trade, so strict memory safety starts above them.
let wrappers: [Target] = [
    module("Platform", "Basics", ["CLinux"]),
    module("Platform", "Kafka", ["Basics", "CKafka"]),
    module("Platform", "Postgres", ["Basics", "CPostgres"]),
    module("Platform", "HTTPClient", ["Basics", "CCurl"]),
    module("Platform", "HTTPServer", ["Basics", "CMicrohttpd"]),
    module("Platform", "Cryptography", ["Basics", "CCrypto"]),
    module("Platform", "JSON", ["Basics", "CSimdjson"]),
]

let modules: [Target] = [
    module("Clients", "PlaidAPI", ["Basics", "HTTPClient", "Cryptography", "JSON"]),
    module("Domain", "PipelineEvents", ["Basics", "Cryptography", "JSON", "PlaidAPI"]),
    module("Domain", "ReportStore", ["Basics", "Postgres", "Cryptography", "JSON", "PlaidAPI"]),
    module(
        "Runtime",
        "ServiceKit",
        ["Basics", "Cryptography", "HTTPServer", "HTTPClient", "Kafka", "Postgres", "JSON", "PlaidAPI"]
    ),
    module("Runtime", "WorkerKit", ["Basics", "Kafka", "Postgres", "JSON", "PipelineEvents", "ReportStore"]),
    module(
        "Services",
        "WebhookReceiver",
        [
            "Basics", "Kafka", "HTTPServer", "HTTPClient", "Cryptography", "JSON", "PlaidAPI", "PipelineEvents",
            "ServiceKit",
        ]
    ),
    module(
        "Services",
        "ReportConsumer",
        [
            "Basics", "Kafka", "Postgres", "HTTPClient", "Cryptography", "JSON", "PlaidAPI", "PipelineEvents",
            "ReportStore", "WorkerKit", "ServiceKit",
        ]
    ),
    module(
        "Services",
        "PlaidSandbox",
        ["Basics", "HTTPServer", "HTTPClient", "Cryptography", "JSON", "PlaidAPI", "ServiceKit"]
    ),
    module(
        "Services",
        "OperatorCommands",
        [
            "Basics", "Kafka", "Postgres", "HTTPClient", "Cryptography", "JSON", "PlaidAPI", "PipelineEvents",
            "ReportStore", "WorkerKit", "ServiceKit",
        ]
    ),
]

let programs: [Target] = [
    program("webhook-receiver", ["WebhookReceiver"]),
    program("base-report-consumer", ["PlaidAPI", "ReportConsumer"]),
    program("income-insights-consumer", ["PlaidAPI", "ReportConsumer"]),
    program("partner-insights-consumer", ["PlaidAPI", "ReportConsumer"]),
    program("sandbox", ["PlaidSandbox", "ServiceKit"]),
    program("embedded-broker", ["Basics", "Kafka", "PipelineEvents", "ServiceKit"]),
    program("checkctl", ["OperatorCommands"]),
]

let testTargets: [Target] = [
    .target(
        name: "TestSupport",
        dependencies: ["Basics", "CLinux", "CSanitizerSupport"],
        path: "Tests/TestSupport",
        exclude: ["validate_schema.py", "validate_openapi.py"]
    ),
    tests("Platform", "BasicsTests", ["Basics"]),
    tests("Platform", "KafkaTests", ["Basics", "Kafka"]),
    tests("Platform", "PostgresTests", ["Basics", "Postgres"]),
    tests("Platform", "HTTPClientTests", ["Basics", "HTTPClient"]),
    tests("Platform", "HTTPServerTests", ["Basics", "HTTPServer"]),
    tests("Platform", "CryptographyTests", ["Basics", "Cryptography"]),
    tests("Platform", "JSONTests", ["Basics", "JSON"]),
    tests("Clients", "PlaidAPITests", ["Basics", "HTTPClient", "Cryptography", "JSON", "PlaidAPI"]),
    tests("Domain", "PipelineEventsTests", ["Basics", "Cryptography", "JSON", "PlaidAPI", "PipelineEvents"]),
    tests("Domain", "ReportStoreTests", ["Basics", "Postgres", "Cryptography", "JSON", "PlaidAPI", "ReportStore"]),
    .executableTarget(
        name: "service-probe",
        dependencies: ["Basics", "ServiceKit"],
        path: "Tests/Runtime/ServiceProbe"
    ),
    tests(
        "Runtime",
        "ServiceKitTests",
        [
            "Basics", "Cryptography", "HTTPServer", "HTTPClient", "Kafka", "Postgres", "JSON", "PlaidAPI", "ServiceKit",
            "service-probe",
        ]
    ),
    tests(
        "Runtime",
        "WorkerKitTests",
        ["Basics", "Kafka", "Postgres", "JSON", "PipelineEvents", "ReportStore", "WorkerKit"]
    ),
    tests(
        "Services",
        "WebhookReceiverTests",
        [
            "Basics", "Kafka", "HTTPServer", "HTTPClient", "Cryptography", "JSON", "PlaidAPI", "PipelineEvents",
            "ServiceKit", "WebhookReceiver",
        ]
    ),
    tests(
        "Services",
        "ReportConsumerTests",
        [
            "Basics", "Kafka", "Postgres", "HTTPClient", "HTTPServer", "Cryptography", "JSON", "PlaidAPI",
            "PipelineEvents", "ReportStore", "WorkerKit", "ServiceKit", "ReportConsumer",
        ]
    ),
    tests(
        "Services",
        "PlaidSandboxTests",
        [
            "Basics", "HTTPServer", "HTTPClient", "Cryptography", "JSON", "PlaidAPI", "ServiceKit", "PlaidSandbox",
            "sandbox",
        ]
    ),
    tests(
        "Services",
        "OperatorCommandsTests",
        [
            "Basics", "Kafka", "Postgres", "Cryptography", "JSON", "PlaidAPI", "PipelineEvents", "ReportStore",
            "ServiceKit", "OperatorCommands",
        ]
    ),
    .testTarget(name: "HouseTests", dependencies: ["TestSupport"], path: "Tests/House"),
    .testTarget(
        name: "SystemTests",
        dependencies: [
            "TestSupport", "Basics", "Kafka", "Postgres", "HTTPClient", "Cryptography", "JSON", "PlaidAPI",
            "PipelineEvents", "ReportStore",
        ],
        path: "Tests/System"
    ),
    .executableTarget(
        name: "benchmarks",
        dependencies: [
            "Basics", "Kafka", "Postgres", "HTTPClient", "HTTPServer", "Cryptography", "JSON", "PlaidAPI", "PipelineEvents",
            "ReportStore", "TestSupport",
        ],
        path: "Tests/Benchmarks"
    ),
]

let language: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
    .treatAllWarnings(as: .error),
]

for target in wrappers + testTargets { target.swiftSettings = language }
for target in modules + programs { target.swiftSettings = language + [.strictMemorySafety()] }

/// Defines what the thread sanitizer misses; empty in every other build.
let sanitizerSupport: Target = .target(name: "CSanitizerSupport", path: "Tests/Sanitizers")

/// `CHECK_PIPELINE_TESTS=KafkaTests,JSONTests` leaves the other test targets out: a shorter inner loop.
let wantedTests = Context.environment["CHECK_PIPELINE_TESTS"].map { $0.split(separator: ",").map(String.init) }
let chosenTestTargets = testTargets.filter { $0.type != .test || wantedTests?.contains($0.name) ?? true }

let package = Package(
    name: "check-pipeline",
    targets: cLibraries + wrappers + modules + programs + chosenTestTargets + [sanitizerSupport],
    cLanguageStandard: .c17,
    cxxLanguageStandard: .cxx17
)
