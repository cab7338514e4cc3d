// Sends webhooks: signs each attempt anew, keeps few in flight, climbs the ladder, writes down what happened.

import Basics
import HTTPClient

/// One webhook on its way to one URL.
struct WebhookDelivery: Sendable {
    struct Attempt: Sendable {
        let at: Timestamp
        var answer: DeliveryAnswer?
        /// When the answer came.
        var answeredAt: Timestamp?
    }

    let serial: Int
    let code: String
    let userID: String
    let generation: Int?
    let url: String
    let body: [UInt8]
    let bodySHA256: String
    var ladder: DeliveryLadder
    var attempts: [Attempt] = []
    /// Set when no attempt follows.
    var outcome: DeliveryLadder.Step?
}

/// One attempt that has ended, for logs and tests.
struct WebhookStep: Sendable {
    let serial: Int
    let code: String
    /// 1 for the first.
    let attempt: Int
    let answer: DeliveryAnswer
    /// What follows; the next attempt is on the timer already.
    let next: DeliveryLadder.Step
}

/// What is sent.
struct OutgoingWebhook: Sendable {
    let code: String
    let userID: String
    let generation: Int?
    let url: String
    let body: [UInt8]
}

final class WebhookSender: Sendable {
    /// Makes the JWT for a body at the moment of an attempt.
    typealias Sign = @Sendable (_ body: [UInt8], _ now: Timestamp) throws -> String

    private struct State {
        var deliveries: [Int: WebhookDelivery] = [:]
        /// Serials in the order of their making; the oldest finished are forgotten at the bound.
        var order: [Int] = []
        var nextSerial = 1
        /// A slice: taking from its front moves nothing.
        var waiting: ArraySlice<Int> = []
        var inFlight = 0
        var histories: [String: RefusalHistory] = [:]
        var isStopped = false
    }

    private let state = Locked(State())
    private let http: HTTPClient
    private let timers: TimerQueue
    private let clock: MonotonicClock
    private let wallClock: WallClock
    private let speed: Double
    private let sign: Sign
    private let maxInFlight: Int
    private let observe: @Sendable (WebhookStep) -> Void

    /// Plaid gives up on an answer after this long, at any speed.
    static let answerLimit = Duration.seconds(10)
    /// Deliveries remembered; beyond it the oldest finished one is forgotten, or the newcomer refused.
    static let mostDeliveries = 50_000
    static let mostURLs = 1_000
    /// Attempts at one time; the others wait in their order.
    static let mostInFlight = 64

    init(
        http: HTTPClient,
        timers: TimerQueue,
        clock: MonotonicClock,
        wallClock: WallClock,
        speed: Double,
        maxInFlight: Int = WebhookSender.mostInFlight,
        observe: @escaping @Sendable (WebhookStep) -> Void = { _ in },
        sign: @escaping Sign
    ) {
        self.http = http
        self.timers = timers
        self.clock = clock
        self.wallClock = wallClock
        self.speed = speed
        self.maxInFlight = maxInFlight
        self.sign = sign
        self.observe = observe
    }

    /// Begins a delivery; does not wait for anything.
    /// - Returns: Its serial, nil when the sandbox has stopped or remembers no more.
    @discardableResult
    func send(_ webhook: OutgoingWebhook, bodySHA256: String) -> Int? {
        let now = clock.now()
        let serial: Int? = state.withLock { state in
            guard !state.isStopped, makeRoom(&state) else { return nil }
            let serial = state.nextSerial
            state.nextSerial += 1
            state.deliveries[serial] = WebhookDelivery(
                serial: serial,
                code: webhook.code,
                userID: webhook.userID,
                generation: webhook.generation,
                url: webhook.url,
                body: webhook.body,
                bodySHA256: bodySHA256,
                ladder: DeliveryLadder(firstAttempt: now, speed: speed)
            )
            state.order.append(serial)
            state.waiting.append(serial)
            return serial
        }
        startWaiting()
        return serial
    }

    private func makeRoom(_ state: inout State) -> Bool {
        guard state.deliveries.count >= Self.mostDeliveries else { return true }
        guard let index = state.order.firstIndex(where: { state.deliveries[$0]?.outcome != nil }) else { return false }
        state.deliveries[state.order.remove(at: index)] = nil
        return true
    }

