// How the loop ends: what is in hand is answered, what waits gets its timeout answer, then the daemon stops.

import Basics
import CMicrohttpd

extension HTTPLoop {
    /// Newcomers that the kernel had already let in are accepted first: their requests may be under way. The library
    /// takes ten at a time.
    private static let lastAccepts = 128

    func beginDrain() {
        guard !isDraining else { return }
        metrics.isDraining = true
        for _ in 0..<Self.lastAccepts {
            let before = metrics.acceptedConnections
            cmhd_run(library)
            if metrics.acceptedConnections == before { break }
        }
        cmhd_quiesce(library)
        for case let record? in connections where record.machine.isQuiet && !cmhd_has_input(record.descriptor) {
            cut(record)
        }
        cmhd_run(library)
    }

    /// After the last ordinary turn.
    func finishAnswers() {
        beginDrain()
        for slot in deadlines.slots(in: .wait) {
            if let record = connections[slot] { timeOut(record, isDue: false) }
        }
        // A turn resumes; then only answers that are being written are waited for.
        let deadline = MonotonicInstant.system(after: limits.stopGrace)
        repeat {
            turn()
        } while (metrics.waiting > 0 || isAnswering) && MonotonicClock.system.now() < deadline
    }

    private var isAnswering: Bool { deadlines.count(in: .write) > 0 }

    /// Stops the daemon: every connection is closed. Nothing is suspended any more, since the library would abort.
    func close() {
        guard let running = library else { return }
        for case let record? in connections {
            guard let connection = record.suspended else { continue }
            record.suspended = nil
            cmhd_resume(connection)
        }
        cache.clear()
        cmhd_stop(running)
        library = nil
    }
}
