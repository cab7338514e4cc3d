// The client's thread: libcurl's loop between a mailbox and finished results.
//
// Files: HTTPClient (the face) - ClientCore (shared by callers and thread) - ClientLoop (the thread) - Transfer (one
// request in libcurl) - AnswerHead, FailureReading (what came of it) - BodyBudget - NameResolver - RequestCheck.
// In C: loop.c (epoll, sockets), transfer.c (every option, the body sink). One lock at a time, everywhere.
//
// Not obvious:
// - libcurl may be entered from this thread outside its callbacks only; the body hook runs inside one, so it
//   decides and returns, and the budget's grant comes back as a command.
// - An idle connection stays in the epoll set, and any event on it kills it (loop.c). A paused transfer's
//   connection looks idle to libcurl; both `on_socket` and `cp_loop_hold` must know better.
// - Idle events are served before all others of a batch, and transfers pick connections only after that: what came
//   on a connection before a request was submitted is never taken for that request's answer.
// - Connections being made are counted by transfers that have not reached `on_ready`: a transfer that reuses one
//   passes within a turn, so the bound slows cold starts alone.
// - The retained address list is read in a transfer's first step, hence `cp_loop_run_due` right after its start.
// - Callers are told at the end of a turn, after freed places are taken again and the figures are published.

import Basics
import CCurl

/// Everything here runs on one thread. A turn: serve sockets and timers, hand out what has finished, take
/// commands, start what may start, and every 250 ms look at the clocks of what is in flight.
final class ClientLoop {
    static let sweepInterval: Duration = .milliseconds(250)

    private let core: ClientCore
    private let handle: OpaquePointer
    private let settings: HTTPClientSettings
    private let resolver: NameResolver
    private var addresses = AddressBook()
    private var transfers: [UInt64: Transfer] = [:]
    /// Their host's addresses are known; oldest first.
    private var ready = JobQueue()
    /// By host whose addresses are being looked up.
    private var unresolved: [String: [ClientJob]] = [:]
    private var unresolvedCount = 0
    /// Ended in this turn.
    private var results: [(ClientJob, Result<HTTPClientResponse, HTTPClientError>)] = []
    private var nextSweep: MonotonicInstant
    private var sweeps = 0
    private var paused = 0
    /// Something may have finished outside a turn's own serving.
    private var mustLookAgain = false

    init(core: ClientCore, handle: LoopHandle) {
        self.core = core
        self.handle = handle.pointer
        settings = core.settings
        let wake = core.wake
        resolver = NameResolver(lookUp: core.lookUp) { wake.signal() }
        nextSweep = MonotonicClock.system.now() + ClientLoop.sweepInterval
    }

    func run() {
        resolver.start()
        var isRunning = true
        while isRunning { isRunning = turn() }
        end()
    }

    /// False when the client is closed and has nothing left to wait for.
    private func turn() -> Bool {
        var woken = false
        let code = cp_loop_turn(handle, waitMilliseconds(), &woken)
        if code > 0 { failEverything(.local, "libcurl's loop failed with code \(code)") }
        handOutFinished()
        takeCommands()
        if woken { takeAddresses() }
        if MonotonicClock.system.now() >= nextSweep { sweep() }
        startWaiting()
        publish()
        tellCallers()
        guard let closeBy = core.closeBy else { return true }
        return !isEmpty && MonotonicClock.system.now() < closeBy
    }

    private var isEmpty: Bool { transfers.isEmpty && ready.isEmpty && unresolvedCount == 0 }

    /// Until the next sweep while anything is in hand, else until woken.
    private func waitMilliseconds() -> Int32 {
        if mustLookAgain {
            mustLookAgain = false
            return 0
        }
        if isEmpty, core.closeBy == nil { return -1 }
        let left = nextSweep - MonotonicClock.system.now()
        return Int32(clamping: max(0, left.inMilliseconds + 1))
    }

    // MARK: In

    private func takeCommands() {
        var commands: [ClientCommand] = []
        _ = core.mailbox.drain(into: &commands)
        for command in commands {
            switch command {
            case .submit(let job): accept(job)
            case .cancel(let id): cancel(id)
            case .granted(let id): resume(id)
            }
        }
    }

