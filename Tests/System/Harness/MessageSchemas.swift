// Every message of a test, judged by the documents under schemas/ and a validator that is not ours.

import Basics
import JSON
import Kafka
import TestSupport

enum MessageSchemas {
    /// False where Debian's python3-jsonschema and python3-yaml are missing.
    static var areAvailable: Bool { get async { await SchemaValidator.has("jsonschema", "yaml") } }

    /// Verdicts other than "ok" on values and headers, with where the record stands.
    static func complaints(
        about records: [ConsumerRecord],
        values schema: String?,
        headers name: String
    ) async throws -> [String] {
        guard !records.isEmpty else { return [] }
        var verdicts: [[String]] = [
            try await SchemaValidator.run(
                ["headers", SchemaValidator.path("asyncapi.yaml"), name],
                input: records.map(headerDocument)
            )
        ]
        if let schema {
            // One line each: the validator reads lines, Plaid writes many.
            let lines = try records.map { record in
                String(decoding: try JSON.parse(record.value).serialized(pretty: false), as: UTF8.self)
            }
            verdicts.append(try await SchemaValidator.run(["instances", SchemaValidator.path(schema)], input: lines))
        }
        var complaints: [String] = []
        for list in verdicts {
            if list.count != records.count { complaints.append("\(list.count) verdicts on \(records.count) records") }
            for (verdict, record) in zip(list, records) where verdict != "ok" {
                complaints.append("\(record.topicPartition)@\(record.offset): \(verdict)")
            }
        }
        return complaints
    }

    private static func headerDocument(_ record: ConsumerRecord) -> String {
        let members = record.headers.map {
            JSONMember(key: $0.name, value: .string(String(decoding: $0.value ?? [], as: UTF8.self)))
        }
        return String(decoding: JSONValue.object(members).serialized(pretty: false), as: UTF8.self)
    }
}
