// Readiness and liveness: named checks, each with its state and since when. "Ready" says what was measured now.

package import Basics

package enum HealthState: Sendable, Equatable {
    case passing
    /// Why not; one line without secrets.
    case failing(String)

    package var isPassing: Bool { self == .passing }
}

/// One check that its owner sets. Starts failing.
package final class HealthCheck: Sendable {
    package let name: String
    private let record: Locked<HealthRecord>
    private let clock: WallClock

    init(name: String, initially reason: String, clock: WallClock) {
        self.name = name
        self.clock = clock
        record = Locked(HealthRecord(state: .failing(reason), since: clock.now()))
    }

    package func pass() { set(.passing) }
    package func fail(_ reason: String) { set(.failing(reason)) }
    package var isPassing: Bool { current.state.isPassing }

    package func set(_ state: HealthState) {
        let now = clock.now()
        record.withLock { $0.update(state, now) }
    }

    var current: HealthRecord { record.withLock { $0 } }
}

/// A state and since when it is the one or the other; another reason for failing does not restart the time.
struct HealthRecord: Sendable {
    private(set) var state: HealthState
    private(set) var since: Timestamp

    init(state: HealthState, since: Timestamp) {
        self.state = state
        self.since = since
    }

    mutating func update(_ new: HealthState, _ now: Timestamp) {
        if new.isPassing != state.isPassing { since = now }
        state = new
    }
}

/// The checks of one program.
package final class Health: Sendable {
    private enum Source: Sendable {
        case pushed(HealthCheck)
        case measured(name: String, read: @Sendable () -> HealthState, Locked<HealthRecord>)
    }

    private struct State {
        var readiness: [Source] = []
        var liveness: [Source] = []
    }

    private let state = Locked(State())
    private let clock: WallClock
    private let draining: HealthCheck
    /// Set at the first success that somebody saw, and kept.
    private let wasReady = Locked(false)

    package init(clock: WallClock = .system) {
        self.clock = clock
        draining = HealthCheck(name: "draining", initially: "", clock: clock)
        draining.pass()
    }

    /// A readiness check that the caller keeps and sets. The program is not ready until it passes.
    package func check(_ name: String, initially reason: String = "not yet tried") -> HealthCheck {
        let check = HealthCheck(name: name, initially: reason, clock: clock)
        state.withLock { $0.readiness.append(.pushed(check)) }
        return check
    }

    /// A readiness check that is measured at each question, on the asking thread: short, without blocking.
    package func measure(_ name: String, _ read: @escaping @Sendable () -> HealthState) {
        let source = measured(name, read)
        state.withLock { $0.readiness.append(source) }
    }

    /// A liveness check: fails only for what a restart can mend.
    package func measureLiveness(_ name: String, _ read: @escaping @Sendable () -> HealthState) {
        let source = measured(name, read)
        state.withLock { $0.liveness.append(source) }
    }

    /// From now on the program is not ready: it takes no new work. Never undone.
    package func beginDraining() { draining.fail("the program is stopping") }
    package var isDraining: Bool { !draining.isPassing }

    package func readiness() -> HealthReport {
        let sources = state.withLock { $0.readiness }
        return report(sources + (isDraining ? [.pushed(draining)] : []))
    }

    /// Failing only before the first success and while draining.
    package func publicReadiness() -> HealthReport {
        if isDraining { return readiness() }
        if wasReady.withLock({ $0 }) { return HealthReport(entries: []) }
        let report = readiness()
        if report.isPassing { wasReady.withLock { $0 = true } }
        return report
    }

    package func liveness() -> HealthReport { report(state.withLock { $0.liveness }) }

    private func measured(_ name: String, _ read: @escaping @Sendable () -> HealthState) -> Source {
        .measured(name: name, read: read, Locked(HealthRecord(state: .failing("not yet measured"), since: clock.now())))
    }

    private func report(_ sources: [Source]) -> HealthReport {
        HealthReport(
            entries: sources.map { source in
                switch source {
                case .pushed(let check):
                    let record = check.current
                    return HealthReport.Entry(name: check.name, state: record.state, since: record.since)
                case .measured(let name, let read, let kept):
                    let measured = read()
                    let now = clock.now()
                    let since = kept.withLock { record in
                        record.update(measured, now)
                        return record.since
                    }
                    return HealthReport.Entry(name: name, state: measured, since: since)
                }
            }
        )
    }
}

/// What was measured, and its small JSON.
package struct HealthReport: Sendable {
    package struct Entry: Sendable, Equatable {
        package let name: String
        package let state: HealthState
        package let since: Timestamp
    }

    package let entries: [Entry]
    package var isPassing: Bool { entries.allSatisfy(\.state.isPassing) }
    /// 200 or 503.
    package var status: Int { isPassing ? 200 : 503 }

    /// `{"status":"ok"|"failing","checks":[{"name":…,"status":…,"since":…,"reason":…}]}`
    package var json: [UInt8] {
        var bytes: [UInt8] = []
        bytes += "{\"status\":\"\(isPassing ? "ok" : "failing")\",\"checks\":[".utf8
        for (index, entry) in entries.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes += "{\"name\":".utf8
            JSONText.append(entry.name, to: &bytes)
            bytes +=
                ",\"status\":\"\(entry.state.isPassing ? "ok" : "failing")\",\"since\":\"\(entry.since.rfc3339)\"".utf8
            if case .failing(let reason) = entry.state {
                bytes += ",\"reason\":".utf8
                JSONText.append(reason, to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
        bytes += "]}\n".utf8
        return bytes
    }
}
