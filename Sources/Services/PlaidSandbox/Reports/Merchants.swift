// Invented counterparties, each with the part of a transaction that depends on it alone, written once.

import Basics

struct Merchant: Sendable {
    let name: String
    let description: String
    /// Dollars; negative comes in.
    let amounts: ClosedRange<Int>
    /// From `"merchant_name":` to the end of the transaction's `transaction_type`.
    let fragment: [UInt8]

    private init(
        _ name: String,
        _ description: String,
        _ amounts: ClosedRange<Int>,
        credit: (String, String),
        finance: (String, String),
        city: String? = nil,
        store: String? = nil
    ) {
        self.name = name
        self.description = description
        self.amounts = amounts
        let place =
            city.map { city in
                """
                {"address":"\(name.count) Market Street","city":"\(city)","region":"OH","postal_code":"45402","country":"US",\
                "lat":39.758,"lon":-84.192,"store_number":"\(store ?? "0")"}
                """
            }
                ?? """
                {"address":null,"city":null,"region":null,"postal_code":null,"country":null,"lat":null,"lon":null,\
                "store_number":null}
                """
        fragment = Array(
            """
            "merchant_name":"\(name)","credit_category":{"primary":"\(credit.0)","detailed":"\(credit.1)"},\
            "personal_finance_category":{"primary":"\(finance.0)","detailed":"\(finance.1)",\
            "confidence_level":"VERY_HIGH","version":"v2"},"location":\(place),"check_number":null,\
            "account_owner":null,"transaction_type":"\(city == nil ? "digital" : "place")"
            """.utf8
        )
    }

    /// Where the income comes from: every second Friday.
    static let employer = Merchant(
        "Copperleaf Logistics",
        "COPPERLEAF LOGISTICS PAYROLL PPD",
        -2_400 ... -1_900,
        credit: ("INCOME", "INCOME_WAGES"),
        finance: ("INCOME", "INCOME_WAGES")
    )

    static let everyday = [
        Merchant(
            "Juniper Grocers",
            "JUNIPER GROCERS #0412 DAYTON OH",
            12...190,
            credit: ("FOOD_AND_DRINK", "FOOD_AND_DRINK_GROCERIES"),
            finance: ("FOOD_AND_DRINK", "FOOD_AND_DRINK_GROCERIES"),
            city: "Dayton",
            store: "0412"
        ),
        Merchant(
            "Blue Kettle Coffee",
            "BLUE KETTLE COFFEE 77 DAYTON OH",
            3...14,
            credit: ("FOOD_AND_DRINK", "FOOD_AND_DRINK_COFFEE"),
            finance: ("FOOD_AND_DRINK", "FOOD_AND_DRINK_COFFEE"),
            city: "Dayton",
            store: "77"
        ),
        Merchant(
            "Marlin Fuel",
            "MARLIN FUEL 2290 KETTERING OH",
            22...78,
            credit: ("TRANSPORTATION", "TRANSPORTATION_GAS"),
            finance: ("TRANSPORTATION", "TRANSPORTATION_GAS"),
            city: "Kettering",
            store: "2290"
        ),
        Merchant(
            "Orchard Street Rentals",
            "ORCHARD STREET RENTALS ACH",
            880...1_450,
            credit: ("RENT_AND_UTILITIES", "RENT_AND_UTILITIES_RENT"),
            finance: ("RENT_AND_UTILITIES", "RENT_AND_UTILITIES_RENT")
        ),
        Merchant(
            "Northwind Power",
            "NORTHWIND POWER BILLPAY",
            40...210,
            credit: ("RENT_AND_UTILITIES", "RENT_AND_UTILITIES_GAS_AND_ELECTRICITY"),
            finance: ("RENT_AND_UTILITIES", "RENT_AND_UTILITIES_GAS_AND_ELECTRICITY")
        ),
        Merchant(
            "Paper Lantern Streaming",
            "PAPER LANTERN STREAMING",
            8...25,
            credit: ("ENTERTAINMENT", "ENTERTAINMENT_TV_AND_MOVIES"),
            finance: ("ENTERTAINMENT", "ENTERTAINMENT_TV_AND_MOVIES")
        ),
        Merchant(
            "Thistle Outfitters",
            "THISTLE OUTFITTERS 18 DAYTON OH",
            19...320,
            credit: ("GENERAL_MERCHANDISE", "GENERAL_MERCHANDISE_CLOTHING_AND_ACCESSORIES"),
            finance: ("GENERAL_MERCHANDISE", "GENERAL_MERCHANDISE_CLOTHING_AND_ACCESSORIES"),
            city: "Dayton",
            store: "18"
        ),
        Merchant(
            "Café Perläng",
            "CAFÉ PERLÄNG DAYTON OH",
            6...45,
            credit: ("FOOD_AND_DRINK", "FOOD_AND_DRINK_RESTAURANT"),
            finance: ("FOOD_AND_DRINK", "FOOD_AND_DRINK_RESTAURANT"),
            city: "Dayton",
            store: "2"
        ),
    ]
}
