// Income insights and partner insights: smaller reports, written as trees.

import Basics
import JSON
import PlaidAPI

enum IncomeInsights {
    static func bytes(_ plan: ReportPlan) -> [UInt8] {
        var generator = plan.generator(.incomeInsights)
        let lastDay = CalendarDay(of: plan.generatedAt).before(1)
        let pay = Int.random(in: 1_900...2_400, using: &generator) * 1_000 + 375
        let count = max(1, plan.daysRequested / 14)
        var writer = JSONWriter()
        writer.object { writer in
            writer.object("report") { writer in
                InsightParts.head(&writer, plan, .incomeInsights)
                writer.field("days_requested", plan.daysRequested)
                writer.object("user_summary") { writer in
                    writer.array("income_metrics") { writer in metrics(&writer, pay: pay) }
                }
                writer.array("income_streams") { writer in
                    writer.object { writer in
                        writer.field(
                            "income_stream_id",
                            plan.identifiers.uuid("stream", plan.reportID(.incomeInsights))
                        )
                        writer.field("description", Merchant.employer.description)
                        writer.field("start_date", lastDay.before(14 * (count - 1)).text)
                        writer.field("end_date", lastDay.text)
                        insights(&writer, lastDay)
                        writer.name("income_metrics")
                        metrics(&writer, pay: pay)
                        transactions(&writer, plan, lastDay, count: count, pay: pay, &generator)
                    }
                }
                writer.array("items") { writer in
                    for item in plan.items { InsightParts.item(&writer, item, plan, lastDay, isIncome: true) }
                }
                writer.array("warnings") { _ in }
            }
            InsightParts.tail(&writer, plan, .incomeInsights)
        }
        return writer.bytes
    }

    private static func insights(_ writer: inout JSONWriter, _ lastDay: CalendarDay) {
        writer.object("insights") { writer in
            writer.object("income_category") { writer in
                writer.field("primary", "EARNED_INCOME")
                writer.field("secondary", "SALARY")
            }
            writer.field("pay_frequency", "BIWEEKLY")
            writer.object("income_provider") { writer in
                writer.field("name", Merchant.employer.name)
                writer.field("is_normalized", true)
            }
            writer.field("status", "ACTIVE")
            writer.object("next_payment") { writer in writer.field("date", lastDay.before(-14).text) }
        }
    }

    private static func metrics(_ writer: inout JSONWriter, pay: Int) {
        writer.object { writer in
            for (name, factor) in [("current", 100), ("projected", 101)] {
                writer.object(name) { writer in
                    for (span, pays) in [("monthly", 2), ("annual", 26)] {
                        let net = pay * pays * factor / 100
                        writer.object(span) { writer in
                            writer.name("gross_income")
                            writer.raw(InsightParts.decimal(mills: net * 5 / 4))
                            writer.name("net_income")
                            writer.raw(InsightParts.decimal(mills: net))
                        }
                    }
                }
            }
            writer.field("iso_currency_code", "USD")
            writer.name("unofficial_currency_code")
            writer.null()
        }
    }

    private static func transactions(
        _ writer: inout JSONWriter,
        _ plan: ReportPlan,
        _ lastDay: CalendarDay,
        count: Int,
        pay: Int,
        _ generator: inout SeededGenerator
    ) {
        guard let item = plan.items.first, let account = item.accounts.first else {
            writer.array("transactions") { _ in }
            return
        }
        let varied = (0..<count).map { _ in Int.random(in: -20_000...20_000, using: &generator) / 10 * 10 }
        writer.array("transactions") { writer in
            for index in 0..<count {
                writer.object { writer in
                    let key = "\(plan.reportID(.incomeInsights))|\(index)"
                    writer.field("transaction_id", plan.identifiers.token("pay", key, length: 37))
                    writer.field("item_id", item.id)
                    writer.field("account_id", account.id)
                    writer.name("amount")
                    writer.raw(InsightParts.decimal(mills: -(pay + varied[index])))
                    writer.field("date", lastDay.before(14 * index).text)
                    writer.field("original_description", Merchant.employer.description)
                    writer.field("iso_currency_code", "USD")
                    writer.name("unofficial_currency_code")
                    writer.null()
                    writer.object("outlier") { writer in
                        writer.field("is_outlier", false)
                        writer.name("amount")
                        writer.null()
                    }
                }
            }
        }
    }
}

