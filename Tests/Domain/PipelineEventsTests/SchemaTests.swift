// The documents under schemas/ against another library's validator, against this module's own output, and against
// the topics this module names.

import Basics
import Cryptography
import JSON
import PipelineEvents
import PlaidAPI
import TestSupport
import Testing

private enum Schemas {
    static let webhooks = ["check-report", "cra-report", "item", "transactions", "link", "layer", "other"]
        .map { "webhooks/\($0).schema.json" }
    static let events = ["report-stored", "lifecycle"].map { "events/\($0).schema.json" }
}

/// Skipped by name where Debian's python3-jsonschema and python3-yaml are missing.
@Suite(
    .enabled("python3-jsonschema and python3-yaml are installed") { await SchemaValidator.has("jsonschema", "yaml") }
)
struct SchemaTests {
    @Test(arguments: Schemas.webhooks + Schemas.events)
    func `is a valid schema whose examples are valid`(_ file: String) async throws {
        let lines = try await SchemaValidator.run(["check", SchemaValidator.path(file)])
        #expect(lines.first?.hasPrefix("ok ") == true)
    }

    @Test(arguments: [
        ("webhooks/check-report.schema.json", #"{"webhook_type":"CHECK_REPORT","webhook_code":"CHECK_REPORT_READY"}"#),
        ("webhooks/check-report.schema.json", #"{"webhook_type":"ITEM","webhook_code":"X"}"#),
        (
            "webhooks/check-report.schema.json",
            #"{"webhook_type":"CHECK_REPORT","webhook_code":"CHECK_REPORT_READY","user_id":7}"#
        ),
        (
            "webhooks/cra-report.schema.json",
            #"{"webhook_type":"CRA_REPORT","webhook_code":"CRA_REPORT_READY","user_id":"u","report_id":"r","#
                + #""successful_products":["cra_base_report"],"failed_products":[]}"#
        ),
        ("webhooks/item.schema.json", #"{"webhook_type":"ITEM","webhook_code":"ERROR","error":null}"#),
        ("webhooks/transactions.schema.json", #"{"webhook_type":"TRANSACTIONS"}"#),
        ("webhooks/link.schema.json", #"{"webhook_type":"LINK","webhook_code":"SESSION_FINISHED","link_token":"l"}"#),
        ("webhooks/layer.schema.json", #"{"webhook_type":"LAYER","webhook_code":"LAYER_AUTHENTICATION_PASSED"}"#),
        ("webhooks/other.schema.json", #"{"webhook_type":"ITEM","webhook_code":"ERROR"}"#),
        ("events/report-stored.schema.json", #"{"user_id":"u"}"#),
        ("events/lifecycle.schema.json", #"{"kind":"lost"}"#),
    ])
    func `refuses what does not follow it`(_ file: String, _ document: String) async throws {
        let lines = try await SchemaValidator.run(["instances", SchemaValidator.path(file)], input: [document])
        #expect(lines.count == 1)
        #expect(lines.first?.hasPrefix("error at ") == true, "\(lines)")
    }

    @Test func `describes the events this module writes`() async throws {
        var stored = ReportStored(
            userID: "usr_1",
            product: "cra_base_report",
            reportID: "r \"1\" é",
            generatedAt: nil,
            byteCount: 0,
            bodySHA256: SHA256.hash([UInt8]()).hex,
            clientReportID: nil,
            fraudAlert: true
        )
        let empty = stored.json
        stored.generatedAt = "2026-11-20T03:04:05.123456789Z"
        stored.clientReportID = "loan"
        stored.byteCount = 64 * 1024 * 1024
        let documents = [empty, stored.json].map { String(decoding: $0, as: UTF8.self) }
        let verdicts = try await SchemaValidator.run(
            ["instances", SchemaValidator.path("events/report-stored.schema.json")],
            input: documents
        )
        #expect(verdicts == ["ok", "ok"])

        let events = LifecycleEvent.Kind.allCases.map { kind in
            LifecycleEvent(
                kind: kind,
                userID: "usr_1",
                product: kind == .failed ? nil : "cra_base_report",
                occurredAt: Timestamp(microsecondsSinceEpoch: 1_795_230_000_000_001),
                deadline: kind == .expired ? Timestamp(secondsSinceEpoch: 1_795_316_400) : nil,
                errorType: kind == .failed ? "CHECK_REPORT_ERROR" : nil,
                itemIDs: kind == .needsRepair ? ["i"] : []
            )
        }
        let lifecycle = try await SchemaValidator.run(
            ["instances", SchemaValidator.path("events/lifecycle.schema.json")],
            input: events.map { String(decoding: $0.json, as: UTF8.self) }
        )
        #expect(lifecycle == Array(repeating: "ok", count: events.count))
    }

    @Test func `describes the headers this module writes`() async throws {
        func document(_ pairs: [HeaderPair]) -> String {
            let members = pairs.map {
                JSONMember(key: $0.name, value: .string(String(decoding: $0.value ?? [], as: UTF8.self)))
            }
            return String(decoding: JSONValue.object(members).serialized(pretty: false), as: UTF8.self)
        }
        let time = Timestamp(microsecondsSinceEpoch: 1_795_230_000_000_001)
        let webhook = WebhookEnvelope.headers(
            environment: .sandbox,
            routing: WebhookRouting(type: "CHECK_REPORT", code: "X\u{1}", userID: "usr_1"),
            bodyDigest: SHA256.hash([1]),
            issuedAt: 1,
            receivedAt: time,
            token: "a.b.c",
            traceParent: TraceParent(traceID: 1, spanID: 2, flags: 0)
        )
        let origin = RecordOrigin(topic: "t", partition: 0, offset: 0, timestamp: time)
        let failed = FailureProvenance(
            group: "g",
            original: origin,
            attempts: 1,
            firstFailedAt: time,
            lastFailedAt: time,
            errorType: "timeout",
            errorCode: "c",
            reason: "r"
        )
        .added(to: webhook)
        let asyncAPI = SchemaValidator.path("asyncapi.yaml")
        #expect(
            try await SchemaValidator.run(["headers", asyncAPI, "webhookHeaders"], input: [document(webhook)]) == ["ok"]
        )
        let failures = [
            document(failed), document(FailureProvenance.replayed(failed, died: origin)), document(webhook),
        ]
        #expect(
            try await SchemaValidator.run(["headers", asyncAPI, "failureHeaders"], input: failures)
                == ["ok", "ok", "error at /: required"]
        )
        let bare = webhook.filter { $0.name != "received-at" }
        #expect(
            try await SchemaValidator.run(["headers", asyncAPI, "webhookHeaders"], input: [document(bare)])
                == ["error at /: required"]
        )
    }

    @Test func `names exactly the topics of the plan, with its partitions and settings`() async throws {
        let lines = try await SchemaValidator.run(["topics", SchemaValidator.path("asyncapi.yaml")])
        let planned = Topics(prefix: "").all.map { plan in
            let settings = plan.settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            return "\(plan.name) \(plan.partitions) \(plan.replication) \(settings.joined(separator: " "))"
        }
        #expect(lines.sorted() == planned.sorted())
    }
}
