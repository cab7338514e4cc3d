// The broker of a run: Apache Kafka where KAFKA_HOME names it, else the embedded one.

import Basics
import Kafka
import PipelineEvents
import TestSupport

/// A started broker with the pipeline's topics.
struct Broker: Sendable {
    let bootstrapServers: String
    let description: String
    private let server: KafkaServer?
    private let embedded: ChildProcess?

    static let partitions = 12

    static func start() async throws -> Broker {
        if KafkaServer.isAvailable {
            let server = try await KafkaServer()
            let admin = try AdminClient(
                settings: KafkaSettings(bootstrapServers: server.bootstrapServers, clientID: "benchmarks"),
                log: { _ in }
            )
            defer { admin.close() }
            let topics = Topics(prefix: "").plan(partitions: partitions, replication: 1).map { plan in
                NewTopic(name: plan.name, partitions: plan.partitions, replication: 1, config: plan.settings)
            }
            _ = try await admin.createTopics(topics)
            return Broker(
                bootstrapServers: server.bootstrapServers,
                description: "Apache Kafka, one node on this machine",
                server: server,
                embedded: nil
            )
        }
        let embedded = try Programs.start("embedded-broker", ["ADMIN_PORT": "0"])
        let line = try await embedded.line(containing: "the broker is listening")
        return Broker(
            bootstrapServers: try Programs.value("kafka.bootstrap_servers", in: line),
            description: "the embedded broker, in memory",
            server: nil,
            embedded: embedded
        )
    }

    func stop() async {
        await server?.stop()
        embedded?.end()
    }
}

/// The built programs, which lie beside this one.
enum Programs {
    static func start(_ name: String, _ environment: [String: String]) throws -> ChildProcess {
        try ChildProcess("\(ProcessEnvironment.executableFolder)/\(name)", environment: environment)
    }

    /// A value of a JSON log line.
    static func value(_ key: String, in line: String) throws -> String {
        guard let start = line.range(of: "\"\(key)\":") else { throw BenchmarkFailure("no \(key) in: \(line)") }
        let rest = line[start.upperBound...].drop { $0 == "\"" }
        return String(rest.prefix { $0 != "\"" && $0 != "," && $0 != "}" })
    }
}

extension String {
    /// The first occurrence of a text, without Foundation.
    fileprivate func range(of text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
