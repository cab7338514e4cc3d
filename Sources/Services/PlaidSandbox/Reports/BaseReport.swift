// The base report: accounts, owners, transactions, balances, at an exact size.

import Basics
import PlaidAPI

/// Writes one base report. Compact JSON, as Plaid sends large bodies.
struct BaseReport {
    private let plan: ReportPlan
    private var generator: SeededGenerator
    private var text: ReportText
    private let lastDay: CalendarDay
    /// Where bytes may go that make the size exact: inside the last description.
    private var fillerIndex: Int?

    static func bytes(_ plan: ReportPlan) -> [UInt8] {
        var report = BaseReport(plan)
        report.write()
        return report.text.bytes
    }

    private init(_ plan: ReportPlan) {
        self.plan = plan
        generator = plan.generator(.baseReport)
        text = ReportText(reserving: plan.baseReportBytes + 64 * 1_024)
        lastDay = CalendarDay(of: plan.generatedAt).before(1)
    }

    /// Bytes of one transaction on average: over how many the dates are spread.
    private static let transactionBytes = 720
    /// More than any transaction has: how near the size writing may go.
    private static let mostTransactionBytes = 1_000
    /// Bytes of one day's balance.
    private static let balanceBytes = 100
    /// Below so many bytes for an account it gets one month's average in place of a year's.
    private static let scantAccountBytes = 8_000

    private mutating func write() {
        text.add("{\"report\":{\"report_id\":")
        text.quoted(plan.reportID(.baseReport))
        text.add(",\"date_generated\":")
        text.quoted(plan.generatedAt.rfc3339(fractionDigits: 9))
        text.add(",\"days_requested\":\(plan.daysRequested),\"client_report_id\":")
        text.escaped(orNull: plan.clientReportID)
        text.add(",\"items\":[")
        let end = ending()
        var left = plan.items.reduce(0) { $0 + $1.accounts.count }
        for (index, item) in plan.items.enumerated() {
            if index > 0 { text.add(",") }
            begin(item)
            for (index, account) in item.accounts.enumerated() {
                if index > 0 { text.add(",") }
                let room = max(0, plan.baseReportBytes - end.count - text.bytes.count) / left
                write(account, room: room)
                left -= 1
            }
            text.add("]}")
        }
        text.add(end)
        fill()
    }

    /// What stands after the last Item; made first, since its size decides how many transactions there are.
    private func ending() -> [UInt8] {
        var end = self
        end.text = ReportText(reserving: 2_000)
        end.text.add("],\"attributes\":")
        end.attributes(mills: 61_250_125)
        end.text.add("},\"warnings\":[")
        if plan.traits.hasFraudAlert {
            end.text.add(
                """
                {"warning_type":"BASE_REPORT_WARNING","warning_code":"USER_FRAUD_ALERT","cause":null}
                """
            )
        }
        end.text.add("],\"request_id\":")
        end.text.quoted(plan.requestID(.baseReport))
        end.text.add("}")
        return end.text.bytes
    }

    /// Makes the size exact: what whole transactions left over.
    private mutating func fill() {
        let missing = plan.baseReportBytes - text.bytes.count
        guard missing > 0, let fillerIndex else { return }
        let words = Array(" REF 7731 BATCH 04".utf8)
        text.insert((0..<missing).map { words[$0 % words.count] }, at: fillerIndex)
    }

    private mutating func begin(_ item: ReportPlan.ReportItem) {
        text.add("{\"item_id\":")
        text.quoted(item.id)
        text.add(",\"institution_id\":")
        text.quoted(item.institution.id)
        text.add(",\"institution_name\":")
        text.escaped(item.institution.name)
        text.add(",\"date_last_updated\":")
        text.quoted((plan.generatedAt - .seconds(90)).rfc3339(fractionDigits: 9))
        text.add(",\"accounts\":[")
    }

    /// Transactions come last and fill the room that is left.
    private mutating func write(_ account: BankAccount, room: Int) {
        let end = text.bytes.count + room
        text.add("{\"account_id\":")
        text.quoted(account.id)
        text.add(",\"name\":")
        text.escaped(account.name)
        text.add(",\"official_name\":")
        text.escaped(orNull: account.officialName)
        text.add(
            """
            ,"mask":"\(account.mask)","type":"\(account.type)","subtype":"\(account.subtype)",\
            "days_available":\(plan.daysRequested),"ownership_type":"individual","metadata":\
            {"start_date":"\(lastDay.before(plan.daysRequested - 1).text)","end_date":"\(lastDay.text)"},"balances":
            """
        )
        balances(account, months: room < Self.scantAccountBytes ? 1 : min(12, max(1, plan.daysRequested / 30)))
        text.add(",\"consumer_disputes\":[],\"owners\":[")
        owner()
        text.add("],\"historical_balances\":[")
        history(account, days: min(plan.daysRequested, room / 5 / Self.balanceBytes))
        text.add("],\"attributes\":")
        accountAttributes(account)
        text.add(",\"transactions\":[")
        transactions(account, until: end)
        text.add("]}")
    }