enum PartnerInsights {
    static func bytes(_ plan: ReportPlan) -> [UInt8] {
        var generator = plan.generator(.partnerInsights)
        let lastDay = CalendarDay(of: plan.generatedAt).before(1)
        let score = Int.random(in: 380...870, using: &generator)
        let attributes = (0..<160).map { _ in Int.random(in: 0...4_000_000, using: &generator) }
        var writer = JSONWriter()
        writer.object { writer in
            writer.object("report") { writer in
                InsightParts.head(&writer, plan, .partnerInsights)
                writer.object("prism") { writer in
                    writer.field("status", "SUCCESS")
                    writer.object("insights") { writer in
                        writer.field("version", 3)
                        writer.field("model_version", "3")
                        writer.object("result") { writer in
                            for (index, value) in attributes.enumerated() {
                                writer.name("outflow_window_\(index / 8)_measure_\(index % 8)")
                                writer.raw(InsightParts.decimal(mills: value))
                            }
                        }
                    }
                    for (name, shift) in [("cash_score", 0), ("first_detect", 41)] {
                        writer.object(name) { writer in
                            writer.field("version", 3)
                            writer.field("model_version", "3")
                            writer.field("score", score + shift)
                            writer.array("reason_codes") { writer in
                                for code in ["CS03088", "CS02002", "CS01009"] { writer.value(code) }
                            }
                            metadata(&writer, plan)
                        }
                    }
                }
                writer.array("items") { writer in
                    for item in plan.items { InsightParts.item(&writer, item, plan, lastDay, isIncome: false) }
                }
            }
            InsightParts.tail(&writer, plan, .partnerInsights)
        }
        return writer.bytes
    }

    private static func metadata(_ writer: inout JSONWriter, _ plan: ReportPlan) {
        writer.object("metadata") { writer in
            for (name, value) in [
                ("max_age", plan.daysRequested), ("min_age", 1), ("min_age_credit", 3), ("min_age_debit", 1),
                ("max_age_debit", plan.daysRequested), ("max_age_credit", plan.daysRequested - 1),
                ("num_trxn_credit", 26), ("num_trxn_debit", 412), ("l1m_credit_value_cnt", 2),
                ("l1m_debit_value_cnt", 31),
            ] { writer.field(name, value) }
        }
    }
}

/// What the two have in common.
enum InsightParts {
    static func head(_ writer: inout JSONWriter, _ plan: ReportPlan, _ product: ReportProduct) {
        if !plan.traits.lacksReportID { writer.field("report_id", plan.reportID(product)) }
        // A little after the base report, at a moment of its own.
        let lag = Int64(plan.identifiers.number("lag", plan.reportID(product)) % 900_000_000)
        writer.field("generated_time", (plan.generatedAt + .nanoseconds(lag)).rfc3339(fractionDigits: 9))
        writer.field("client_report_id", orNull: plan.clientReportID)
    }

    static func tail(_ writer: inout JSONWriter, _ plan: ReportPlan, _ product: ReportProduct) {
        writer.array("warnings") { writer in
            guard plan.traits.hasFraudAlert else { return }
            writer.object { writer in
                writer.field("warning_type", "CHECK_REPORT_WARNING")
                writer.field("warning_code", "USER_FRAUD_ALERT")
                writer.name("cause")
                writer.null()
            }
        }
        writer.field("request_id", plan.requestID(product))
    }

    static func item(
        _ writer: inout JSONWriter,
        _ item: ReportPlan.ReportItem,
        _ plan: ReportPlan,
        _ lastDay: CalendarDay,
        isIncome: Bool
    ) {
        writer.object { writer in
            writer.field("item_id", item.id)
            writer.field("institution_id", item.institution.id)
            writer.field("institution_name", item.institution.name)
            if isIncome {
                writer.field("last_updated_time", (plan.generatedAt - .seconds(90)).rfc3339(fractionDigits: 9))
                writer.array("bank_income_accounts") { _ in }
                writer.array("bank_income_sources") { _ in }
            }
            writer.array("accounts") { writer in
                for account in item.accounts where account.type == "depository" {
                    self.account(&writer, account, plan, lastDay)
                }
            }
        }
    }

    private static func account(
        _ writer: inout JSONWriter,
        _ account: BankAccount,
        _ plan: ReportPlan,
        _ lastDay: CalendarDay
    ) {
        writer.object { writer in
            writer.field("account_id", account.id)
            writer.field("mask", account.mask)
            writer.object("metadata") { writer in
                writer.field("start_date", lastDay.before(plan.daysRequested - 1).text)
                writer.field("end_date", lastDay.text)
            }
            writer.field("name", account.name)
            writer.field("official_name", orNull: account.officialName)
            writer.field("subtype", account.subtype)
            writer.field("type", account.type)
            writer.array("owners") { writer in
                writer.object { writer in
                    writer.array("names") { writer in writer.value(plan.ownerName.full) }
                    writer.array("phone_numbers") { _ in }
                    writer.array("emails") { _ in }
                    writer.array("addresses") { _ in }
                }
            }
        }
    }

    static func decimal(mills: Int) -> [UInt8] {
        var text = ReportText(reserving: 16)
        text.decimal(mills: mills)
        return text.bytes
    }
}
