// librdkafka's mock cluster as a process of its own, for a first run and for tests. It keeps messages in memory, a few
// megabytes for each partition, and forgets the oldest without a word: never for production.

import Basics
import Kafka
import PipelineEvents
import ServiceKit

/// Few enough that a group of one joins and fetches quickly, many enough to be keyed.
let partitions = 3

Program.run(
    name: "embedded-broker",
    summary: "a Kafka broker in memory with the pipeline's topics, for first runs and tests; never for production",
    settings: [Setting.topicPrefix]
) { context in
    let cluster = try MockCluster(brokers: 1)
    let topics = Topics(prefix: context.settings[Setting.topicPrefix])
    for plan in topics.plan(partitions: partitions, replication: 1) {
        try cluster.createTopic(plan.name, partitions: plan.partitions, replication: plan.replication)
    }
    context.add(
        component: "broker",
        start: {
            context.logger.info(
                "the broker is listening",
                metadata: [
                    "kafka.bootstrap_servers": .string(cluster.bootstrapServers),
                    "kafka.topics": .stringConvertible(topics.all.count),
                ]
            )
        },
        stop: { _ in cluster.close() }
    )
}
