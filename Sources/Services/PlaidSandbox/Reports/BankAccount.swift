// The invented bank accounts of an Item.

import Basics

struct BankAccount: Hashable, Sendable {
    let id: String
    let name: String
    let officialName: String?
    let mask: String
    let type: String
    let subtype: String
    /// Thousandths of a dollar.
    let currentMills: Int
    let availableMills: Int?
    let limitMills: Int?

    /// Two to four accounts that follow from the Item's id.
    static func accounts(of itemID: String, identifiers: Identifiers) -> [BankAccount] {
        let hash = identifiers.number("accounts", itemID)
        var generator = SeededGenerator(seed: hash)
        return kinds.prefix(2 + Int(hash % 3)).enumerated().map { index, kind in
            let current = Int.random(in: 120_000...9_000_000, using: &generator) / 10 * 10
            return BankAccount(
                id: identifiers.token("account", "\(itemID)|\(index)", length: 37),
                name: kind.name,
                officialName: kind.officialName,
                mask: String(Int.random(in: 1_000...9_999, using: &generator)),
                type: kind.type,
                subtype: kind.subtype,
                currentMills: current,
                availableMills: kind.type == "depository" ? current - current / 40 / 10 * 10 : nil,
                limitMills: kind.type == "credit" ? 12_000_000 : nil
            )
        }
    }

    private static let kinds: [(name: String, officialName: String?, type: String, subtype: String)] = [
        ("Everyday Checking", "Heron Everyday Checking", "depository", "checking"),
        ("Rainy Day Savings", nil, "depository", "savings"),
        ("Lantern Card", "Lantern Cash Back Card", "credit", "credit card"),
        ("Harvest Money Market", "Harvest Money Market Account", "depository", "money market"),
    ]
}

extension Institution {
    /// Invented banks under the ids that callers of Plaid's sandbox use; an id that is not here is unknown.
    static let all: [String: Institution] = Dictionary(
        uniqueKeysWithValues: [
            ("ins_109508", "First Heron Bank"),
            ("ins_109509", "First Lantern Credit Union"),
            ("ins_109510", "Tidewater Federal Bank"),
            ("ins_109511", "Tamarack Savings Bank"),
            ("ins_109512", "Harvest and Hill Trust"),
        ].map { ($0.0, Institution(id: $0.0, name: $0.1)) }
    )
}
