// The Kafka of one test: the embedded broker's own process, or real nodes where KAFKA_HOME names some.

import Basics
import Glibc
import TestSupport
import Testing

enum BrokerKind: String, CaseIterable, CustomTestStringConvertible {
    case embedded, kafka

    /// Real brokers need KAFKA_HOME.
    static var available: [BrokerKind] { KafkaServer.isAvailable ? allCases : [.embedded] }
    /// What most tests run on.
    static var best: BrokerKind { KafkaServer.isAvailable ? .kafka : .embedded }

    var testDescription: String { rawValue }
}

final class TestBroker: Sendable {
    private enum Process { case embedded(ServiceProcess), kafka(KafkaServer) }

    let kind: BrokerKind
    let bootstrapServers: String
    private let process: Process

    /// The test process's common Kafka, started by the first who asks.
    private static let common = Task { try await KafkaServer() }

    /// - Parameters:
    ///   - prefix: The embedded broker makes its topics itself.
    ///   - isOwn: Real nodes of this test's own, for one that stops them.
    init(_ kind: BrokerKind, prefix: String, isOwn: Bool) async throws {
        self.kind = kind
        switch kind {
        case .embedded:
            let broker = try ServiceProcess("embedded-broker", environment: ["TOPIC_PREFIX": prefix])
            process = .embedded(broker)
            bootstrapServers = try await broker.logged("kafka.bootstrap_servers", in: "the broker is listening")
        case .kafka:
            let server = isOwn ? try await KafkaServer() : try await Self.common.value
            process = .kafka(server)
            bootstrapServers = server.bootstrapServers
        }
    }

    /// SIGSTOP: connections stay, answers do not come.
    func freeze() {
        switch process {
        case .embedded(let broker): broker.child.kill(SIGSTOP)
        case .kafka(let server): server.freeze()
        }
    }

    func thaw() {
        switch process {
        case .embedded(let broker): broker.child.kill(SIGCONT)
        case .kafka(let server): server.thaw()
        }
    }

    /// SIGKILL. Only real nodes keep what they have.
    func kill() async throws {
        switch process {
        case .embedded(let broker): try await broker.kill()
        case .kafka(let server): try await server.kill()
        }
    }

    /// Starts a killed node again, on its port and data.
    func restart() async throws {
        if case .kafka(let server) = process { try await server.restart() }
    }

    /// For the end of a test: the embedded broker ends, a shared one stays.
    func end() {
        if case .embedded(let broker) = process { broker.child.end() }
    }
}
