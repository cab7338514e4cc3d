import Basics
import JSON
import Kafka
import PipelineEvents
import ServiceKit
import TestSupport
import Testing

@testable import OperatorCommands

@Suite struct TopicCommandTests {
    private static func states(_ outcome: Operator.Outcome) throws -> [String] {
        let rows = try JSON.parse(outcome.output).arrayValue ?? []
        return rows.compactMap { $0["state"]?.stringValue }
    }

    @Test(.enabled(if: KafkaServer.isAvailable))
    func `on a real broker: plans, makes what is missing, takes nothing away, and then shows lag`() async throws {
        let broker = try await KafkaServer()
        var person = try await Operator.arrives()
        person.environment = ["KAFKA_BOOTSTRAP_SERVERS": broker.bootstrapServers, "TOPIC_PREFIX": "ops."]
        let size = ["--partitions", "3", "--replication", "1", "--output", "json"]
        let all = Topics(prefix: "ops.").all.count

        let early = await person.runs("status")
        #expect(
            early.failure == ProgramFailure(.unavailable, "Kafka does not have all topics: run checkctl topics apply")
        )

        let plan = try await person.runs(["topics", "plan"] + size).succeeded()
        #expect(try Self.states(plan) == Array(repeating: "missing", count: all))
        #expect(plan.text.contains("ops.plaid.webhooks.check-report"))

        let tooMany = await person.runs("topics", "apply", "--output", "json")
        #expect(tooMany.failure?.code == .unavailable)
        #expect(tooMany.failure?.message.contains("\(all) of \(all) topics could not be made") == true)
        #expect(try Self.states(tooMany).allSatisfy { $0.hasPrefix("failed: ") })

        let made = try await person.runs(["topics", "apply"] + size).succeeded()
        #expect(try Self.states(made) == Array(repeating: "made", count: all))
        let again = try await person.runs(["topics", "apply"] + size).succeeded()
        #expect(try Self.states(again) == Array(repeating: "present", count: all))
        let fewer = try await person.runs(
            "topics",
            "apply",
            "--partitions",
            "1",
            "--replication",
            "1",
            "--output",
            "json"
        ).succeeded()
        #expect(try Self.states(fewer) == Array(repeating: "present", count: all))
        let more = try await person.runs(
            "topics",
            "apply",
            "--partitions",
            "6",
            "--replication",
            "1",
            "--output",
            "json"
        ).succeeded()
        #expect(try Self.states(more) == Array(repeating: "has 3 partitions; left alone", count: all))

        let producer = try Producer(
            settings: KafkaSettings(bootstrapServers: broker.bootstrapServers, clientID: "test"),
            tuning: .standard
        )
        try await closing({ producer.close(until: Operator.soon) }) {
            for number in 0..<4 {
                let record = ProducerRecord(
                    topic: "ops.plaid.webhooks.check-report",
                    key: Array("usr_\(number)".utf8),
                    value: Bytes(utf8: "{}")
                )
                _ = try await producer.publish(record, deadline: Operator.soon)
            }
        }
        let status = try await person.runs("status", "--output", "json").succeeded()
        let groups = try JSON.parse(status.output)["groups"]?.arrayValue ?? []
        #expect(groups.map { $0["lag"]?.intValue } == [4, 4, 4])
        let partitions = try await person.runs("status", "--partitions", "--output", "json").succeeded()
        let rows = try JSON.parse(partitions.output).arrayValue ?? []
        #expect(rows.count == 3 * 6)
        #expect(rows.compactMap { $0["lag"]?.intValue }.reduce(0, +) == 12)
        await broker.stop()
    }

    @Test func `on a broker without a controller it says so, and that the embedded one needs none`() async throws {
        let cluster = try MockCluster()
        defer { cluster.close() }
        var person = try await Operator.arrives(migrated: false)
        person.environment["KAFKA_BOOTSTRAP_SERVERS"] = cluster.bootstrapServers
        let plan = try await person.runs("topics", "plan", "--output", "json").succeeded()
        #expect(try Self.states(plan).contains("missing"))
        let apply = await person.runs("topics", "apply")
        #expect(apply.failure?.code == .unavailable)
        #expect(apply.failure?.message.contains("its controller did not make the topics") == true)
        #expect(apply.failure?.message.contains("the embedded broker") == true)
    }
}