    private mutating func balances(_ account: BankAccount, months: Int) {
        text.add("{\"available\":")
        amount(account.availableMills)
        text.add(",\"current\":")
        amount(account.currentMills)
        text.add(",\"limit\":")
        amount(account.limitMills)
        text.add(
            """
            ,"iso_currency_code":"USD","unofficial_currency_code":null,"last_updated_datetime":\
            "\((plan.generatedAt - .seconds(120)).rfc3339(fractionDigits: 3))","average_balance":
            """
        )
        let average = account.currentMills / 8 * 7 + 125
        text.decimal(mills: average)
        text.add(",\"average_monthly_balances\":[")
        for month in 0..<months {
            if month > 0 { text.add(",") }
            text.add(
                """
                {"start_date":"\(lastDay.before(30 * month + 29).text)","end_date":"\(lastDay.before(30 * month).text)",\
                "average_balance":
                """
            )
            money(mills: average - month * 1_375)
            text.add("}")
        }
        text.add("],\"most_recent_thirty_day_average_balance\":")
        text.decimal(mills: average)
        text.add("}")
    }

    private mutating func owner() {
        text.add("{\"names\":[")
        text.escaped(plan.ownerName.full)
        text.add(
            "],\"phone_numbers\":[{\"data\":\"+14155550100\",\"primary\":true,\"type\":\"mobile\"}],\"emails\":[{\"data\":"
        )
        text.escaped(plan.ownerName.email)
        text.add(
            """
            ,"primary":true,"type":"primary"}],"addresses":[{"data":{"street":"12 Alder Way","city":"Dayton",\
            "region":"OH","postal_code":"45402","country":"US"},"primary":true}]}
            """
        )
    }

    /// Newest first, spread evenly over the days asked for; in a checking account every seventh is the pay.
    private mutating func transactions(_ account: BankAccount, until end: Int) {
        let count = max(1, (end - text.bytes.count) / Self.transactionBytes)
        var index = 0
        let isChecking = account.subtype == "checking"
        let accountID = Array("\",\"account_id\":\"\(account.id)\",\"amount\":".utf8)
        var day = CalendarDay(.max)
        var dates: [UInt8] = []
        while index == 0 || text.bytes.count + Self.mostTransactionBytes <= end {
            let next = lastDay.before(min(index * plan.daysRequested / count, plan.daysRequested - 1))
            if next != day {
                day = next
                let date = next.text
                dates = Array(
                    ",\"iso_currency_code\":\"USD\",\"unofficial_currency_code\":null,\"date\":\"\(date)\",\"date_transacted\":\"\(date)\",\"pending\":"
                        .utf8
                )
            }
            let merchant =
                isChecking && index % 7 == 3
                ? Merchant.employer
                : Merchant.everyday[Int.random(in: Merchant.everyday.indices, using: &generator)]
            text.add(index == 0 ? "{\"transaction_id\":\"" : ",{\"transaction_id\":\"")
            text.id(length: 37, &generator)
            text.add(accountID)
            if plan.traits.isOdd, index == 1 {
                text.add("123456789012345678901234567890.125")
            } else {
                let dollars = Int.random(in: merchant.amounts, using: &generator)
                text.decimal(mills: dollars * 1_000 + Int(generator.next() % 100) * 10)
            }
            text.add(dates)
            text.add(index == 0 ? "true" : "false")
            text.add(",\"original_description\":\"")
            text.add(merchant.description)
            if plan.traits.isOdd, index == 0 { text.add(" \\u0000 \\ud800 \\/ \\\"odd\\\" \u{1F426}") }
            fillerIndex = text.bytes.count
            text.add("\",")
            text.add(merchant.fragment)
            if plan.traits.isOdd, index == 0 { text.add(",\"not_in_any_schema\":{\"nested\":[1E-7,-0.0,[[]]]}") }
            text.add("}")
            index += 1
        }
    }

    private mutating func history(_ account: BankAccount, days: Int) {
        for index in 0..<days {
            text.add(index == 0 ? "{\"date\":\"" : ",{\"date\":\"")
            text.add(lastDay.before(index).text)
            text.add("\",\"current\":")
            text.decimal(mills: account.currentMills - index * 1_210 + Int(generator.next() % 90_000))
            text.add(",\"iso_currency_code\":\"USD\",\"unofficial_currency_code\":null}")
        }
    }

    private mutating func accountAttributes(_ account: BankAccount) {
        text.add("{\"is_primary_account\":\(account.subtype == "checking"),\"primary_account_score\":0.875,")
        attributeMembers(mills: account.currentMills / 2 + 125)
        text.add("}")
    }

    private mutating func attributes(mills: Int) {
        text.add("{")
        attributeMembers(mills: mills)
        text.add("}")
    }

    private mutating func attributeMembers(mills: Int) {
        let windows = [("", 12), ("_30d", 1), ("_60d", 2), ("_90d", 3)]
        for (index, (suffix, months)) in windows.enumerated() {
            if index > 0 { text.add(",") }
            text.add("\"nsf_overdraft_transactions_count\(suffix)\":\(months / 6),\"total_inflow_amount\(suffix)\":")
            money(mills: -mills / 12 * months)
            text.add(",\"total_outflow_amount\(suffix)\":")
            money(mills: mills / 13 * months)
        }
    }

    private mutating func amount(_ mills: Int?) {
        if let mills { text.decimal(mills: mills) } else { text.add("null") }
    }

    private mutating func money(mills: Int) {
        text.add("{\"amount\":")
        text.decimal(mills: mills)
        text.add(",\"iso_currency_code\":\"USD\",\"unofficial_currency_code\":null}")
    }
}