    private func accept(_ job: ClientJob) {
        if job.token.isCancelled { return ended(job, .failure(ClientLoop.cancelled)) }
        if addresses.knows(job.target) { return ready.append(job) }
        guard resolver.ask(job.target.host) else {
            let error = HTTPClientError(.invalidRequest, message: "the client talks to too many hosts")
            return ended(job, .failure(error))
        }
        unresolved[job.target.host, default: []].append(job)
        unresolvedCount += 1
    }

    private func takeAddresses() {
        for (host, answer) in resolver.takeNews() {
            let waiting = unresolved.removeValue(forKey: host) ?? []
            unresolvedCount -= waiting.count
            switch answer {
            case .addresses(let list):
                addresses.learn(host, list)
                for job in waiting { ready.append(job) }
            case .failure(let reason):
                // A host that was known keeps its old addresses.
                for job in waiting { ended(job, .failure(ClientLoop.unresolvable(host, reason))) }
            }
        }
    }

    private func startWaiting() {
        var added: UInt32 = 0
        while transfers.count < settings.maxInFlight, !ready.isEmpty {
            let counts = cp_loop_read_counts(handle)
            // Those that will find an idle connection are not new ones; which of them will, libcurl knows alone.
            let mayConnect = counts.connecting < settings.maxConnecting
            guard mayConnect || added < counts.idle, let job = ready.popFirst() else { return }
            start(job)
            added += 1
        }
    }

    private func start(_ job: ClientJob) {
        if job.token.isCancelled { return ended(job, .failure(ClientLoop.cancelled)) }
        let now = core.clock.now()
        if now >= job.end.at { return ended(job, .failure(ClientLoop.tooLate(job))) }
        let mailbox = core.mailbox
        let transfer = Transfer(job: job, budget: settings.bodyBudget, now: now) { [id = job.id] in
            _ = mailbox.push(.granted(id))
        }
        let list = addresses.untold(job.target)
        do throws(Transfer.StartFailure) {
            try transfer.start(in: handle, now: now, addresses: list)
        } catch {
            return ended(job, .failure(ClientLoop.refused(error)))
        }
        transfers[job.id] = transfer
        if list != nil {
            // libcurl reads the list in a transfer's first step; the next request must find it read.
            addresses.noteTold(job.target)
            _ = cp_loop_run_due(handle)
            mustLookAgain = true
        }
    }

    // MARK: Out

    private func handOutFinished() {
        var code: Int32 = 0
        while let finished = cp_loop_next_finished(handle, &code) {
            guard let context = cp_transfer_context(finished) else { continue }
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            finish(transfer, transfer.outcome(code: code, now: core.clock.now(), wall: core.wallClock.now))
        }
    }

    private func finish(_ transfer: Transfer, _ result: Result<HTTPClientResponse, HTTPClientError>) {
        transfers[transfer.job.id] = nil
        transfer.free()
        if case .failure(let error) = result, error.kind == .connect, !transfer.job.target.isLiteral {
            _ = resolver.ask(transfer.job.target.host)  // the addresses may have changed
        }
        ended(transfer.job, result)
    }

    private func cancel(_ id: UInt64) {
        if let transfer = transfers[id] {
            finish(transfer, .failure(transfer.ended(.cancelled, "the caller cancelled")))
        } else if let job = takeWaiting(where: { $0.id == id }).first {
            ended(job, .failure(ClientLoop.cancelled))
        }
    }

    private func resume(_ id: UInt64) {
        guard let transfer = transfers[id] else { return }
        if let code = transfer.resume(now: core.clock.now()) {
            finish(transfer, transfer.outcome(code: code, now: core.clock.now(), wall: core.wallClock.now))
        }
    }

    /// Removes and returns the jobs that have not been started and match.
    private func takeWaiting(where matches: (ClientJob) -> Bool) -> [ClientJob] {
        var taken = ready.remove(where: matches)
        for (host, jobs) in unresolved {
            let found = jobs.filter(matches)
            guard !found.isEmpty else { continue }
            unresolved[host] = jobs.filter { !matches($0) }
            unresolvedCount -= found.count
            taken += found
        }
        return taken
    }

    // MARK: Clocks

