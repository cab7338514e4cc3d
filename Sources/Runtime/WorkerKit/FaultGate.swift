// What happens when everything is wrong at once: stop starting, wait, try with one event. Pure.

package import Basics

/// Open, closed for a while, or letting one piece of work through to see.
///
/// A fault that hits every event alike (bad keys, no database) must not burn through the events of a topic. The
/// handler says how long to wait; each probe that meets the fault again doubles the wait, up to ``maxPause``.
package struct FaultGate: Sendable {
    /// The longest wait between two probes, unless the handler asks for a longer one.
    package static let maxPause: Duration = .seconds(60)

    package struct Closure: Sendable {
        package let reason: String
        package let since: MonotonicInstant
        package fileprivate(set) var until: MonotonicInstant
        fileprivate var pause: Duration
    }

    private enum State {
        case open
        case closed(Closure)
        case probing(Closure, work: UInt64)
    }

    package enum Permit: Sendable { case all, one, none }

    private var state = State.open

    package init() {}

    package var closure: Closure? {
        switch state {
        case .open: nil
        case .closed(let closure), .probing(let closure, _): closure
        }
    }

    /// When the next probe may start, nil while open or while a probe runs.
    package var probeDue: MonotonicInstant? {
        if case .closed(let closure) = state { closure.until } else { nil }
    }

    package func isProbe(_ work: UInt64) -> Bool {
        if case .probing(_, let probe) = state { probe == work } else { false }
    }

    /// How much may start now.
    package func permit(_ now: MonotonicInstant) -> Permit {
        switch state {
        case .open: .all
        case .closed(let closure): now >= closure.until ? .one : .none
        case .probing: .none
        }
    }

    /// The piece of work that ``permit(_:)`` let through alone has started.
    package mutating func probeStarted(_ work: UInt64) {
        if case .closed(let closure) = state { state = .probing(closure, work: work) }
    }

    /// A piece of work met the fault.
    ///
    /// - Returns: True when this closed an open gate.
    package mutating func fault(
        _ reason: String,
        pause: Duration,
        work: UInt64,
        now: MonotonicInstant,
        using random: inout some RandomNumberGenerator
    ) -> Bool {
        let pause = max(pause, .milliseconds(100))
        switch state {
        case .open:
            state = .closed(Closure(reason: reason, since: now, until: now + spread(pause, &random), pause: pause))
            return true
        case .closed(var closure):
            // It had started before the gate closed: it says that the fault lasts, not that a probe failed.
            closure.until = max(closure.until, now + pause)
            state = .closed(closure)
        case .probing(var closure, let probe):
            if probe == work {
                closure.pause = max(pause, min(closure.pause * 2, Self.maxPause))
                closure.until = now + spread(closure.pause, &random)
                state = .closed(closure)
            }
        }
        return false
    }

    /// A piece of work ended otherwise.
    ///
    /// - Returns: What had been closed, when this was the probe and the gate is open now, else nil. Work that had
    ///   started before the fault proves nothing.
    package mutating func passed(_ work: UInt64) -> Closure? {
        guard case .probing(let closure, let probe) = state, probe == work else { return nil }
        state = .open
        return closure
    }

    /// Up to a quarter more, so that replicas that met one fault do not probe at one instant.
    private func spread(_ pause: Duration, _ random: inout some RandomNumberGenerator) -> Duration {
        pause + .nanoseconds(Int64.random(in: 0...max(0, pause.wholeNanoseconds / 4), using: &random))
    }
}
