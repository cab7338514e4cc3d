// What the core has in hand, counted when asked: proportional to what is in hand, every few seconds.

import Basics

extension WorkerCore {
    package func snapshot(at now: Moment) -> WorkerSnapshot {
        var waitingByReason: [String: Int] = [:]
        var earliestDeadline: Timestamp?
        var oldestReceivedAt: Timestamp?
        func see(_ event: EventRecord) {
            earliestDeadline = min(earliestDeadline ?? event.deadline, event.deadline)
            oldestReceivedAt = min(oldestReceivedAt ?? event.receivedAt, event.receivedAt)
        }
        lanes.forEachQueued { item, isWaiting in
            see(item.event)
            guard isWaiting else { return }
            if item.deadLetter != nil {
                waitingByReason["dead-letter", default: 0] += 1
            } else if let reason = item.reason {
                waitingByReason[reason.code, default: 0] += 1
            }
        }
        for work in running.values { work.items.forEach { see($0.event) } }
        return WorkerSnapshot(
            group: settings.group,
            takenAt: now.wall,
            partitions: ledger.partitions.sorted().compactMap { partition in
                ledger[partition].map {
                    WorkerSnapshot.PartitionState(
                        partition: partition,
                        epoch: $0.epoch,
                        committed: planner.confirmedOffset(partition),
                        lowWaterMark: $0.lowWaterMark,
                        unfinished: $0.unfinishedCount
                    )
                }
            },
            pausedPartitions: pauses.paused.count,
            inFlight: running.count,
            inFlightLimit: settings.limits.maxInFlight,
            queued: lanes.queuedCount,
            waiting: lanes.waitingCount,
            waitingByReason: waitingByReason,
            heldBytes: heldBytes,
            oldestAttempt: running.values.map(\.startedAt).min().map { now.monotonic - $0 },
            earliestDeadline: earliestDeadline,
            oldestReceivedAt: oldestReceivedAt,
            pauseReason: gate.closure?.reason,
            pausedFor: gate.closure.map { now.monotonic - $0.since },
            rebalances: rebalances,
            rewinds: rewinds,
            isStopping: isStopping,
            sinceLastTick: lastTick.map { now.monotonic - $0 }
        )
    }
}
