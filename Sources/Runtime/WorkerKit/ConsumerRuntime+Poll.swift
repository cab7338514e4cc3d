// What the consumer's poll thread calls.

package import Basics
package import Kafka

extension ConsumerRuntime: ConsumerHandler {
    package func assigned(_ partitions: [TopicPartition], epoch: UInt64) {
        decide { $0.core.assigned(partitions, epoch: epoch, at: $1) }
    }

    /// Stops starting, waits a bounded time for what has been sent, and answers what is done. Partitions of which
    /// nothing runs never delay, nor do those that are lost.
    package func revoked(
        _ partitions: [TopicPartition],
        lost: Bool,
        wait: (MonotonicInstant, () -> Bool) -> Void
    ) -> [TopicPartition: Int64] {
        decide { $0.core.revocationBegan(partitions, at: $1) }
        let mustWait = state.withLock { state in
            guard !lost, state.core.inFlight(of: partitions) > 0 else { return false }
            state.revoking = partitions
            return true
        }
        if mustWait {
            let limit = environment.monotonic.now() + configuration.revokeWait
            wait(min(limit, state.withLock { $0.stopDeadline } ?? limit)) { [state] in
                state.withLock { $0.core.inFlight(of: partitions) } == 0
            }
        }
        var offsets: [TopicPartition: Int64] = [:]
        decide { state, _ in
            let (done, effects) = state.core.revocationEnded(partitions, lost: lost)
            offsets = done
            state.revoking = []
            return effects
        }
        return offsets
    }

    package func received(_ record: ConsumerRecord) {
        let event = service.describe(record)
        decide { $0.core.received(event, at: $1) }
    }

    package func commitCompleted(_ offsets: [TopicPartition: Int64], error: KafkaError?) {
        decide { state, _ in state.core.commitCompleted(offsets, error: error) }
    }

    package func tick(_ now: MonotonicInstant) {
        decide { $0.core.tick($1) }
    }

    package func consumerError(_ error: KafkaError) {
        state.withLock { $0.lastConsumerError = error }
        service.observer.observe(.consumerError(error))
    }
}
