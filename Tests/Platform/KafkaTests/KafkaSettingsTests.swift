import Testing

@testable import Kafka

@Suite struct KafkaSettingsTests {
    @Test func `reads names and values, keeps their order, passes over comments and blanks`() throws {
        let text = """
            # TLS
            security.protocol = ssl\r

              ssl.ca.location=/etc/ssl/certs/ca.pem
            sasl.password=a=b#c
            partition.assignment.strategy=cooperative-sticky
            """
        let properties = try KafkaSettings.parseProperties(text)
        #expect(
            properties.map(\.name) == [
                "security.protocol", "ssl.ca.location", "sasl.password", "partition.assignment.strategy",
            ]
        )
        #expect(properties.map(\.value) == ["ssl", "/etc/ssl/certs/ca.pem", "a=b#c", "cooperative-sticky"])
    }

    @Test func `settings printed or dumped show no value of a property`() {
        let settings = KafkaSettings(
            bootstrapServers: "127.0.0.1:1",
            clientID: "t",
            properties: [("sasl.password", "hunter2")]
        )
        var dumped = ""
        dump(settings, to: &dumped)
        for shown in ["\(settings)", String(reflecting: [settings]), dumped] {
            #expect(shown.contains("sasl.password") && !shown.contains("hunter2"), "\(shown)")
        }
    }

    @Test(arguments: [
        "acks", "request.required.acks", "enable.idempotence", "max.in.flight", "max.in.flight.requests.per.connection",
        "message.timeout.ms", "delivery.timeout.ms",
        "enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store", "auto.offset.reset",
        "bootstrap.servers", "metadata.broker.list", "group.id", "transactional.id", "test.mock.num.brokers",
        "delivery.report.only.error", "statistics.interval.ms", "log.queue", "auto.commit.interval.ms",
    ])
    func `refuses by name what the promises rest on`(_ name: String) throws {
        let error = try #require(throws: KafkaError.self) {
            _ = try KafkaSettings.parseProperties("linger.ms=5\n\(name)=1")
        }
        #expect(error.code == .invalidConfiguration)
        #expect(error.message.contains(name))
        #expect(error.message.contains("line 2"))
        // The same when the list did not come through the parser.
        let settings = KafkaSettings(bootstrapServers: "127.0.0.1:1", clientID: "t", properties: [(name, "1")])
        #expect(throws: KafkaError.self) { _ = try Producer(settings: settings, tuning: .standard) }
    }

    @Test(arguments: [
        ("no separator", "line 1 is not name=value"), ("=5", "line 1"), ("Linger=5", "line 1"),
        ("\nlinger.ms=soon", "line 2: linger.ms"), ("no.such.property=1", "no.such.property"),
        ("linger.ms=5\nlinger.ms=6", "line 2: linger.ms is set twice"),
    ])
    func `tells the line and the name of what it cannot take`(_ text: String, _ part: String) throws {
        let error = try #require(throws: KafkaError.self) { _ = try KafkaSettings.parseProperties(text) }
        #expect(error.code == .invalidConfiguration)
        #expect(error.message.contains(part), "\(error.message)")
    }

    @Test(arguments: ["security.protocol=hunter2", "hunter2hunter2", "hunter2 = ", "sasl.mechanism.x=hunter2"])
    func `never quotes a value`(_ text: String) throws {
        let error = try #require(throws: KafkaError.self) { _ = try KafkaSettings.parseProperties(text) }
        if text.contains("=hunter2") || !text.contains("=") { #expect(!"\(error)".contains("hunter2")) }
    }

    @Test func `our settings are ones that this librdkafka knows`() throws {
        for tuning in [Producer.Tuning.receiver, .standard] {
            var configuration = ClientConfiguration()
            try configuration.apply(
                KafkaSettings(bootstrapServers: "127.0.0.1:1", clientID: "t"),
                defaults: tuning.defaults,
                pinned: tuning.pinned
            )
        }
        for tuning in [Consumer.Tuning.standard, .embedded] {
            var configuration = ClientConfiguration()
            try configuration.apply(
                KafkaSettings(bootstrapServers: "127.0.0.1:1", clientID: "t"),
                defaults: tuning.defaults,
                pinned: tuning.pinned(group: "g")
            )
        }
    }

    @Test func `what is pinned is refused by name, so that no setting is silently ignored`() {
        let pinned = Producer.Tuning.receiver.pinned + Consumer.Tuning.standard.pinned(group: "g")
        for (name, _) in pinned { #expect(KafkaSettings.refusal(of: name) != nil, "\(name)") }
    }

    @Test func `the receiver's delivery timeout lies below the answer's five seconds`() {
        let tuning = Producer.Tuning.receiver
        #expect(tuning.deliveryTimeout + tuning.reportSlack < .seconds(5))
        let pinned = Dictionary(uniqueKeysWithValues: tuning.pinned)
        #expect(pinned["acks"] == "all" && pinned["enable.idempotence"] == "true")
        #expect(pinned["message.timeout.ms"] == "3800")
    }

    @Test func `the library tells its version`() {
        #expect(KafkaLibrary.version.split(separator: ".").count >= 3)
        #expect(KafkaLibrary.versionNumber >= 0x0200_0000)
        #expect(KafkaLibrary.features.contains("ssl"))
    }
}
