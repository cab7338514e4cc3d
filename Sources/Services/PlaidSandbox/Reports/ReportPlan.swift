// Everything that decides the bytes of one generation's reports.

import Basics
import PlaidAPI

/// A value: the same plan makes the same bytes, so that a body thrown away can be made again.
struct ReportPlan: Hashable, Sendable {
    let seed: UInt64
    let userID: String
    /// 1 for a user's first `create`.
    let generation: Int
    let ownerName: PersonNameText
    var items: [ReportItem]
    let generatedAt: Timestamp
    let daysRequested: Int
    let clientReportID: String?
    /// As asked for, the base report first.
    let products: [String]
    let traits: ReportTraits
    let baseReportBytes: Int

    struct PersonNameText: Hashable, Sendable {
        let full: String
        let email: String
    }

    /// An Item as reports show it.
    struct ReportItem: Hashable, Sendable {
        let id: String
        let institution: Institution
        let accounts: [BankAccount]
    }

    /// The same report without the other Items.
    func only(items ids: Set<String>) -> ReportPlan {
        var plan = self
        plan.items = items.filter { ids.contains($0.id) }
        return plan
    }

    var identifiers: Identifiers { Identifiers(seed: seed) }

    func reportID(_ product: ReportProduct) -> String {
        identifiers.uuid("report", "\(userID)|\(generation)|\(product.rawValue)")
    }

    func requestID(_ product: ReportProduct) -> String {
        identifiers.token("report-request", "\(userID)|\(generation)|\(product.rawValue)", length: 15)
    }

    func generator(_ product: ReportProduct) -> SeededGenerator {
        SeededGenerator(seed: identifiers.number("content", "\(userID)|\(generation)|\(product.rawValue)"))
    }

    /// Products that READY calls successful. What this sandbox cannot make counts as failed.
    var successfulProducts: [String] {
        traits.fails
            ? [] : products.filter { ReportProduct(rawValue: $0) != nil && !traits.failedProducts.contains($0) }
    }

    var failedProducts: [String] {
        let successful = Set(successfulProducts)
        return products.filter { !successful.contains($0) }
    }
}

extension ReportPlan {
    /// The usual mix of base reports, by the user's hash: nine in ten from 60 kB to 0.5 MB, the rest to 1.5 MB, one in
    /// a hundred to 4 MB.
    static func usualBytes(_ hash: UInt64) -> Int {
        let place = Int(hash % 100)
        let within = Int(hash >> 32 % 1_000)
        switch place {
        case 0: return 1_500_000 + 2_500 * within
        case 1..<10: return 500_000 + 1_000 * within
        default: return 60_000 + 440 * within
        }
    }
}
