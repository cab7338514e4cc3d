// Real Apache Kafka for tests: from the folder named by KAFKA_HOME, in KRaft mode, on free loopback ports.

import Basics
import Glibc

/// One to three nodes, each broker and controller, with their data in a temporary folder.
///
/// The nodes are plain `java` processes, so that SIGSTOP and SIGKILL hit the broker and no script around it. They are
/// killed when the last holder lets go, and at the latest when the test process ends.
package final class KafkaServer: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private struct Node: Sendable {
        let id: Int
        let port: UInt16
        let properties: String
        var process: ChildProcess?
    }

    /// Nil when KAFKA_HOME is not set: tests that need real brokers are skipped by `.enabled(if:)` then.
    package static let home: String? = ProcessEnvironment.value("KAFKA_HOME")
    package static var isAvailable: Bool { home != nil }

    private static let clusterID = "Y2hlY2stcGlwZWxpbmUtMQ"
    /// A JVM's start on a loaded two-core machine.
    private static let startLimit = Duration.seconds(60)

    private let folder: TemporaryFolder
    /// Outlives a killed test process: see ``janitorScript``.
    private let janitor: ChildProcess
    private let libraries: String
    private let nodes: Locked<[Node]>
    /// Like `127.0.0.1:40001`, one for each node.
    package let bootstrapServers: String
    /// The wires of those who come by ``relayedBootstrapServers``, one for each node; empty without relays.
    private let relays: [TCPRelay]
    package var relayedBootstrapServers: String {
        relays.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
    }

    /// Formats the folders and starts all nodes; returns when each has said that it serves.
    ///
    /// - Parameter hasRelays: Each node also listens behind a wire that ``cut(node:)`` cuts.
    package init(nodes count: Int = 1, hasRelays: Bool = false) async throws {
        guard let home = Self.home else { throw Failure(description: "KAFKA_HOME is not set") }
        let folder = TemporaryFolder("kafka")
        self.folder = folder
        janitor = try ChildProcess("/bin/sh", ["-c", Self.janitorScript, "janitor", folder.path], standardInput: true)
        libraries = "\(home)/libs/*"
        let ports = try FreePorts.take((hasRelays ? 3 : 2) * count)
        let relays = try hasRelays ? ports[(2 * count)...].map { try TCPRelay(to: $0) } : []
        self.relays = relays
        let voters = (0..<count).map { "\($0 + 1)@127.0.0.1:\(ports[2 * $0 + 1])" }.joined(separator: ",")
        folder.write(Self.logConfiguration, to: "log4j2.properties")
        nodes = Locked(
            (0..<count).map { index in
                let id = index + 1
                let text = Self.configuration(
                    id: id,
                    nodes: count,
                    port: ports[2 * index],
                    controllerPort: ports[2 * index + 1],
                    voters: voters,
                    data: "\(folder.path)/data-\(id)",
                    relayed: hasRelays ? (port: ports[2 * count + index], through: relays[index].port) : nil
                )
                let file = folder.write(text, to: "node-\(id).properties")
                return Node(id: id, port: ports[2 * index], properties: file, process: nil)
            }
        )
        bootstrapServers = (0..<count).map { "127.0.0.1:\(ports[2 * $0])" }.joined(separator: ",")
        for node in nodes.withLock({ $0 }) { try await format(node) }
        for id in 1...count { try launch(id) }
        for id in 1...count { try await untilReady(id) }
    }

    deinit {
        for node in nodes.withLock({ $0 }) {
            // A frozen process takes SIGKILL too.
            node.process?.end()
        }
        janitor.closeInput()
    }

    // MARK: Trouble

    /// SIGKILL: nothing is flushed, no controlled shutdown. Returns when the process is gone.
    package func kill(node id: Int = 1) async throws {
        guard let process = process(id) else { return }
        process.kill(SIGKILL)
        _ = try await process.exit(within: .seconds(10))
    }

    /// SIGSTOP: connections stay, answers do not come.
    package func freeze(node id: Int = 1) { process(id)?.kill(SIGSTOP) }

    /// SIGCONT.
    package func thaw(node id: Int = 1) { process(id)?.kill(SIGCONT) }

    /// Nothing passes any more between a node and those who come through its relay.
    package func cut(node id: Int = 1) { relays[id - 1].cut() }
    package func mend(node id: Int = 1) { relays[id - 1].mend() }
    /// Closes every connection through a node's relay.
    package func reset(node id: Int = 1) { relays[id - 1].reset() }

    /// Starts a killed node again with the same data on the same port; returns when it serves.
    package func restart(node id: Int = 1) async throws {
        try launch(id)
        try await untilReady(id)
    }

    /// Ends every node at once and waits for their ends.
    package func stop() async {
        for node in nodes.withLock({ $0 }) {
            node.process?.kill(SIGKILL)
            _ = try? await node.process?.exit(within: .seconds(10))
        }
    }

    /// What a node has logged since its last start.
    package func log(node id: Int = 1) -> String { process(id)?.text ?? "" }

    // MARK: Processes

    private func process(_ id: Int) -> ChildProcess? {
        nodes.withLock { $0.first { $0.id == id }?.process }
    }

    private func format(_ node: Node) async throws {
        let tool = try java(["kafka.tools.StorageTool", "format", "-t", Self.clusterID, "-c", node.properties])
        let exit = try await tool.exit(within: Self.startLimit)
        guard exit.code == 0 else { throw Failure(description: "the storage could not be formatted:\n\(tool.text)") }
    }

    private func launch(_ id: Int) throws {
        guard let node = nodes.withLock({ $0.first { $0.id == id } }) else { return }
        let process = try java(["kafka.Kafka", node.properties])
        nodes.withLock { nodes in
            for index in nodes.indices where nodes[index].id == id { nodes[index].process = process }
        }
    }

    private func untilReady(_ id: Int) async throws {
        _ = try await process(id)?.line(containing: "Kafka Server started", within: Self.startLimit)
    }

    private func java(_ arguments: [String]) throws -> ChildProcess {
        // Small, quick to start, and content with one core.
        let options = [
            "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto",
            "-Dlog4j2.configurationFile=\(folder.path)/log4j2.properties",
        ]
        let runtime = ProcessEnvironment.value("JAVA_HOME").map { "\($0)/bin/java" } ?? "/usr/bin/java"
        return try ChildProcess(runtime, options + ["-cp", libraries] + arguments, directory: folder.path)
    }

    // MARK: Files

    /// Waits for the end of its input, which comes with the end of the test process whatever ends it, and then kills
    /// what works in the folder and removes it. In the background, since children known to the test process are
    /// killed when that ends.
    private static let janitorScript = """
        exec 3<&0
        (
            cat <&3 > /dev/null
            for process in /proc/[0-9]*; do
                if [ "$(readlink "$process/cwd")" = "$1" ]; then kill -9 "${process#/proc/}"; fi
            done
            rm -rf "$1"
        ) 2> /dev/null &
        """

    private static func configuration(
        id: Int,
        nodes: Int,
        port: UInt16,
        controllerPort: UInt16,
        voters: String,
        data: String,
        relayed: (port: UInt16, through: UInt16)?
    ) -> String {
        let listener = relayed.map { ",RELAYED://127.0.0.1:\($0.port)" } ?? ""
        let advertised = relayed.map { ",RELAYED://127.0.0.1:\($0.through)" } ?? ""
        return """
            process.roles=broker,controller
            node.id=\(id)
            listeners=PLAINTEXT://127.0.0.1:\(port),CONTROLLER://127.0.0.1:\(controllerPort)\(listener)
            advertised.listeners=PLAINTEXT://127.0.0.1:\(port)\(advertised)
            inter.broker.listener.name=PLAINTEXT
            controller.listener.names=CONTROLLER
            listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,RELAYED:PLAINTEXT
            controller.quorum.voters=\(voters)
            log.dirs=\(data)
            num.partitions=1
            auto.create.topics.enable=false
            offsets.topic.num.partitions=4
            offsets.topic.replication.factor=\(min(nodes, 3))
            transaction.state.log.num.partitions=2
            transaction.state.log.replication.factor=\(min(nodes, 3))
            transaction.state.log.min.isr=\(min(nodes, 2))
            share.coordinator.state.topic.replication.factor=\(min(nodes, 3))
            share.coordinator.state.topic.min.isr=\(min(nodes, 2))
            group.initial.rebalance.delay.ms=0
            broker.session.timeout.ms=4000
            broker.heartbeat.interval.ms=500
            message.max.bytes=2097152
            num.network.threads=2
            num.io.threads=2

            """
    }

    private static let logConfiguration = """
        status=warn
        appender.console.type=Console
        appender.console.name=STDOUT
        appender.console.layout.type=PatternLayout
        appender.console.layout.pattern=%p %m (%c)%n
        rootLogger.level=warn
        rootLogger.appenderRef.console.ref=STDOUT
        logger.server.name=kafka.server
        logger.server.level=info

        """
}

/// Ports that were free a moment ago. For servers that must keep their port over a restart and cannot be given 0.
///
/// Drawn from below the range that the kernel gives to outgoing connections and to listeners on port 0: one of those
/// would sooner or later take a port between this look and the server's own bind, or while the server is down.
package enum FreePorts {
    private static let range: ClosedRange<UInt16> = 12_000...31_999
    private static let mostTries = 1_000

    package static func take(_ count: Int) throws -> [UInt16] {
        var sockets: [Int32] = []
        // All are held until the last is bound, so that no two are the same.
        defer { for socket in sockets { close(socket) } }
        var ports: [UInt16] = []
        for _ in 0..<mostTries where ports.count < count {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { throw KafkaServer.Failure(description: "no socket") }
            sockets.append(descriptor)
            let port = UInt16.random(in: range)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    bind(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if result == 0 { ports.append(port) }
        }
        guard ports.count == count else { throw KafkaServer.Failure(description: "no free port") }
        return ports
    }
}
