// What the runtime tells about itself while it runs. Metrics and logs are made of it elsewhere.

import Basics
package import Kafka

/// How an attempt ended, for a label.
package enum WorkEnding: String, Sendable, CaseIterable {
    case done
    case retry
    case parked
    /// Wrong with the event, but too many dead letters came before it: tried again later.
    case held
    case paused
    case expired
    case deadLettered = "dead_lettered"
    case deadLetterFailed = "dead_letter_failed"
}

package enum WorkerObservation: Sendable {
    case attempt(ending: WorkEnding, reason: String, events: Int, duration: Duration)
    /// Completions whose partition had been given up: another member repeats these events.
    case late(events: Int)
    case deadLettered(ParkReason)
    case paused(reason: String)
    case resumed(reason: String, after: Duration)
    case assigned([TopicPartition], epoch: UInt64)
    case revoked([TopicPartition], lost: Bool, abandoned: Int)
    case committed([TopicPartition: Int64])
    case commitFailed(KafkaError)
    /// A log went back: its topic was made anew, or truncated.
    case rewound(TopicPartition, to: Int64)
    case consumerError(KafkaError)
}

/// Called outside every lock, from the poll thread, timers and child tasks: short, and never blocking.
package protocol WorkerObserver: Sendable {
    func observe(_ observation: WorkerObservation)
}
