// Which librdkafka runs here: read from the library itself, since the distribution may patch it under us.

import CKafka

package enum KafkaLibrary {
    /// Like `2.0.2`.
    package static var version: String { String(cString: rd_kafka_version_str()) }

    /// `0xMMmmrrpp`: major, minor, revision, pre-release (`ff` for a release).
    package static var versionNumber: Int { Int(rd_kafka_version()) }

    /// What the library was built with, like `ssl`, `sasl_scram`, `zstd`.
    package static var features: [String] {
        guard let configuration = rd_kafka_conf_new() else { return [] }
        defer { rd_kafka_conf_destroy(configuration) }
        var size = 512
        var buffer = [CChar](repeating: 0, count: size)
        guard rd_kafka_conf_get(configuration, "builtin.features", &buffer, &size) == RD_KAFKA_CONF_OK else {
            return []
        }
        return text(of: buffer).split(separator: ",").map(String.init)
    }
}

/// The text of a C buffer up to its NUL.
func text(of buffer: [CChar]) -> String {
    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
