import Basics
import JSON
import ServiceKit
import Testing

@Suite struct HealthTests {
    private let clock = ManualClock(wall: Timestamp(seconds: 1_800_000_000))
    private var health: Health { shared }
    private let shared: Health

    init() { shared = Health(clock: clock.wall) }

    @Test func `a program without checks is ready and alive`() {
        #expect(health.readiness().status == 200)
        #expect(health.liveness().status == 200)
    }

    @Test func `a check fails until its owner says otherwise`() {
        let check = health.check("kafka")
        #expect(health.readiness().status == 503)
        check.pass()
        #expect(health.readiness().status == 200)
        check.fail("no leader")
        #expect(health.readiness().status == 503)
        #expect(health.liveness().status == 200, "readiness is not liveness")
    }

    @Test func `since is when it began to pass or to fail, not the last report`() {
        let check = health.check("kafka")
        let start = clock.wall.now()
        clock.advance(by: .seconds(5))
        check.fail("another reason")
        #expect(health.readiness().entries.first?.since == start)
        clock.advance(by: .seconds(5))
        check.pass()
        let passed = clock.wall.now()
        clock.advance(by: .seconds(5))
        check.pass()
        #expect(health.readiness().entries.first?.since == passed)
    }

    @Test func `a measured check is read at each question`() {
        let state = Locked<HealthState>(.failing("down"))
        health.measure("postgres") { state.withLock { $0 } }
        let start = clock.wall.now()
        clock.advance(by: .seconds(1))
        #expect(health.readiness().status == 503)
        #expect(health.readiness().entries.first?.since == start)
        state.withLock { $0 = .passing }
        clock.advance(by: .seconds(1))
        #expect(health.readiness().status == 200)
        #expect(health.readiness().entries.first?.since == clock.wall.now())
    }

    @Test func `draining is not ready for good`() {
        health.beginDraining()
        #expect(health.readiness().status == 503)
        #expect(health.readiness().entries.map(\.name) == ["draining"])
    }

    @Test func `the public answer stays ready through later trouble and not through draining`() {
        let check = health.check("kafka")
        #expect(health.publicReadiness().status == 503)
        check.pass()
        #expect(health.publicReadiness().status == 200)
        check.fail("gone")
        #expect(health.publicReadiness().status == 200)
        #expect(health.readiness().status == 503)
        health.beginDraining()
        #expect(health.publicReadiness().status == 503)
    }

    @Test func `liveness has its own checks`() {
        health.measureLiveness("loop") { .failing("stuck for 30 s") }
        #expect(health.liveness().status == 503)
        #expect(health.readiness().status == 200)
    }

    @Test func `the JSON names each check, its state, since when and why`() throws {
        health.check("a").pass()
        health.check("b").fail("line\n\"quoted\"")
        let since: JSONValue = "2027-01-15T08:00:00Z"
        #expect(
            try JSON.parse(health.readiness().json) == [
                "status": "failing",
                "checks": [
                    ["name": "a", "status": "ok", "since": since],
                    ["name": "b", "status": "failing", "since": since, "reason": "line\n\"quoted\""],
                ],
            ]
        )
        #expect(try JSON.parse(health.liveness().json) == ["status": "ok", "checks": []])
    }
}
