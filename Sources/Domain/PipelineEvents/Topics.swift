// Every topic by name, under the deployment's prefix, with the partitions and settings it is created with.
// `schemas/asyncapi.yaml` says the same for readers outside; a test compares the two.

package import PlaidAPI

/// The topics of one deployment.
package struct Topics: Hashable, Sendable {
    /// Put before every topic and consumer group, so that deployments can share a cluster.
    package let prefix: String

    package init(prefix: String) { self.prefix = prefix }

    /// The longest prefix that leaves every topic name within Kafka's 249 characters.
    package static let maxPrefixLength = 200

    /// Whether Kafka would take names that begin like this: letters, digits, dot, underscore and hyphen.
    package static func isLegal(prefix: String) -> Bool {
        prefix.utf8.count <= maxPrefixLength
            && prefix.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    // MARK: Webhooks

    package var checkReport: String { prefix + "plaid.webhooks.check-report" }
    package var item: String { prefix + "plaid.webhooks.item" }
    package var link: String { prefix + "plaid.webhooks.link" }
    package var other: String { prefix + "plaid.webhooks.other" }

    /// The four webhook topics: what the receiver needs leaders of.
    package var webhooks: [String] { WebhookTopic.allCases.map { name(of: $0) } }

    package func name(of topic: WebhookTopic) -> String {
        switch topic {
        case .checkReport: checkReport
        case .item: item
        case .link: link
        case .other: other
        }
    }

    /// Which topic a webhook belongs to by its `webhook_type`, compared byte for byte; never nil, since a type
    /// that nobody knows yet is published too.
    package static func webhookTopic(type: String) -> WebhookTopic {
        // Swift compares text by canonical equivalence: other scalars (U+212A for K) may equal a letter of ours.
        guard type.utf8.allSatisfy({ $0 < 0x80 }) else { return .other }
        return switch type {
        case "CHECK_REPORT", "CRA_REPORT", "USER_CHECK_REPORT": .checkReport
        case "ITEM", "TRANSACTIONS": .item
        case "LINK", "LAYER": .link
        default: .other
        }
    }

    // MARK: What the pipeline announces

    package func reports(_ product: ReportProduct) -> String { prefix + "check-reports." + product.topicSuffix }
    package var reportPDFs: String { prefix + "check-reports.pdf" }
    package var lifecycle: String { prefix + "check-reports.lifecycle" }
    package var layerCommands: String { prefix + "layer.commands" }
    package var layerTokens: String { prefix + "layer.tokens" }

    // MARK: Groups

    /// The consumer group's id on the broker.
    package func groupID(_ group: ConsumerGroup) -> String { prefix + group.rawValue }
    package func retry(group: ConsumerGroup) -> String { groupID(group) + ".retry" }
    package func deadLetters(group: ConsumerGroup) -> String { groupID(group) + ".dead-letters" }

    // MARK: Plan

    /// Every topic with the contract's partitions and settings.
    package var all: [TopicPlan] { plan() }

    /// Every topic to create.
    ///
    /// - Parameters:
    ///   - partitions: For each topic, 1 or more.
    ///   - replication: Copies of each partition. With fewer than three, `min.insync.replicas` falls to what can
    ///     still be met: a smaller cluster acknowledges with fewer copies rather than never.
    package func plan(partitions: Int = 12, replication: Int = 3) -> [TopicPlan] {
        let announced = ReportProduct.allCases.map { reports($0) } + [reportPDFs, lifecycle]
        let retries = ConsumerGroup.all.map { retry(group: $0) }
        let weekly = webhooks + announced + [layerCommands, layerTokens] + retries
        let monthly = ConsumerGroup.all.map { deadLetters(group: $0) }
        return weekly.map { TopicPlan(name: $0, partitions: partitions, replication: replication, retentionDays: 7) }
            + monthly.map { TopicPlan(name: $0, partitions: partitions, replication: replication, retentionDays: 30) }
    }
}

/// The topics that receive Plaid's webhooks.
package enum WebhookTopic: CaseIterable, Hashable, Sendable {
    case checkReport, item, link, other
}

/// One topic as it is to be created.
package struct TopicPlan: Hashable, Sendable {
    package let name: String
    package let partitions: Int
    package let replication: Int
    /// Topic-level settings by Kafka's names.
    package let settings: [String: String]

    /// Room for the largest webhook accepted (1 MiB) with its headers, and for the same event in a dead letter.
    package static let maxMessageBytes = 2 * 1024 * 1024

    init(name: String, partitions: Int, replication: Int, retentionDays: Int) {
        self.name = name
        self.partitions = partitions
        self.replication = replication
        settings = [
            "cleanup.policy": "delete",
            "max.message.bytes": String(Self.maxMessageBytes),
            "min.insync.replicas": String(min(2, max(1, replication))),
            "retention.ms": String(retentionDays * 24 * 60 * 60 * 1000),
        ]
    }
}
