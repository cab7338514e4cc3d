// Where the brokers are and how to talk to them; what an operator may set, and what is refused.

import CKafka

/// The connection's settings, shared by producer, consumer and admin client.
package struct KafkaSettings: Sendable {
    package let bootstrapServers: String
    package let clientID: String
    /// librdkafka properties of the operator (TLS, SASL, tuning), already looked through by ``parseProperties(_:)``.
    /// They win over this module's defaults and yield to what the promises rest on.
    package let properties: [(name: String, value: String)]

    package init(bootstrapServers: String, clientID: String, properties: [(name: String, value: String)] = []) {
        self.bootstrapServers = bootstrapServers
        self.clientID = clientID
        self.properties = properties
    }

    /// Reads the text of `KAFKA_CONFIG_FILE`: one `name=value` a line, `#` begins a comment line.
    ///
    /// - Throws: ``KafkaError/Code/invalidConfiguration`` with the line's number and the property's name: a line
    ///   without `=`, a name twice, a name or value that the library refuses, a name that ``refusal(of:)`` knows.
    ///   Never the value, which may be a password.
    package static func parseProperties(_ text: String) throws(KafkaError) -> [(name: String, value: String)] {
        var properties: [(name: String, value: String)] = []
        var seen: Set<String> = []
        var scratch = ClientConfiguration()
        var number = 0
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            number += 1
            let line = trimmed(line)
            if line.isEmpty || line.first == "#" { continue }
            guard let separator = line.firstIndex(of: "=") else {
                throw KafkaError(.invalidConfiguration, "line \(number) is not name=value")
            }
            let name = String(trimmed(line[..<separator]))
            let value = String(trimmed(line[line.index(after: separator)...]))
            guard isPropertyName(name) else {
                throw KafkaError(.invalidConfiguration, "line \(number): no property of librdkafka has such a name")
            }
            if let reason = refusal(of: name) {
                throw KafkaError(.invalidConfiguration, "line \(number): \(name) may not be set: \(reason)")
            }
            guard seen.insert(name).inserted else {
                throw KafkaError(.invalidConfiguration, "line \(number): \(name) is set twice")
            }
            do { try scratch.set(name, value) } catch {
                throw KafkaError(.invalidConfiguration, "line \(number): \(error.message)")
            }
            properties.append((name, value))
        }
        return properties
    }

    /// Why a property is not the operator's to set; nil when it is.
    package static func refusal(of name: String) -> String? { refused[name] }

    private static let refused: [String: String] = {
        let reasons: [(String, [String])] = [
            ("a success is a promise that all in-sync replicas have it", ["acks", "request.required.acks"]),
            ("repeats inside the client must not become duplicates", ["enable.idempotence", "transactional.id"]),
            (
                "a message must not be called delivered because a later one was",
                ["max.in.flight.requests.per.connection", "max.in.flight"]
            ),
            ("the answer's deadline rests on it", ["message.timeout.ms", "delivery.timeout.ms"]),
            ("every message has its delivery report", ["delivery.report.only.error"]),
            (
                "only finished events are committed",
                [
                    "enable.auto.commit", "auto.commit.enable", "auto.commit.interval.ms", "enable.auto.offset.store",
                    "offset.store.method", "offset.store.path", "offset.store.sync.interval.ms",
                ]
            ),
            ("a new group starts at the earliest record", ["auto.offset.reset"]),
            ("it is set by KAFKA_BOOTSTRAP_SERVERS", ["bootstrap.servers", "metadata.broker.list"]),
            ("the group is named after the program and TOPIC_PREFIX", ["group.id"]),
            ("it would replace the brokers by the library's mock", ["test.mock.num.brokers"]),
            ("the end of a partition is no fault", ["enable.partition.eof"]),
            ("readiness is measured from it", ["statistics.interval.ms"]),
            ("the library's log goes into the program's", ["log.queue"]),
        ]
        var table: [String: String] = [:]
        for (reason, names) in reasons {
            for name in names { table[name] = reason }
        }
        return table
    }()

    /// Names are echoed in errors, so they must look like one: a stray line may hold half a key.
    private static func isPropertyName(_ name: String) -> Bool {
        (1...80).contains(name.utf8.count)
            && name.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2E || $0 == 0x5F
            }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" }
        var text = text.drop(while: isBlank)
        while let last = text.last, isBlank(last) { text.removeLast() }
        return text
    }
}

extension KafkaSettings: CustomStringConvertible, CustomReflectable {
    /// Names of the operator's properties without their values, which may be passwords.
    package var description: String {
        "\(bootstrapServers) as \(clientID), properties \(properties.map(\.name).joined(separator: " "))"
    }
    package var customMirror: Mirror { Mirror(self, children: ["settings": description]) }
}
