// What a test asks of one user's reports, in the name it gives the user or the Item.

import Basics

/// Wishes for reports, written after `~` in `client_user_id` or in an Item's `override_username`, several of them each
/// after its own: `customer-7~12mb`, `user_bank_income~60kb~odd`.
///
/// - `60kb`, `1500kb`, `12mb`, `60000b`: exact size of the base report in bytes (kb and mb are 1,000 and 1,000,000),
///   12 kB to 64 MB; a user of several Items may get a little more than a very small wish
/// - `odd`: `\u0000` and a lone surrogate in strings, a number beyond 64 bits, unknown members
/// - `fraud`: the warning `USER_FRAUD_ALERT`
/// - `noid`: income and partner insights without `report_id`
/// - `fail`: no report comes of it; a FAILED webhook says so
/// - `failpartner`, `failincome`: that product alone fails
/// - `silent`: the report is made, its webhook is never sent
///
/// Other words are no wishes and change nothing.
struct ReportTraits: Hashable, Sendable {
    var baseReportBytes: Int?
    var isOdd = false
    var hasFraudAlert = false
    var lacksReportID = false
    var fails = false
    var failedProducts: Set<String> = []
    var isSilent = false

    static let sizes = 12_000...64_000_000

    init(_ texts: [String] = []) {
        for text in texts {
            for word in text.split(separator: "~").dropFirst() { add(String(word)) }
        }
    }

    private mutating func add(_ word: String) {
        switch word {
        case "odd": isOdd = true
        case "fraud": hasFraudAlert = true
        case "noid": lacksReportID = true
        case "fail": fails = true
        case "failpartner": failedProducts.insert("cra_partner_insights")
        case "failincome": failedProducts.insert("cra_income_insights")
        case "silent": isSilent = true
        default: if let bytes = Self.bytes(word) { baseReportBytes = bytes }
        }
    }

    private static func bytes(_ word: String) -> Int? {
        let units: [(String, Int)] = [("kb", 1_000), ("mb", 1_000_000), ("b", 1)]
        for (unit, factor) in units where word.hasSuffix(unit) {
            guard let count = Int(word.dropLast(unit.utf8.count)), (1...64_000_000).contains(count) else { continue }
            return min(max(count * factor, sizes.lowerBound), sizes.upperBound)
        }
        return nil
    }
}
