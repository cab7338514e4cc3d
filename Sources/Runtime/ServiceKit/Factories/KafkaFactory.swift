// Kafka's settings from ours, and its library's log lines into the program's.

import Basics
package import Kafka

extension Settings {
    package static let kafkaConfigLimit = 1 << 20

    /// What `KAFKA_BOOTSTRAP_SERVERS` and `KAFKA_CONFIG_FILE` say.
    ///
    /// - Throws: ``ConfigurationError`` for a file that cannot be read, or that sets what the promises rest on; it
    ///   names the line and the property, never a value.
    package func kafkaSettings(clientID: String) throws(ConfigurationError) -> KafkaSettings {
        var properties: [(name: String, value: String)] = []
        let key = Setting.kafkaConfigFile.name
        if let path = self[Setting.kafkaConfigFile] {
            let bytes: [UInt8]
            do {
                bytes = try FileContents.read(path, limit: Self.kafkaConfigLimit)
            } catch {
                throw ConfigurationError(key, "names a file that cannot be read: \(error)")
            }
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw ConfigurationError(key, "names a file that is not UTF-8 text")
            }
            do {
                properties = try KafkaSettings.parseProperties(text)
            } catch {
                throw ConfigurationError(key, error.message)
            }
        }
        return KafkaSettings(
            bootstrapServers: self[Setting.kafkaBootstrapServers],
            clientID: clientID,
            properties: properties
        )
    }
}

extension Logger {
    /// Takes librdkafka's own lines, at the levels of syslog.
    package var kafkaLog: @Sendable (KafkaLogLine) -> Void {
        { line in
            log(
                level: Self.level(ofSyslog: line.level),
                "librdkafka says",
                metadata: ["kafka.facility": .string(line.facility), "kafka.message": .string(line.message)]
            )
        }
    }

    static func level(ofSyslog severity: Int) -> Level {
        switch severity {
        case ...2: .critical
        case 3: .error
        case 4: .warning
        case 5: .notice
        case 6: .info
        default: .debug
        }
    }
}
