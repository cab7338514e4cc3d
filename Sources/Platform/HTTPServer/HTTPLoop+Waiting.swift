// Requests that wait for an answer: suspended in the library, completed through the inbox or by their timeout.

import Basics
import CMicrohttpd

extension HTTPLoop {
    /// Inside the library's handler only.
    func suspend(_ record: ConnectionRecord, _ connection: OpaquePointer, until: MonotonicInstant, onTimeout: Response)
    {
        record.machine.waits()
        record.suspended = connection
        record.timeoutAnswer = onTimeout
        metrics.waiting += 1
        cmhd_suspend(connection)
        reschedule(record, at: until)
    }

    func answer(_ completion: Completion) {
        guard let record = connections[completion.slot], record.serial == completion.serial else {
            metrics.lateCompletions += 1
            return
        }
        resume(record, with: completion.response)
    }

    /// Sends the timeout answer, because it is due or because the server ends.
    func timeOut(_ record: ConnectionRecord, isDue: Bool = true) {
        // An answer that holds the ticket is in the inbox already, and the next turn sends it.
        guard inbox.withdraw(record.serial, slot: record.slot), let answer = record.timeoutAnswer else {
            reschedule(record)
            return
        }
        if isDue { metrics.deadlineHits[.wait, default: 0] += 1 }
        resume(record, with: answer)
        service.abandoned(Exchange(slot: record.slot, serial: record.serial, desk: inbox))
    }

    private func resume(_ record: ConnectionRecord, with response: Response) {
        guard record.machine.completed(with: response) == .resume, let connection = record.suspended else {
            metrics.lateCompletions += 1
            return
        }
        record.suspended = nil
        record.timeoutAnswer = nil
        metrics.waiting -= 1
        reschedule(record)
        hasResumed = true
        cmhd_resume(connection)
    }
}
