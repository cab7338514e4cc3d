// Owner of a librdkafka configuration until a handle takes it over.

import CKafka

/// One `rd_kafka_conf_t`. `rd_kafka_new` frees it on success only; every other end is `deinit`'s.
struct ClientConfiguration: ~Copyable {
    private let pointer: OpaquePointer

    init() { pointer = rd_kafka_conf_new() }

    deinit { rd_kafka_conf_destroy(pointer) }

    /// - Throws: ``KafkaError/Code/invalidConfiguration`` that names the property, never its value.
    mutating func set(_ name: String, _ value: String) throws(KafkaError) {
        var reason = [CChar](repeating: 0, count: 512)
        // The library cuts a C string at its first NUL: what it then sees is not what was written.
        guard !value.utf8.contains(0) else { throw KafkaError(.invalidConfiguration, "\(name): the value holds a NUL") }
        switch rd_kafka_conf_set(pointer, name, value, &reason, reason.count) {
        case RD_KAFKA_CONF_OK: return
        case RD_KAFKA_CONF_UNKNOWN:
            throw KafkaError(.invalidConfiguration, "\(name) is no property of librdkafka \(KafkaLibrary.version)")
        // The library's own text quotes the value.
        default: throw KafkaError(.invalidConfiguration, "\(name): librdkafka refuses this value")
        }
    }

    /// Settings in their order of rank: our defaults, the operator's, what the promises rest on.
    mutating func apply(
        _ settings: KafkaSettings,
        defaults: [(String, String)],
        pinned: [(String, String)]
    ) throws(KafkaError) {
        for (name, value) in defaults { try set(name, value) }
        try set("client.id", settings.clientID)
        for (name, value) in settings.properties {
            if let reason = KafkaSettings.refusal(of: name) {
                throw KafkaError(.invalidConfiguration, "\(name) may not be set: \(reason)")
            }
            try set(name, value)
        }
        try set("bootstrap.servers", settings.bootstrapServers)
        for (name, value) in pinned { try set(name, value) }
        // Log lines come as events on the handle's own queue, never on the library's threads.
        try set("log.queue", "true")
    }

    mutating func setEvents(_ events: Int32) { rd_kafka_conf_set_events(pointer, events) }

    /// Without a log callback nothing is written to standard error.
    mutating func silence() { rd_kafka_conf_set_log_cb(pointer, nil) }

    consuming func makeHandle(_ kind: rd_kafka_type_t) throws(KafkaError) -> OpaquePointer {
        var reason = [CChar](repeating: 0, count: 512)
        guard let handle = rd_kafka_new(kind, pointer, &reason, reason.count) else {
            let error = KafkaError(.invalidConfiguration, text(of: reason))
            _ = consume self
            throw error
        }
        discard self
        return handle
    }
}

/// A property's value as a handle has it; nil for an unknown name.
func clientSetting(_ client: OpaquePointer, _ name: String) -> String? {
    var size = 512
    var buffer = [CChar](repeating: 0, count: size)
    guard rd_kafka_conf_get(rd_kafka_conf(client), name, &buffer, &size) == RD_KAFKA_CONF_OK else { return nil }
    return text(of: buffer)
}