    // MARK: attempts

    private func startWaiting() {
        while let delivery = takeNext() { attempt(delivery) }
    }

    private func takeNext() -> WebhookDelivery? {
        let now = wallClock.now()
        return state.withLock { state in
            guard !state.isStopped, state.inFlight < maxInFlight, !state.waiting.isEmpty else { return nil }
            let serial = state.waiting.removeFirst()
            state.inFlight += 1
            state.deliveries[serial]?.attempts.append(WebhookDelivery.Attempt(at: now))
            return state.deliveries[serial]
        }
    }

    private func attempt(_ delivery: WebhookDelivery) {
        let token: String
        do {
            token = try sign(delivery.body, wallClock.now())
        } catch {
            finished(delivery.serial, .unanswered("could not be signed: \(error)"))
            return
        }
        var timeouts = HTTPTimeouts.layer
        timeouts.connect = Self.answerLimit
        timeouts.firstByte = Self.answerLimit
        timeouts.stall = Self.answerLimit
        timeouts.whole = Self.answerLimit
        let request = HTTPClientRequest(
            method: "POST",
            url: delivery.url,
            headers: [
                ("Content-Type", "application/json"), ("Plaid-Verification", .plain(token)),
            ],
            body: delivery.body,
            timeouts: timeouts,
            maxResponseBytes: 256 * 1_024,
            isRepeatable: false
        )
        http.send(request) { [self] result in
            switch result {
            case .success(let response) where response.status == 200: finished(delivery.serial, .accepted)
            case .success(let response):
                finished(delivery.serial, .refused(status: response.status, retryAfter: response.retryAfter))
            case .failure(let error): finished(delivery.serial, .unanswered(error.kind.name))
            }
        }
    }

    private func finished(_ serial: Int, _ answer: DeliveryAnswer) {
        let now = clock.now()
        let answeredAt = wallClock.now()
        let ended: WebhookStep? = state.withLock { state in
            state.inFlight -= 1
            guard var delivery = state.deliveries[serial] else { return nil }
            let last = delivery.attempts.count - 1
            delivery.attempts[last].answer = answer
            delivery.attempts[last].answeredAt = answeredAt
            let refusesMost = note(answer, delivery.url, now, &state)
            let step = delivery.ladder.step(answer, now: now, refusesMost: refusesMost)
            switch step {
            case .again: break
            case .done, .lost: delivery.outcome = step
            }
            state.deliveries[serial] = delivery
            return WebhookStep(
                serial: serial,
                code: delivery.code,
                attempt: delivery.attempts.count,
                answer: answer,
                next: step
            )
        }
        if case .again(let gap)? = ended?.next {
            timers.schedule(at: now + gap) { [weak self] in self?.retry(serial) }
        }
        if let ended { observe(ended) }
        startWaiting()
    }

    private func note(
        _ answer: DeliveryAnswer,
        _ url: String,
        _ now: MonotonicInstant,
        _ state: inout State
    ) -> Bool {
        if state.histories[url] == nil {
            if state.histories.count >= Self.mostURLs { state.histories.removeAll() }
            state.histories[url] = RefusalHistory(speed: speed)
        }
        state.histories[url]?.note(answer, now: now)
        return state.histories[url]?.refusesMost(now: now) ?? false
    }

    private func retry(_ serial: Int) {
        let now = clock.now()
        state.withLock { state in
            guard let delivery = state.deliveries[serial], delivery.outcome == nil else { return }
            // The rule is looked at again: others may have been refused since.
            if state.histories[delivery.url]?.refusesMost(now: now) ?? false {
                state.deliveries[serial]?.outcome = .lost(.refusesMost)
            } else {
                state.waiting.append(serial)
            }
        }
        startWaiting()
    }

    // MARK: what is known

    /// Everything remembered, oldest first.
    func deliveries() -> [WebhookDelivery] {
        state.withLock { state in state.order.compactMap { state.deliveries[$0] } }
    }

    /// Nothing is begun from now on; what is in flight ends with the HTTP client.
    func stop() { state.withLock { $0.isStopped = true } }
}
