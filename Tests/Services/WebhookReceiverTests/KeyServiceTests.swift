import Basics
import Cryptography
import HTTPClient
import HTTPServer
import PlaidAPI
import ServiceKit
import Testing

@testable import Kafka
@testable import WebhookReceiver

@Suite struct KeyServiceTests {
    @Test func `one look-up serves all who wait for the same key`() async throws {
        try await Receiver.with { receiver, signer in
            receiver.keys.set(signer.keyID, .held)
            async let first = receiver.send(readyBody, by: signer)
            let answer = try await receiver.keys.held.next("a look-up")
            async let second = receiver.send(readyBody, by: signer)
            async let third = receiver.send(readyBody, by: signer)
            answer(.key(signer))
            let statuses = try await [first.status, second.status, third.status]
            #expect(statuses == [200, 200, 200])
            #expect(receiver.keys.asked == [signer.keyID])
            #expect(receiver.sink.records.count == 3)
        }
    }

    static let troubles: [ScriptedKeys.Script] = [.unreachable, .broken]

    @Test(arguments: troubles)
    func `a key service in trouble is 429 for good and forged alike, and known keys go on`(
        _ trouble: ScriptedKeys.Script
    ) async throws {
        try await Receiver.with { receiver, signer in
            #expect(try await receiver.send(readyBody, by: signer).status == 200)
            receiver.keys.setEverything(trouble)
            let other = try Signer(keyID: "kid-2")
            let answer = try await receiver.send(readyBody, by: other)
            #expect(answer.status == 429)
            #expect((8...12).contains(answer.retryAfter?.inSeconds ?? 0))
            #expect(receiver.undecided(.keyService) == 1)
            #expect(try await receiver.send(readyBody, by: signer).status == 200)
            receiver.keys.set("kid-2", .key(other))
            #expect(try await receiver.send(readyBody, by: other).status == 200)
        }
    }

    @Test func `a silent key service is 429 in time; the late key still publishes and is counted once`() async throws {
        try await Receiver.with(.init(answerWithin: .milliseconds(50))) { receiver, signer in
            receiver.keys.set(signer.keyID, .held)
            let answer = try await receiver.send(readyBody, by: signer)
            #expect(answer.status == 429)
            #expect(receiver.undecided(.keyTimeout) == 1)
            #expect(receiver.undecided(.kafkaTimeout) == 0)
            let complete = try await receiver.keys.held.next("a look-up")
            complete(.key(signer))
            #expect(receiver.sink.records.count == 1)
            #expect(receiver.late == 1)
            #expect(receiver.acknowledged == 0)
            // The key is known from now on.
            #expect(try await receiver.send(readyBody, by: signer).status == 200)
            #expect(receiver.keys.asked.count == 1)
        }
    }

    @Test func `a late "no such key" is not counted as a second answer`() async throws {
        try await Receiver.with(.init(answerWithin: .milliseconds(50))) { receiver, signer in
            receiver.keys.set(signer.keyID, .held)
            #expect(try await receiver.send(readyBody, by: signer).status == 429)
            let complete = try await receiver.keys.held.next("a look-up")
            complete(.unknown)
            #expect(receiver.refused(.unknownKey) == 0)
            #expect(receiver.sink.records.isEmpty)
            #expect(try await receiver.send(readyBody, by: signer).status == 401)
            #expect(receiver.refused(.unknownKey) == 1)
        }
    }

    @Test func `ten thousand unknown ids cost at most twenty look-ups, and a good webhook never notices`()
        async throws
    {
        let clock = ManualClock()
        let options = Receiver.Options(wall: clock.wall, clock: clock.monotonic)
        try await Receiver.with(options) { receiver, signer in
            let body = Array(readyBody.utf8)
            let now = clock.wall.now()
            let good = try signer.token(body, issuedAt: now)
            #expect(receiver.ask(body, tokens: [good]) == nil)
            // One signature for all: the key's id is read before any signature is.
            let payload = Base64URL.encode(Array(signer.payload(body, issuedAt: now).utf8))
            let tail = "." + payload + "." + String(good.split(separator: ".")[2])
            var statuses: [Int: Int] = [:]
            let delivered = Locked(0)
            for number in 0..<10_000 {
                let header = #"{"alg":"ES256","kid":"flood-\#(number)"}"#
                let token = Base64URL.encode(Array(header.utf8)) + tail
                let answered = Locked<Int?>(nil)
                let response = receiver.ask(body, tokens: [token], serial: UInt64(number) * 2 + 2) { response in
                    answered.withLock { $0 = response.status }
                }
                statuses[response?.status ?? answered.withLock { $0 } ?? 0, default: 0] += 1
                if number.isMultiple(of: 500) {
                    clock.advance(by: .seconds(2))
                    let response = receiver.ask(body, tokens: [good], serial: UInt64(number) * 2 + 3) { response in
                        if response.status == 200 { delivered.withLock { $0 += 1 } }
                    }
                    #expect(response == nil)
                }
            }
            // 40 s pass: the burst of ten and about six more.
            #expect((10...20).contains(receiver.keys.asked.count - 1))
            #expect(statuses[401] == receiver.keys.asked.count - 1)
            #expect(statuses[429] == 10_000 - receiver.keys.asked.count + 1)
            #expect(delivered.withLock { $0 } == 20)
            #expect(receiver.sink.records.count == 21)
            #expect(receiver.keyService.keyCount == 1)
        }
    }

    // MARK: The clock

