import PipelineEvents
import PlaidAPI
import Testing

@Suite struct TopicsTests {
    @Test(arguments: [
        ("CHECK_REPORT", "plaid.webhooks.check-report"),
        ("CRA_REPORT", "plaid.webhooks.check-report"),
        ("USER_CHECK_REPORT", "plaid.webhooks.check-report"),
        ("ITEM", "plaid.webhooks.item"),
        ("TRANSACTIONS", "plaid.webhooks.item"),
        ("LINK", "plaid.webhooks.link"),
        ("LAYER", "plaid.webhooks.link"),
        ("LINK_DELIVERY", "plaid.webhooks.other"),
        ("CASH_FLOW_UPDATES", "plaid.webhooks.other"),
        ("check_report", "plaid.webhooks.other"),
        (" CHECK_REPORT", "plaid.webhooks.other"),
        // Canonically equivalent to the types above, and other bytes.
        ("CHEC\u{212A}_REPORT", "plaid.webhooks.other"),
        ("LIN\u{212A}", "plaid.webhooks.other"),
        ("", "plaid.webhooks.other"),
    ])
    func `sends each webhook type to its topic`(_ type: String, _ topic: String) {
        let topics = Topics(prefix: "")
        #expect(topics.name(of: Topics.webhookTopic(type: type)) == topic)
    }

    @Test func `puts the prefix once before every topic and group`() {
        let topics = Topics(prefix: "blue.")
        let bare = Topics(prefix: "")
        #expect(topics.all.map(\.name) == bare.all.map { "blue." + $0.name })
        #expect(topics.groupID(.baseReport) == "blue.base-report-consumer")
        #expect(topics.retry(group: .baseReport) == "blue.base-report-consumer.retry")
        #expect(topics.deadLetters(group: .layerToken) == "blue.layer-token-consumer.dead-letters")
    }

    @Test func `plans every topic once with the promised partitions and settings`() {
        let plans = Topics(prefix: "").all
        #expect(Set(plans.map(\.name)).count == plans.count)
        // 4 webhook topics, 3 products, PDFs, lifecycle, 2 of Layer; 7 groups with two topics each.
        #expect(plans.count == 11 + 14)
        for plan in plans {
            #expect(plan.partitions == 12)
            #expect(plan.replication == 3)
            #expect(plan.settings["min.insync.replicas"] == "2")
            #expect(plan.settings["max.message.bytes"] == "2097152")
            let days = plan.name.hasSuffix(".dead-letters") ? 30 : 7
            #expect(plan.settings["retention.ms"] == String(days * 86_400_000))
        }
    }

    @Test(arguments: [(1, "1"), (2, "2"), (3, "2"), (5, "2")])
    func `never asks for more in-sync copies than there are`(_ replication: Int, _ expected: String) {
        for plan in Topics(prefix: "").plan(partitions: 3, replication: replication) {
            #expect(plan.settings["min.insync.replicas"] == expected)
            #expect(plan.partitions == 3)
        }
    }

    @Test func `names a report topic and a group for each product`() {
        let topics = Topics(prefix: "")
        #expect(topics.reports(.baseReport) == "check-reports.base")
        #expect(topics.reports(.incomeInsights) == "check-reports.income-insights")
        #expect(topics.reports(.partnerInsights) == "check-reports.partner-insights")
        #expect(ConsumerGroup(fetching: .partnerInsights).rawValue == "partner-insights-consumer")
    }

    @Test(arguments: [
        ("", true), ("blue-1.", true), ("A_b", true), ("blue/", false), ("blü", false), ("a b", false),
        (String(repeating: "a", count: 200), true), (String(repeating: "a", count: 201), false),
    ])
    func `takes only prefixes that Kafka takes`(_ prefix: String, _ isLegal: Bool) {
        #expect(Topics.isLegal(prefix: prefix) == isLegal)
        if isLegal {
            for plan in Topics(prefix: prefix).all { #expect(plan.name.utf8.count <= 249) }
        }
    }
}