    private func sweep() {
        nextSweep = MonotonicClock.system.now() + ClientLoop.sweepInterval
        sweeps += 1
        paused = transfers.values.reduce(0) { $0 + ($1.isWaitingForRoom ? 1 : 0) }
        let now = core.clock.now()
        for transfer in Array(transfers.values) {
            if transfer.job.token.isCancelled {
                cancel(transfer.job.id)
            } else if let phase = transfer.expiredPhase(now: now) {
                finish(transfer, .failure(transfer.ended(.timeout(phase), "no time was left: \(phase.rawValue)")))
            } else if transfer.hasForgottenGrant {
                resume(transfer.job.id)
            }
        }
        for job in takeWaiting(where: { $0.token.isCancelled || now >= $0.end.at }) {
            ended(job, .failure(job.token.isCancelled ? ClientLoop.cancelled : ClientLoop.tooLate(job)))
        }
        failUnresolved(now)
    }

    /// The look-up counts as connecting.
    private func failUnresolved(_ now: MonotonicInstant) {
        guard unresolvedCount > 0 else { return }
        let late = takeWaiting { job in
            !addresses.knows(job.target) && now >= job.submittedAt + job.request.timeouts.connect
        }
        for job in late {
            ended(job, .failure(ClientLoop.unresolvable(job.target.host, "no answer in time")))
        }
    }

    private func publish() {
        core.publish(
            cp_loop_read_counts(handle),
            inFlight: transfers.count,
            waiting: ready.count + unresolvedCount,
            paused: paused,
            sweeps: sweeps
        )
    }

    // MARK: End

    private func failEverything(_ kind: HTTPClientError.Kind, _ message: String) {
        for transfer in Array(transfers.values) { finish(transfer, .failure(transfer.ended(kind, message))) }
        for job in takeWaiting(where: { _ in true }) {
            ended(job, .failure(HTTPClientError(kind, message: message)))
        }
    }

    private func end() {
        resolver.close()
        core.mailbox.close()
        takeCommands()
        failEverything(.closed, "the HTTP client was closed")
        publish()
        tellCallers()
        cp_loop_destroy(handle)
        resolver.join()
    }

    private func ended(_ job: ClientJob, _ result: Result<HTTPClientResponse, HTTPClientError>) {
        results.append((job, result))
    }

    /// At the end of a turn, when sockets are served, freed places are taken again and the figures are right.
    private func tellCallers() {
        let results = results
        self.results.removeAll(keepingCapacity: true)
        for (job, result) in results { core.complete(job, result) }
    }

    private static let cancelled = HTTPClientError(.cancelled, message: "the caller cancelled")

    private static func tooLate(_ job: ClientJob) -> HTTPClientError {
        HTTPClientError(.timeout(job.end.phase), message: "no time was left before the request could start")
    }

    private static func unresolvable(_ host: String, _ reason: String) -> HTTPClientError {
        HTTPClientError(.nameResolution, code: 6, message: "the host \(host) could not be resolved: \(reason)")
    }

    private static func refused(_ failure: Transfer.StartFailure) -> HTTPClientError {
        switch failure {
        case .refused(let code):
            let kind: HTTPClientError.Kind =
                code < 1_000 ? FailureReading.kind(code: CURLcode(UInt32(code)), facts: TransferFacts()) : .local
            return HTTPClientError(kind, code: code, message: "libcurl refused the request with code \(code)")
        }
    }
}

/// A first-in first-out queue whose front leaves at constant cost.
struct JobQueue {
    private var jobs: [ClientJob?] = []
    private var head = 0

    var count: Int { jobs.count - head }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ job: ClientJob) { jobs.append(job) }

    mutating func popFirst() -> ClientJob? {
        guard head < jobs.count else { return nil }
        let job = jobs[head]
        jobs[head] = nil
        head += 1
        if head == jobs.count || head >= 256 {
            jobs.removeFirst(head)
            head = 0
        }
        return job
    }

    mutating func remove(where matches: (ClientJob) -> Bool) -> [ClientJob] {
        let waiting = jobs[head...].compactMap { $0 }
        let taken = waiting.filter(matches)
        guard !taken.isEmpty else { return [] }
        jobs = waiting.filter { !matches($0) }
        head = 0
        return taken
    }
}
