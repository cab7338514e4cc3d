// The state machine of an exchange: every event in every phase, and every short sequence of events.

import Testing

@testable import HTTPServer

/// Every event there is, with the variants that matter.
private enum Event: CaseIterable {
    case requestBegan
    case headRefused
    case headAnsweredWithoutBody, headAnsweredWithBody, headAnsweredExpecting, headAnsweredTooLong
    case accepted, acceptedChunked, acceptedOddly, acceptedTooLong, acceptedAbsurd, acceptedTooLongExpecting
    case bodyWithin, bodyOver, bodyFarOver
    case bodyRefused
    case bodyEnded
    case waits, answerQueued
    case completed, resumed
    case finished
    case expired
    case cut
}

private enum Outcome: Equatable {
    case none
    case readBody, answer(Int), close
    case data(ExchangeMachine.DataAction)
    case askService
    case completion(ExchangeMachine.CompletionAction)
    case resumedWith(Int?)
    case expiry(ExchangeMachine.ExpiryAction)
}

extension ExchangeMachine {
    /// Body limit 10, discard limit 40; refused bodies are read off up to 20.
    fileprivate mutating func apply(_ event: Event) -> Outcome {
        func head(_ action: HeadAction) -> Outcome {
            switch action {
            case .readBody: .readBody
            case .answer(let response): .answer(response.status)
            case .close: .close
            }
        }
        func accept(_ length: Int?, expects: Bool = false, plain: Bool = true) -> Outcome {
            let framing = RequestFraming(contentLength: length, isChunked: length == nil, expectsContinue: expects)
            return head(headAccepted(bodyLimit: 10, discardFactor: 4, framing: framing, isPlain: plain))
        }
        func answered(_ length: Int?, expects: Bool = false) -> Outcome {
            let framing = RequestFraming(contentLength: length, isChunked: false, expectsContinue: expects)
            return head(headAnswered(with: .empty(404), framing: framing, discardLimit: 20))
        }
        switch event {
        case .requestBegan: requestBegan()
        case .headRefused: return head(headRefused(with: .empty(400)))
        case .headAnsweredWithoutBody: return answered(nil)
        case .headAnsweredWithBody: return answered(20)
        case .headAnsweredExpecting: return answered(1, expects: true)
        case .headAnsweredTooLong: return answered(21)
        case .accepted: return accept(10)
        case .acceptedChunked: return accept(nil)
        case .acceptedOddly: return accept(10, plain: false)
        case .acceptedTooLong: return accept(40)
        case .acceptedAbsurd: return accept(41)
        case .acceptedTooLongExpecting: return accept(11, expects: true)
        case .bodyWithin: return .data(bodyArrived(1))
        case .bodyOver: return .data(bodyArrived(11))
        case .bodyFarOver: return .data(bodyArrived(41))
        case .bodyRefused: bodyRefused(with: .empty(429))
        case .bodyEnded:
            switch bodyEnded() {
            case .askService: return .askService
            case .answer(let response): return .answer(response.status)
            case .close: return .close
            }
        case .waits: waits()
        case .answerQueued: answerQueued()
        case .completed: return .completion(completed(with: .empty(200)))
        case .resumed: return .resumedWith(resumed()?.status)
        case .finished: finished()
        case .expired: return .expiry(expired())
        case .cut: cut()
        }
        return .none
    }

    /// The shortest way into a phase.
    fileprivate static func inPhase(_ phase: Phase) -> ExchangeMachine {
        let way: [Event] =
            switch phase {
            case .first: []
            case .head: [.requestBegan]
            case .body: [.requestBegan, .accepted]
            case .deciding: [.requestBegan, .accepted, .bodyEnded]
            case .answering: [.requestBegan, .headRefused]
            case .waiting: [.requestBegan, .accepted, .bodyEnded, .waits]
            case .answered: [.requestBegan, .accepted, .bodyEnded, .waits, .completed]
            case .writing: [.requestBegan, .accepted, .bodyEnded, .answerQueued]
            case .idle: [.requestBegan, .accepted, .bodyEnded, .answerQueued, .finished]
            case .cut: [.cut]
            }
        var machine = ExchangeMachine()
        for event in way { _ = machine.apply(event) }
        return machine
    }
}

