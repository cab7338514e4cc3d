// The floors of the house, read from the sources: who may import whom. The package manager refuses only modules
// outside a target's transitive closure, which lets a service reach through to a C library.

import Glibc
import TestSupport
import Testing

/// Floors from the ground up. A module may import modules of lower floors only.
private let floors: [[String]] = [
    ["CLinux", "CKafka", "CPostgres", "CCurl", "CMicrohttpd", "CCrypto", "CSimdjson"],
    ["Basics"],
    ["Kafka", "Postgres", "HTTPClient", "HTTPServer", "Cryptography", "JSON"],
    ["PlaidAPI", "LayerAPI"],
    ["PipelineEvents", "ReportStore"],
    ["WorkerKit", "ServiceKit"],
    [
        "WebhookReceiver", "ReportConsumer", "ReportLifecycle", "LayerTokens", "Onboarding", "OpsConsole",
        "PlaidSandbox",
        "OperatorCommands",
    ],
]

/// One owner for each C library.
private let owners: [String: String] = [
    "CLinux": "Basics", "CKafka": "Kafka", "CPostgres": "Postgres", "CCurl": "HTTPClient", "CMicrohttpd": "HTTPServer",
    "CCrypto": "Cryptography", "CSimdjson": "JSON",
]

/// Modules of the toolchain that any target may import. Foundation is not among them: it links ICU.
private let toolchain: Set<String> = ["Swift", "Synchronization", "Glibc"]

private struct SourceImport { let file: String, module: String, importer: String }

private func swiftFiles(under folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var files: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name.hasPrefix(".") { continue }
        if name.hasSuffix(".swift") {
            files.append("\(folder)/\(name)")
        } else {
            files += swiftFiles(under: "\(folder)/\(name)")
        }
    }
    return files.sorted()
}

private func importedModules(in text: String) -> [String] {
    text.split(separator: "\n").compactMap { line in
        var words = line.split(separator: " ").map(String.init)
        while let first = words.first,
            first.hasPrefix("@") || ["package", "public", "internal", "private", "fileprivate"].contains(first)
        {
            words.removeFirst()
        }
        guard words.first == "import", words.count >= 2 else { return nil }
        let kinds: Set = ["struct", "class", "enum", "func", "protocol", "typealias", "let", "var"]
        let path = kinds.contains(words[1]) && words.count > 2 ? words[2] : words[1]
        return path.split(separator: ".").first.map(String.init)
    }
}

private let root = String(#filePath.dropLast("/Tests/House/FloorsTests.swift".count))

private func imports() -> [SourceImport] {
    swiftFiles(under: "\(root)/Sources").flatMap { file -> [SourceImport] in
        let parts = file.dropFirst(root.count).split(separator: "/").map(String.init)  // Sources, floor, module, …
        let importer = parts.count > 2 ? parts[2] : ""
        let text = String(decoding: TemporaryFolder.read(file) ?? [], as: UTF8.self)
        return importedModules(in: text).map {
            SourceImport(file: parts.joined(separator: "/"), module: $0, importer: importer)
        }
    }
}

private func floor(of module: String) -> Int? { floors.firstIndex { $0.contains(module) } }

/// Why `importer` may not import `module`; nil when it may.
private func objection(importer: String, module: String) -> String? {
    if toolchain.contains(module) { return nil }
    guard let below = floor(of: module) else { return "\(module) is on no floor" }
    // Programs stand above all floors; they see services and the runtime, never a C library.
    let own = floor(of: importer) ?? floors.count
    if let owner = owners[module] { return owner == importer ? nil : "\(module) belongs to \(owner) alone" }
    return below < own ? nil : "\(module) is not below \(importer)"
}

@Suite struct FloorsTests {
    @Test func `every import goes down`() throws {
        let all = imports()
        #expect(all.count > 5, "the sources were not found")
        for entry in all {
            if let objection = objection(importer: entry.importer, module: entry.module) {
                Issue.record("\(entry.file): \(objection)")
            }
        }
    }

    @Test(arguments: [
        ("WorkerKit", "ServiceKit"), ("ServiceKit", "WorkerKit"), ("Kafka", "Postgres"), ("Basics", "Kafka"),
        ("WebhookReceiver", "CKafka"), ("ReportConsumer", "WebhookReceiver"), ("PlaidAPI", "ReportStore"),
        ("webhook-receiver", "CLinux"), ("Basics", "Foundation"), ("JSON", "FoundationNetworking"),
    ])
    func `what breaks the floors is refused`(_ importer: String, _ module: String) {
        #expect(objection(importer: importer, module: module) != nil)
    }

    @Test(arguments: [
        ("webhook-receiver", "WebhookReceiver"), ("Kafka", "Basics"), ("Kafka", "CKafka"), ("WorkerKit", "ReportStore"),
        ("ReportConsumer", "Kafka"), ("PipelineEvents", "PlaidAPI"), ("Basics", "CLinux"),
    ])
    func `what goes down is allowed`(_ importer: String, _ module: String) {
        #expect(objection(importer: importer, module: module) == nil)
    }

    @Test func `every spelling of an import is read`() {
        let text = """
            import Basics
            package import Kafka
            @testable import JSON
            public import struct Postgres.SQLRow
              import Glibc
            // import Nothing
            let text = "import Nothing"
            """
        #expect(importedModules(in: text) == ["Basics", "Kafka", "JSON", "Postgres", "Glibc"])
    }

    @Test func `the top level holds the card's entries and dotfiles only`() throws {
        let directory = try #require(opendir(root))
        defer { closedir(directory) }
        let allowed: Set = ["Package.swift", "Sources", "Tests", "deploy", "schemas", "README.md"]
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasPrefix(".") { continue }
            #expect(allowed.contains(name), "\(name) does not belong at the top level")
        }
    }
}
