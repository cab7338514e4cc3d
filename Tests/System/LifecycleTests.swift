// Start means wait: a dependency that comes late is taken up without a restart.

import Basics
import HTTPClient
import PlaidAPI
import TestSupport
import Testing

extension SystemTests {
    @Suite struct LifecycleTests {
        @Test func `a consumer waits for the database and for its schema`() async throws {
            let postgres = try await PostgresServer.start()
            let url = try await postgres.freshDatabase()
            let broker = try await TestBroker(.embedded, prefix: "", isOwn: true)
            defer { broker.end() }
            let settings = ConfigurationTests.sound.merging([
                "DATABASE_URL": url, "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrapServers,
            ]) { _, new in new }

            try await postgres.stop()
            let consumer = try ServiceProcess("base-report-consumer", environment: settings)
            defer { consumer.child.end() }
            _ = try await consumer.logLine("waiting for a dependency")
            #expect(try await consumer.status("/health/live") == 200)
            #expect(try await consumer.status("/health/ready") == 503)

            try await postgres.startAgain()
            let ready = try await consumer.adminURL() + "/health/ready"
            try await eventually("the consumer says that the schema is missing") { () -> Bool? in
                try await TestHTTP.shared.get(ready).body.string()?.contains("checkctl migrate") == true ? true : nil
            }
            #expect(try await consumer.status("/health/ready") == 503)

            let migrate = try ChildProcess(
                ServiceProcess.path("checkctl"),
                ["migrate", "--schemas", "\(SchemaValidator.root)/schemas/postgres"],
                environment: ["DATABASE_URL": url]
            )
            defer { migrate.end() }
            #expect(try await migrate.exit().code == 0)
            try await consumer.untilReady()
            #expect(try await consumer.stop() == 0)
        }

        @Test func `the receiver waits for Kafka`() async throws {
            let broker = try await TestBroker(.embedded, prefix: "", isOwn: true)
            defer { broker.end() }
            broker.freeze()
            let settings = ConfigurationTests.sound.merging([
                "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrapServers
            ]) { _, new in new }
            let receiver = try ServiceProcess("webhook-receiver", environment: settings)
            defer { receiver.child.end() }
            _ = try await receiver.logLine("waiting for a dependency")
            let publicReady = try await receiver.publicURL() + "/health/ready"
            #expect(try await receiver.status("/health/live") == 200)
            #expect(try await receiver.status("/health/ready") == 503)
            #expect(try await TestHTTP.shared.get(publicReady).status == 503)

            broker.thaw()
            try await receiver.untilReady()
            #expect(try await TestHTTP.shared.get(publicReady).status == 200)

            // Later trouble is for the receiver's own 429, not for a balancer's 503.
            broker.freeze()
            let ready = try await receiver.adminURL() + "/health/ready"
            try await eventually("the admin listener sees that Kafka is gone") { () -> Bool? in
                try await TestHTTP.shared.get(ready).status == 503 ? true : nil
            }
            #expect(try await TestHTTP.shared.get(publicReady).status == 200)
            broker.thaw()
            try await receiver.untilReady()
            #expect(try await receiver.stop() == 0)
        }
    }
}