@Suite struct ExchangeMachineTests {
    /// What moves, and what it says; everything else leaves the phase alone and says `refusal`.
    private static let moves: [ExchangeMachine.Phase: [Event: (ExchangeMachine.Phase, Outcome)]] = [
        .first: [.requestBegan: (.head, .none), .finished: (.idle, .none), .expired: (.cut, .expiry(.cut))],
        .head: [
            .headRefused: (.answering, .answer(400)),
            .headAnsweredWithoutBody: (.body, .readBody),
            .headAnsweredWithBody: (.body, .readBody),
            .headAnsweredExpecting: (.answering, .answer(404)),
            .headAnsweredTooLong: (.answering, .answer(404)),
            .accepted: (.body, .readBody),
            .acceptedChunked: (.body, .readBody),
            .acceptedOddly: (.body, .readBody),
            .acceptedTooLong: (.body, .readBody),
            .acceptedAbsurd: (.answering, .answer(413)),
            .acceptedTooLongExpecting: (.answering, .answer(413)),
            .finished: (.idle, .none),
            .expired: (.cut, .expiry(.cut)),
        ],
        .body: [
            .bodyWithin: (.body, .data(.keep)),
            .bodyOver: (.body, .data(.discard)),
            .bodyFarOver: (.cut, .data(.cut)),
            .bodyEnded: (.deciding, .askService),
            .finished: (.idle, .none),
            .expired: (.cut, .expiry(.cut)),
        ],
        .deciding: [
            .waits: (.waiting, .none), .answerQueued: (.writing, .none), .finished: (.idle, .none),
            .expired: (.deciding, .expiry(.none)),
        ],
        .answering: [
            .answerQueued: (.writing, .none), .finished: (.idle, .none), .expired: (.answering, .expiry(.none)),
        ],
        .waiting: [
            .completed: (.answered, .completion(.resume)), .finished: (.idle, .none),
            .expired: (.waiting, .expiry(.answerTimeout)),
        ],
        .answered: [
            .resumed: (.answering, .resumedWith(200)), .finished: (.idle, .none), .expired: (.cut, .expiry(.cut)),
        ],
        .writing: [.finished: (.idle, .none), .expired: (.cut, .expiry(.cut))],
        .idle: [.requestBegan: (.head, .none), .expired: (.cut, .expiry(.cut))],
        .cut: [.expired: (.cut, .expiry(.none))],
    ]

    private static func refusal(of event: Event) -> Outcome {
        switch event {
        case .headRefused, .headAnsweredWithoutBody, .headAnsweredWithBody, .headAnsweredExpecting,
            .headAnsweredTooLong, .accepted, .acceptedChunked, .acceptedOddly, .acceptedTooLong, .acceptedAbsurd,
            .acceptedTooLongExpecting, .bodyEnded:
            .close
        case .bodyWithin, .bodyOver, .bodyFarOver: .data(.cut)
        case .completed: .completion(.late)
        case .resumed: .resumedWith(nil)
        case .requestBegan, .bodyRefused, .waits, .answerQueued, .finished, .expired, .cut: .none
        }
    }

    @Test(arguments: ExchangeMachine.Phase.allCases)
    func `answers every event of the phase`(_ phase: ExchangeMachine.Phase) {
        for event in Event.allCases {
            var machine = ExchangeMachine.inPhase(phase)
            #expect(machine.phase == phase)
            let outcome = machine.apply(event)
            if event == .cut {
                #expect(machine.phase == .cut)
                continue
            }
            let (next, said) = Self.moves[phase]?[event] ?? (phase, Self.refusal(of: event))
            #expect(machine.phase == next, "\(event) in \(phase)")
            #expect(outcome == said, "\(event) in \(phase)")
        }
    }