    @Test
    func `a clock that differs from Plaid's makes every webhook 429, says so once, and is noticed when set right`()
        async throws
    {
        let clock = ManualClock()
        let options = Receiver.Options(wall: clock.wall, clock: clock.monotonic)
        try await Receiver.with(options) { receiver, signer in
            receiver.keys.set(date: clock.wall.now() + .seconds(120))
            for _ in 0..<5 {
                let answer = try await receiver.send(readyBody, by: signer)
                #expect(answer.status == 429)
                #expect(answer.retryAfter != nil)
            }
            #expect(receiver.undecided(.clock) == 5)
            #expect(ReceiverHealth.clock(receiver.keyService) == .failing("this machine's clock differs from Plaid's"))
            #expect(receiver.sink.records.isEmpty)
            let loud = receiver.lines.withLock { $0.filter { $0.contains("\"critical\"") } }
            #expect(loud.count == 1)
            // It is Plaid's that comes back: nothing steps here, so only another look can tell.
            receiver.keys.set(date: clock.wall.now() + .seconds(30))
            clock.advance(by: ClockWatch.probeEvery)
            _ = try await receiver.send(readyBody, by: signer)
            #expect(ReceiverHealth.clock(receiver.keyService) == .passing)
            #expect(try await receiver.send(readyBody, by: signer).status == 200)
            #expect(receiver.lines.withLock { $0.filter { $0.contains("agrees with Plaid's again") } }.count == 1)
        }
    }

    @Test func `readiness looks at a wrong clock again by itself, without any webhook`() async throws {
        let clock = ManualClock()
        let options = Receiver.Options(wall: clock.wall, clock: clock.monotonic)
        try await Receiver.with(options) { receiver, signer in
            receiver.keys.set(date: clock.wall.now() + .seconds(120))
            _ = try await receiver.send(readyBody, by: signer)
            #expect(!ReceiverHealth.clock(receiver.keyService).isPassing)
            receiver.keys.set(date: clock.wall.now() + .seconds(30))
            clock.advance(by: ClockWatch.probeEvery)
            #expect(ReceiverHealth.clock(receiver.keyService).isPassing)
        }
    }

    @Test func `a clock that is set right is believed at once`() async throws {
        let clock = ManualClock()
        let options = Receiver.Options(wall: clock.wall, clock: clock.monotonic)
        try await Receiver.with(options) { receiver, signer in
            let right = clock.wall.now() + .seconds(400)
            receiver.keys.set(date: right)
            let body = Array(readyBody.utf8)
            let token = try signer.token(body, issuedAt: right)
            #expect(try await receiver.send(body, tokens: [token]).status == 429)
            clock.set(wall: right)
            #expect(try await receiver.send(body, tokens: [token]).status == 200)
        }
    }

    @Test func `a clock that jumps does not turn genuine webhooks into stale ones`() async throws {
        let clock = ManualClock()
        let options = Receiver.Options(wall: clock.wall, clock: clock.monotonic)
        try await Receiver.with(options) { receiver, signer in
            #expect(try await receiver.send(readyBody, by: signer).status == 200)
            let right = clock.wall.now()
            let body = Array(readyBody.utf8)
            let token = try signer.token(body, issuedAt: right)
            clock.set(wall: right + .seconds(3_600))
            #expect(try await receiver.send(body, tokens: [token]).status == 429)
            #expect(receiver.keyService.clockTrust == .off)
            #expect(receiver.refused(.stale) == 0)
            clock.set(wall: right)
            #expect(try await receiver.send(body, tokens: [token]).status == 200)
        }
    }

    @Test func `a clock found wrong is asked about at most every thirty seconds`() async throws {
        let clock = ManualClock()
        let options = Receiver.Options(wall: clock.wall, clock: clock.monotonic)
        try await Receiver.with(options) { receiver, signer in
            receiver.keys.set(date: clock.wall.now() + .seconds(120))
            let body = Array(readyBody.utf8)
            for second in 0..<60 {
                let token = try signer.token(body, issuedAt: clock.wall.now())
                _ = receiver.ask(body, tokens: [token], serial: UInt64(second) + 1)
                clock.advance(by: .seconds(1))
            }
            // The first webhook's own look-up, its probe, and those after 30 s.
            #expect((2...4).contains(receiver.keys.asked.count))
            #expect(receiver.sink.records.isEmpty)
        }
    }

    @Test func `a good comparison of clocks ages, and the next webhook of a wrong age asks again`() async throws {
        let clock = ManualClock()
        let options = Receiver.Options(wall: clock.wall, clock: clock.monotonic)
        try await Receiver.with(options) { receiver, signer in
            #expect(try await receiver.send(readyBody, by: signer).status == 200)
            clock.advance(by: ClockWatch.goodFor + .seconds(1))
            receiver.keys.set(date: clock.wall.now())
            #expect(receiver.keyService.clockTrust == .unchecked)
            let body = Array(readyBody.utf8)
            let stale = try signer.token(body, issuedAt: clock.wall.now() - .seconds(400))
            receiver.keys.set(signer.keyID, .held)
            #expect(try await receiver.send(body, tokens: [stale]).status == 429)
            // What has the right age needs no clock.
            #expect(try await receiver.send(readyBody, by: signer).status == 200)
            try await receiver.keys.held.next("the re-check")(.key(signer))
            #expect(receiver.keyService.clockTrust == .good)
            #expect(try await receiver.send(body, tokens: [stale]).status == 401)
        }
    }
}
