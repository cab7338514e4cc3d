// A Kafka producer as a part of a program: closed with it, its fatal end the program's end, its figures as metrics.

import Basics
package import Kafka

extension ProgramContext {
    /// Makes a producer from `KAFKA_BOOTSTRAP_SERVERS` and `KAFKA_CONFIG_FILE`. Brokers that are away are waited for.
    ///
    /// - Throws: ``ConfigurationError`` for settings that librdkafka refuses.
    package func addProducer(tuning: Producer.Tuning) throws -> Producer {
        let context = self
        let producer = try Producer(
            settings: try settings.kafkaSettings(clientID: name),
            tuning: tuning,
            log: logger.labelled("kafka").kafkaLog,
            onFatal: { error in
                context.fail(.internalError, "the Kafka producer failed three times in a minute: \(error)")
            }
        )
        add(
            component: "producer",
            stop: { deadline in
                guard producer.close(until: deadline) else {
                    throw UnfinishedWork("the brokers did not take the last messages")
                }
            }
        )
        ProducerExport.register(producer, in: metrics)
        return producer
    }
}

enum ProducerExport {
    static func register(_ producer: Producer, in metrics: MetricsRegistry) {
        metrics.collect(
            "check_pipeline_kafka_late_deliveries_total",
            .counter,
            help: "Records that the brokers took after their result had been told as failed"
        ) { [.init(Double(producer.statistics.lateDeliveries))] }
        metrics.gauge("check_pipeline_kafka_queued_records", help: "Records handed over and not yet answered") {
            Double(producer.queuedMessages)
        }
        metrics.gauge("check_pipeline_kafka_records_per_request", help: "Records in one produce request, on average") {
            producer.statistics.messagesPerRequest
        }
        metrics.gauge("check_pipeline_kafka_brokers_up", help: "Brokers with a live connection") {
            Double(producer.statistics.brokersUp)
        }
    }
}