    /// Walks every state that any sequence of events can reach.
    @Test func `keeps its promises in every state that can be reached`() {
        struct Visit {
            let machine: ExchangeMachine
            /// How many answers the request may still get.
            let answersLeft: Int
        }
        var visits = [Visit(machine: ExchangeMachine(), answersLeft: 0)]
        var seen: Set<String> = ["\(visits[0])"]
        var broken: [String] = []
        while let visit = visits.popLast() {
            for event in Event.allCases {
                let before = visit.machine.phase
                var next = visit.machine
                let outcome = next.apply(event)
                var left = visit.answersLeft
                func check(_ holds: Bool, _ promise: String) {
                    if !holds { broken.append("\(promise): \(event) in \(visit)") }
                }
                if event == .requestBegan, before == .first || before == .idle { left = 1 }
                switch outcome {
                case .answer, .resumedWith(.some): left -= 1
                case .askService: check(left == 1, "the service is asked once, about a request without an answer")
                default: if before == .deciding, next.phase == .writing { left -= 1 }
                }
                check(left >= 0, "a request gets one answer, whoever gives it")
                if before == .cut {
                    check(next.phase == .cut, "what is cut stays cut")
                    if case .answer = outcome { check(false, "nothing is answered on a cut connection") }
                }
                let passing: [ExchangeMachine.Phase] = [.deciding, .answering, .cut]
                check(
                    (next.deadlineState == nil) == passing.contains(next.phase),
                    "only what passes within a turn, or is closing, has no deadline"
                )
                check(next.isEvictable || !next.isQuiet, "what is quiet may be evicted")
                let following = Visit(machine: next, answersLeft: left)
                if seen.insert("\(following)").inserted { visits.append(following) }
            }
        }
        #expect(broken == [])
        #expect(seen.count > 100)
    }

    @Test func `closes after every answer to a head that is refused, odd, chunked or too long`() {
        let closing: [Event] = [
            .headRefused, .headAnsweredWithoutBody, .headAnsweredWithBody, .headAnsweredExpecting,
            .headAnsweredTooLong, .acceptedChunked, .acceptedOddly, .acceptedTooLong, .acceptedAbsurd,
            .acceptedTooLongExpecting,
        ]
        for event in closing {
            var machine = ExchangeMachine.inPhase(.head)
            _ = machine.apply(event)
            #expect(machine.closesAfterAnswer, "\(event)")
        }
        var machine = ExchangeMachine.inPhase(.head)
        _ = machine.apply(.accepted)
        #expect(!machine.closesAfterAnswer)
        _ = machine.apply(.bodyOver)
        #expect(machine.closesAfterAnswer)
        let outcome = machine.apply(.bodyEnded)
        #expect(outcome == .answer(413))
    }

    @Test func `starts each request of a connection afresh`() {
        var machine = ExchangeMachine.inPhase(.head)
        _ = machine.apply(.acceptedOddly)
        _ = machine.apply(.bodyOver)
        _ = machine.apply(.finished)
        _ = machine.apply(.requestBegan)
        #expect(!machine.closesAfterAnswer)
        #expect(machine.received == 0)
        _ = machine.apply(.accepted)
        let outcome = machine.apply(.bodyEnded)
        #expect(outcome == .askService)
    }

    @Test func `answers a body without room at its end and keeps the connection`() {
        var machine = ExchangeMachine.inPhase(.body)
        _ = machine.apply(.bodyRefused)
        let outcomes = [machine.apply(.bodyWithin), machine.apply(.bodyEnded)]
        #expect(outcomes == [.data(.discard), .answer(429)])
        #expect(!machine.closesAfterAnswer)
    }

    @Test func `does not overflow with the largest limits`() {
        var machine = ExchangeMachine.inPhase(.head)
        let framing = RequestFraming(contentLength: .max)
        guard
            case .readBody = machine.headAccepted(bodyLimit: .max, discardFactor: 4, framing: framing, isPlain: true)
        else {
            Issue.record("refused")
            return
        }
        let action = machine.bodyArrived(1)
        #expect(action == .keep)
    }
}
