// What the pipeline needs to know of a report's body; the body itself stays as it came.

package import Basics
package import JSON

/// The facts of one `/get` answer.
package struct ReportFacts: Hashable, Sendable {
    package let product: ReportProduct
    /// `report.report_id` when it is a usable string: 1…256 bytes without U+0000.
    package let reportID: String?
    /// The time of generation as received, up to nanoseconds.
    package let generatedAtText: String?
    package let generatedAt: Timestamp?
    package let clientReportID: String?
    /// Whether a warning `USER_FRAUD_ALERT` stands in the body: somebody must verify the consumer's identity.
    package let fraudAlert: Bool
    /// False when a database's JSON operators may fail on the body.
    package let strict: Bool
    /// Whether there is a `report` object at all; without one the product is not ready.
    package let hasReport: Bool
    package let requestID: String?
    /// An error object in place of a report.
    let error: PlaidErrorBody?
    /// Whether `report_id` is missing (or null), not merely unusable.
    private let lacksReportID: Bool

    /// What identifies the report among those of its environment and product: its id, or, where Plaid may leave
    /// the id out, the user and the time of generation. Nil: nothing identifies it.
    package func identity(userID: String) -> String? {
        if let reportID { return reportID }
        guard lacksReportID, product.mayLackReportID, let generatedAtText else { return nil }
        return "generated:\(userID):\(generatedAtText)"
    }

    /// Reads the facts on the calling thread; see ``JSON/reportFacts(_:query:)`` for large bodies.
    package static func read(_ product: ReportProduct, _ body: Bytes) throws(JSONRefusal) -> ReportFacts {
        try ReportFacts(product, JSON.reportFacts(body, query: query(for: product)))
    }

    /// Reads the facts, large bodies on `threads`.
    ///
    /// - Throws: ``JSONRefusal``, or what ``LargeBodies/run(_:)`` throws.
    package static func read(_ product: ReportProduct, _ body: Bytes, on threads: LargeBodies) async throws
        -> ReportFacts
    {
        try await ReportFacts(product, JSON.reportFacts(body, query: query(for: product), on: threads))
    }

    /// - Throws: ``JSONRefusal/notJSON(_:)`` when the outermost value is no object.
    init(_ product: ReportProduct, _ answers: ReportAnswers) throws(JSONRefusal) {
        let values = answers.values
        guard values[Place.root] == .other(.object) else { throw .notJSON(.notAnObject) }
        self.product = product
        hasReport = values[Place.report] == .other(.object)
        reportID = Self.usable(values[Place.reportID])
        lacksReportID = values[Place.reportID] == .absent || values[Place.reportID] == .other(.null)
        generatedAtText = Self.usable(values[Place.time])
        generatedAt = generatedAtText.flatMap { Timestamp(rfc3339: $0) }
        clientReportID = Self.usable(values[Place.clientReportID])
        requestID = PlaidName.checked(values[Place.requestID].stringValue)
        error = PlaidErrorBody([
            "error_type": .string(values[Place.errorType].stringValue ?? ""),
            "error_code": .string(values[Place.errorCode].stringValue ?? ""),
        ])
        fraudAlert = answers.listings.contains(true)
        strict = answers.isStrict
    }

    private static let mostIDBytes = 256

    /// Text that a column and a key can hold.
    private static func usable(_ field: RoutingField) -> String? {
        guard case .string(let text) = field, (1...mostIDBytes).contains(text.utf8.count), !text.utf8.contains(0)
        else { return nil }
        return text
    }

    private enum Place {
        static let root = 0
        static let report = 1
        static let reportID = 2
        static let time = 3
        static let clientReportID = 4
        static let requestID = 5
        static let errorType = 6
        static let errorCode = 7
    }

    private static let queries = Dictionary(uniqueKeysWithValues: ReportProduct.allCases.map { ($0, makeQuery($0)) })

    private static func query(for product: ReportProduct) -> ReportQuery {
        queries[product] ?? makeQuery(product)
    }

    private static func makeQuery(_ product: ReportProduct) -> ReportQuery {
        let alert = "USER_FRAUD_ALERT"
        return ReportQuery(
            paths: [
                [], ["report"], ["report", "report_id"], ["report", product.timeField],
                ["report", "client_report_id"], ["request_id"], ["error_type"], ["error_code"],
            ],
            listings: [
                ReportQuery.Listing(path: ["warnings"], member: "warning_code", text: alert),
                ReportQuery.Listing(path: ["report", "warnings"], member: "warning_code", text: alert),
            ]
        )
    }
}
