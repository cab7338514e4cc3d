import Basics
import Kafka
import Testing
import WorkerKit

@Suite struct CommitPlannerTests {
    private let p0 = TopicPartition(topic: "t", partition: 0)
    private let p1 = TopicPartition(topic: "t", partition: 1)
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000)

    private func at(_ milliseconds: Int) -> MonotonicInstant { start + .milliseconds(milliseconds) }

    private func planner() -> CommitPlanner {
        var planner = CommitPlanner()
        planner.begin(p0, at: 10)
        planner.begin(p1, at: 20)
        return planner
    }

    private func plan(_ planner: inout CommitPlanner, _ marks: [TopicPartition: Int64], _ time: Int) -> [TopicPartition:
        Int64]?
    {
        planner.plan(marks: marks, now: at(time))
    }

    @Test func `nothing to commit where reading began`() {
        var planner = planner()
        #expect(plan(&planner, [p0: 10, p1: 20], 0) == nil)
        #expect(plan(&planner, [:], 0) == nil)
    }

    @Test func `an explicit list of what moved`() {
        var planner = planner()
        #expect(plan(&planner, [p0: 12, p1: 20], 0) == [p0: 12])
        planner.completed([p0: 12], succeeded: true)
        #expect(planner.confirmedOffset(p0) == 12)
        #expect(plan(&planner, [p0: 12, p1: 25], 250) == [p1: 25])
    }

    @Test func `one in flight`() {
        var planner = planner()
        #expect(plan(&planner, [p0: 11], 0) != nil)
        #expect(plan(&planner, [p0: 15], 30_000) == nil)
        planner.completed([p0: 11], succeeded: true)
        #expect(plan(&planner, [p0: 15], 30_001) == [p0: 15])
    }

    @Test func `not more often than the interval`() {
        var planner = planner()
        _ = plan(&planner, [p0: 11], 0)
        planner.completed([p0: 11], succeeded: true)
        #expect(plan(&planner, [p0: 12], 249) == nil)
        #expect(plan(&planner, [p0: 12], 250) == [p0: 12])
    }

    @Test func `a failed commit is built anew, not repeated`() {
        var planner = planner()
        _ = plan(&planner, [p0: 11], 0)
        planner.completed([p0: 11], succeeded: false)
        #expect(planner.confirmedOffset(p0) == 10)
        #expect(plan(&planner, [p0: 17], 250) == [p0: 17])
    }

    @Test func `an answer may come in parts, good and bad`() {
        var planner = planner()
        _ = plan(&planner, [p0: 11, p1: 21], 0)
        planner.completed([p0: 11], succeeded: false)
        #expect(plan(&planner, [p0: 12, p1: 22], 300) == nil, "half of it is in flight")
        planner.completed([p1: 21], succeeded: true)
        #expect(planner.confirmedOffset(p0) == 10)
        #expect(planner.confirmedOffset(p1) == 21)
        #expect(plan(&planner, [p0: 12, p1: 21], 301) == [p0: 12])
    }

    @Test func `never backwards`() {
        var planner = planner()
        _ = plan(&planner, [p0: 15], 0)
        planner.completed([p0: 15], succeeded: true)
        #expect(plan(&planner, [p0: 14], 1_000) == nil)
        #expect(planner.advanced([p0: 15, p1: 19]).isEmpty)
    }

    @Test func `a partition of another owner is never committed`() {
        var planner = planner()
        #expect(plan(&planner, [TopicPartition(topic: "x", partition: 0): 5], 0) == nil)
        planner.forget(p0)
        #expect(plan(&planner, [p0: 50], 0) == nil)
    }

    @Test func `the answer to a commit from before a new assignment says nothing`() {
        var planner = planner()
        _ = plan(&planner, [p0: 15], 0)
        planner.forget(p0)
        planner.begin(p0, at: 12)
        planner.completed([p0: 15], succeeded: true)
        #expect(planner.confirmedOffset(p0) == 12)
        #expect(plan(&planner, [p0: 13], 250) == [p0: 13])
    }

    @Test func `a rewind lets the commit go back with the log`() {
        var planner = planner()
        _ = plan(&planner, [p0: 15], 0)
        planner.completed([p0: 15], succeeded: true)
        planner.begin(p0, at: 0)
        #expect(plan(&planner, [p0: 1], 250) == [p0: 1])
    }

    @Test func `an answer that never comes holds up commits for a bounded time`() {
        var planner = planner()
        _ = plan(&planner, [p0: 11], 0)
        #expect(plan(&planner, [p0: 12], 59_999) == nil)
        #expect(plan(&planner, [p0: 12], 60_000) == [p0: 12])
        planner.completed([p0: 11], succeeded: true)
        #expect(planner.confirmedOffset(p0) == 10, "an answer to the older one is ignored")
        #expect(plan(&planner, [p0: 13], 60_300) == nil, "and does not end the newer one")
        planner.completed([p0: 12], succeeded: true)
        #expect(planner.confirmedOffset(p0) == 12)
    }
}
