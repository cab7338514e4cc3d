// What must be true of a pipeline that has finished its work, whatever happened to it meanwhile: compared with what the
// sandbox says it served, which trusts nothing of the pipeline.

import Basics
import JSON
import Kafka
import PipelineEvents
import PlaidAPI
import Testing

extension Pipeline {
    /// One row of `reports`, with the hash of its text reckoned by the database.
    private struct StoredRow: Hashable {
        let userID: String
        let product: String
        let reportID: String
        let textSHA256: String
        let storedSHA256: String
        let byteCount: Int
    }

    /// Waits until the expected number of reports stands in the database and every group has finished, and then checks
    /// that none is missing, none is there twice, each is what was served, and each was announced.
    ///
    /// - Parameter served: How many reports the sandbox was asked for.
    func expectComplete(_ served: Int, within limit: Duration = .seconds(180)) async throws {
        try await untilStored(served, within: limit)
        for product in ReportProduct.allCases { try await untilNoLag(product) }
        #expect(try await count("dead_letters") == 0)
        #expect(try await count("report_requests", where: "state <> 'stored'") == 0)

        let rows = try await storedRows()
        #expect(rows.count == served)
        #expect(rows.allSatisfy { $0.textSHA256 == $0.storedSHA256 })
        let truth = try await sandbox.truth()
        #expect(truth.count == served)
        let wanted = Set(truth.map { [$0.userID, $0.product, $0.sha256, "\($0.byteCount)"] })
        let found = Set(rows.map { [$0.userID, $0.product, $0.textSHA256, "\($0.byteCount)"] })
        #expect(wanted.subtracting(found) == [], "reports that were served and are not stored as served")
        #expect(found.subtracting(wanted) == [], "rows of what was never served")
        try await expectAnnounced(rows)
    }

    private func storedRows() async throws -> [StoredRow] {
        try await rows(
            """
            select user_id, product, report_id, encode(sha256(convert_to(body, 'UTF8')), 'hex'),
                   encode(body_sha256, 'hex'), byte_count
              from reports
            """
        ).map { row in
            StoredRow(
                userID: row[0],
                product: row[1],
                reportID: row[2],
                textSHA256: row[3],
                storedSHA256: row[4],
                byteCount: Int(row[5]) ?? -1
            )
        }
    }

    /// Each stored report stands on its product's topic; repeats carry the same id.
    private func expectAnnounced(_ rows: [StoredRow]) async throws {
        let events = try await reader.records(of: ReportProduct.allCases.map { topics.reports($0) })
        for product in ReportProduct.allCases {
            let records = events[topics.reports(product)] ?? []
            var announced: [String: Set<String?>] = [:]
            for record in records {
                let data = try JSON.parse(record.value)
                let row = StoredRow(
                    userID: data["user_id"]?.stringValue ?? "",
                    product: data["product"]?.stringValue ?? "",
                    reportID: data["report_id"]?.stringValue ?? "",
                    textSHA256: data["body_sha256"]?.stringValue ?? "",
                    storedSHA256: data["body_sha256"]?.stringValue ?? "",
                    byteCount: Int(data["byte_count"]?.intValue ?? -1)
                )
                #expect(rows.contains(row), "an event about no row: \(row)")
                #expect(record.keyText == row.userID)
                announced[row.reportID, default: []].insert(record.header("ce_id"))
            }
            let stored = rows.filter { $0.product == product.rawValue }
            #expect(Set(announced.keys) == Set(stored.map(\.reportID)), "\(product.rawValue)")
            #expect(announced.values.allSatisfy { $0.count == 1 && $0.first != nil })
        }
    }

    /// Every message in the topics that were used, against the documents under schemas/.
    func expectLawfulMessages() async throws {
        let reports = ReportProduct.allCases.map { topics.reports($0) }
        let records = try await reader.records(of: topics.webhooks + reports)
        let webhooks = try await MessageSchemas.complaints(
            about: records[topics.checkReport] ?? [],
            values: "webhooks/check-report.schema.json",
            headers: "webhookHeaders"
        )
        #expect(webhooks == [])
        for topic in reports {
            let complaints = try await MessageSchemas.complaints(
                about: records[topic] ?? [],
                values: "events/report-stored.schema.json",
                headers: "eventHeaders"
            )
            #expect(complaints == [])
        }
        // These tests send none of the other kinds.
        for topic in topics.webhooks where topic != topics.checkReport { #expect(records[topic]?.isEmpty == true) }
    }
}
