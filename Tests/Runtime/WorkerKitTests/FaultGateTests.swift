import Basics
import Testing
import WorkerKit

@Suite struct FaultGateTests {
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000)

    /// The struct behind a reference, since the expectation macros take no mutating calls.
    private final class Gate {
        var value = FaultGate()
        var random = SeededGenerator(seed: 3)
        func fault(_ reason: String = "keys", pause: Duration = .seconds(1), work: UInt64, _ now: MonotonicInstant)
            -> Bool
        {
            value.fault(reason, pause: pause, work: work, now: now, using: &random)
        }
        func passed(_ work: UInt64) -> String? { value.passed(work)?.reason }
    }

    @Test func `open lets everything through, whatever ends`() {
        let gate = Gate()
        #expect(gate.value.permit(start) == .all)
        #expect(gate.passed(1) == nil)
        #expect(gate.value.probeDue == nil)
    }

    @Test func `closes, lets one through after the pause, and opens when that passes`() throws {
        let gate = Gate()
        #expect(gate.fault(work: 1, start))
        #expect(gate.value.permit(start) == .none)
        let due = try #require(gate.value.probeDue)
        #expect(due >= start + .seconds(1) && due <= start + .seconds(1.25))
        #expect(gate.value.permit(due) == .one)
        gate.value.probeStarted(7)
        #expect(gate.value.permit(due) == .none)
        #expect(gate.value.probeDue == nil)
        #expect(gate.passed(6) == nil, "what had started before proves nothing")
        #expect(gate.value.permit(due) == .none)
        #expect(gate.passed(7) == "keys")
        #expect(gate.value.permit(due) == .all)
    }

    @Test func `each failed probe doubles the pause up to a minute`() throws {
        let gate = Gate()
        var now = start
        _ = gate.fault(work: 0, now)
        var pauses: [Double] = []
        for work in UInt64(1)...10 {
            now = try #require(gate.value.probeDue)
            gate.value.probeStarted(work)
            #expect(!gate.fault(work: work, now), "it was closed already")
            pauses.append((try #require(gate.value.probeDue) - now).inSeconds)
        }
        for (pause, least) in zip(pauses, [2.0, 4, 8, 16, 32, 60, 60, 60, 60, 60]) {
            #expect(pause >= least && pause <= least * 1.25)
        }
    }

    @Test func `a longer wish of the handler is followed`() throws {
        let gate = Gate()
        _ = gate.fault(pause: .seconds(120), work: 0, start)
        let due = try #require(gate.value.probeDue)
        #expect(due >= start + .seconds(120))
        gate.value.probeStarted(1)
        _ = gate.fault(pause: .seconds(120), work: 1, due)
        #expect(try #require(gate.value.probeDue) - due >= .seconds(120))
    }

    @Test func `work that had started before the fault extends the pause and doubles nothing`() throws {
        let gate = Gate()
        _ = gate.fault(work: 0, start)
        for work in UInt64(1)...50 { _ = gate.fault(work: work, start + .milliseconds(500)) }
        let due = try #require(gate.value.probeDue)
        #expect(due <= start + .milliseconds(1_500))
        gate.value.probeStarted(99)
        _ = gate.fault(work: 51, due)
        #expect(gate.value.permit(due + .seconds(100)) == .none, "the probe still runs")
        #expect(gate.passed(99) != nil)
    }

    @Test func `a pause of nothing is no busy loop`() throws {
        let gate = Gate()
        _ = gate.fault(pause: .zero, work: 0, start)
        #expect(try #require(gate.value.probeDue) >= start + .milliseconds(100))
    }
}
