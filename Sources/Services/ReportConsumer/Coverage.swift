// Rule 4 as a value: which stored reports answer the events of one piece of work.

import Basics
import ReportStore

/// What the reports in the database say about the READYs that stand in a lane.
struct Coverage: Equatable {
    /// For each event that needs no fetch the report that answers it: the one of least coverage that reaches its
    /// receipt, which is the one its own fetch stored. A crash may have come between that row and its announcement, so
    /// all of these are announced again; the later ones of the same user are other events' concern.
    let answers: [StoredReportReference]
    /// The answer to the newest event; nil: it needs a fetch.
    let newest: StoredReportReference?

    /// - Parameters:
    ///   - receipts: Of the events, at least one.
    ///   - reports: The user's reports of the product, the least coverage first.
    init(of receipts: [Timestamp], by reports: [StoredReportReference]) {
        // As the column keeps it.
        let receipts = receipts.map { Timestamp(microsecondsSinceEpoch: $0.microsecondsSinceEpoch) }
        let reached = Set(
            receipts.compactMap { receipt in reports.first { $0.coversReceivedAt >= receipt }?.coversReceivedAt }
        )
        // Two members that fetched at once may have stored two reports of one coverage.
        answers = reports.filter { reached.contains($0.coversReceivedAt) }
        newest = receipts.max().flatMap { newest in reports.first { $0.coversReceivedAt >= newest } }
    }
}
