// The life of a connection and its requests as a pure state machine: it is told what the library saw and says what to do.
//
//     first ─requestBegan→ head ─head…→ body ─bodyEnded→ deciding ─┬────────────────────────→ answering ─answerQueued┐
//                            ↑  └─ refused ─────→ answering         └ waits → waiting ─completed→ answered ─resumed┘    │
//                           idle ←─────────────────────────── finished ─────────────────────────────── writing ←──────┘
//
//     In every phase: cut (by a deadline, for a newcomer, by a drain) → cut, until the library has closed.

struct ExchangeMachine {
    enum Phase: Equatable, CaseIterable {
        /// Accepted; no request line yet.
        case first
        /// The request line is read.
        case head
        /// The head is judged; the body is read, kept or not.
        case body
        /// The request is whole; the service is being asked.
        case deciding
        /// An answer is about to be queued.
        case answering
        /// Suspended until an answer or the deadline.
        case waiting
        /// The answer is known and the connection resumed; the library has not asked for it yet.
        case answered
        /// The library has the answer.
        case writing
        /// Between two requests.
        case idle
        /// Shut down by us; the library will notice and close.
        case cut
    }

    /// What the handler of the library is to do after the head.
    enum HeadAction {
        case readBody
        /// Queue it now, in the first call; the library closes after it.
        case answer(Response)
        /// Give up the connection: an event came that this phase does not know.
        case close
    }

    enum DataAction: Equatable {
        case keep, discard
        /// Nothing can be answered while a body arrives: shut down.
        case cut
    }

    enum EndAction {
        case askService
        case answer(Response)
        case close
    }

    enum CompletionAction: Equatable { case resume, late }

    enum ExpiryAction: Equatable {
        case none
        /// Shut the socket down.
        case cut
        /// Answer with the request's own timeout answer, and resume.
        case answerTimeout
    }

    private(set) var phase = Phase.first
    /// The answer must be the last of its connection.
    private(set) var closesAfterAnswer = false
    /// Body bytes so far.
    private(set) var received = 0
    private var bodyLimit = 0
    private var discardLimit = 0
    /// The answer that is already decided: while the body is read off, or until the library asks for it.
    private var decision: Response?

    // MARK: Head

    mutating func requestBegan() {
        guard phase == .first || phase == .idle else { return }
        phase = .head
        closesAfterAnswer = false
        received = 0
        decision = nil
    }

    /// The head is broken: where the body ends is not known, so nothing more is read.
    mutating func headRefused(with response: Response) -> HeadAction {
        guard phase == .head else { return .close }
        closesAfterAnswer = true
        phase = .answering
        return .answer(response)
    }

    /// The service does not want the request. Its body is read off where that is cheap: a connection closed over unread
    /// bytes is reset, and the reset can overtake the answer.
    mutating func headAnswered(with response: Response, framing: RequestFraming, discardLimit: Int) -> HeadAction {
        guard phase == .head else { return .close }
        closesAfterAnswer = true
        if framing.hasBody, framing.expectsContinue || (framing.contentLength ?? 0) > discardLimit {
            phase = .answering
            return .answer(response)
        }
        decision = response
        bodyLimit = discardLimit
        self.discardLimit = discardLimit
        phase = .body
        return .readBody
    }

    mutating func headAccepted(bodyLimit: Int, discardFactor: Int, framing: RequestFraming, isPlain: Bool) -> HeadAction
    {
        guard phase == .head else { return .close }
        // How chunk lines were written is not shown to us, and the library takes bare LF in them.
        closesAfterAnswer = !isPlain || framing.isChunked
        self.bodyLimit = bodyLimit
        discardLimit =
            bodyLimit.multipliedReportingOverflow(by: discardFactor).overflow ? .max : bodyLimit * discardFactor
        if let length = framing.contentLength, length > bodyLimit {
            closesAfterAnswer = true
            if framing.expectsContinue || length > discardLimit {
                phase = .answering
                return .answer(.empty(413))
            }
            decision = .empty(413)
        }
        phase = .body
        return .readBody
    }

    // MARK: Body

    mutating func bodyArrived(_ count: Int) -> DataAction {
        guard phase == .body else { return .cut }
        received += count
        if received > discardLimit {
            phase = .cut
            return .cut
        }
        if decision == nil, received > bodyLimit {
            decision = .empty(413)
            closesAfterAnswer = true
        }
        return decision == nil ? .keep : .discard
    }

    /// There is no room for this body: the rest is read off, then it is answered.
    mutating func bodyRefused(with response: Response) {
        guard phase == .body, decision == nil else { return }
        decision = response
    }

    mutating func bodyEnded() -> EndAction {
        guard phase == .body else { return .close }
        guard let decision else {
            phase = .deciding
            return .askService
        }
        self.decision = nil
        phase = .answering
        return .answer(decision)
    }

    // MARK: Answer

    mutating func waits() {
        guard phase == .deciding else { return }
        phase = .waiting
    }

    mutating func completed(with response: Response) -> CompletionAction {
        guard phase == .waiting else { return .late }
        decision = response
        phase = .answered
        return .resume
    }

    /// The library asks again after a resume.
    mutating func resumed() -> Response? {
        guard phase == .answered else { return nil }
        defer { decision = nil }
        phase = .answering
        return decision
    }

    mutating func answerQueued() {
        guard phase == .deciding || phase == .answering else { return }
        phase = .writing
    }

    /// The library is done with the request, one way or another; if it does not close the connection, the next may come.
    mutating func finished() {
        guard phase != .cut else { return }
        phase = .idle
        decision = nil
    }

    // MARK: Deadlines, eviction, drain

    mutating func expired() -> ExpiryAction {
        switch phase {
        case .waiting: return .answerTimeout
        case .deciding, .answering, .cut: return .none
        case .first, .head, .body, .answered, .writing, .idle:
            phase = .cut
            return .cut
        }
    }

    /// Whether the connection may be shut down to make room for another.
    var isEvictable: Bool { phase == .idle || phase == .first || phase == .head }

    /// Whether nothing is in hand, so that a server that drains may shut the connection down.
    var isQuiet: Bool { phase == .idle || phase == .first }

    mutating func cut() { phase = .cut }

    /// Which deadline runs; nil when none does.
    var deadlineState: ConnectionState? {
        switch phase {
        case .first: .first
        case .head: .head
        case .body: .body
        case .waiting: .wait
        case .answered, .writing: .write
        case .idle: .idle
        case .deciding, .answering, .cut: nil
        }
    }
}
