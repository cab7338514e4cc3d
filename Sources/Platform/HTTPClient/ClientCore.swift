// What the client's callers and its thread share: the way in, the counters, the end.

import Basics
import CCurl

/// One accepted request on its way to the loop.
struct ClientJob: Sendable {
    let id: UInt64
    let request: HTTPClientRequest
    let target: RequestTarget
    let token: CancelToken
    let submittedAt: MonotonicInstant
    let completion: @Sendable (Result<HTTPClientResponse, HTTPClientError>) -> Void

    /// The earlier of the caller's deadline and the request's own bound, and which of them it is.
    var end: (at: MonotonicInstant, phase: HTTPClientError.Phase) {
        let whole = submittedAt + request.timeouts.whole
        guard let deadline = request.deadline, deadline < whole else { return (whole, .whole) }
        return (deadline, .deadline)
    }
}

enum ClientCommand: Sendable {
    case submit(ClientJob)
    case cancel(UInt64)
    /// The budget has given this transfer's body its room.
    case granted(UInt64)
}

/// Lock order: none is ever held while another is taken.
final class ClientCore: Sendable {
    private struct State {
        var lastID: UInt64 = 0
        /// Accepted and not yet completed.
        var accepted = 0
        var isClosed = false
        /// When the loop stops waiting for what is accepted; on the system's clock.
        var closeBy: MonotonicInstant?
        var metrics = HTTPClientMetrics()
        var thread: WorkerThread?
    }

    let settings: HTTPClientSettings
    let clock: MonotonicClock
    let wallClock: WallClock
    let mailbox: Mailbox<ClientCommand>
    let wake: EventDescriptor
    let lookUp: NameResolver.LookUp
    private let handle: LoopHandle
    private let state = Locked(State())
    private let ended = Latch()

    init(
        settings: HTTPClientSettings,
        clock: MonotonicClock,
        wallClock: WallClock,
        lookUp: @escaping NameResolver.LookUp
    ) throws(HTTPClientError) {
        if let unfitness = HTTPClientLibrary.unfitness { throw HTTPClientError(.local, message: unfitness) }
        try CertificateBundle.check(settings.caFile)
        let wake = EventDescriptor()
        guard let handle = LoopHandle(settings: settings, wake: wake) else {
            throw HTTPClientError(.local, message: "no memory or file descriptors for an HTTP client")
        }
        self.settings = settings
        self.clock = clock
        self.wallClock = wallClock
        self.wake = wake
        self.lookUp = lookUp
        self.handle = handle
        // A submission, a cancellation and a grant each: more cannot wait at once, and the sweep finds what a full
        // box refused.
        mailbox = Mailbox(capacity: 3 * (settings.maxInFlight + settings.maxWaiting) + 64, wake: wake)
    }

    func start() {
        let thread = WorkerThread(name: "http-client") { [self, handle] in
            ClientLoop(core: self, handle: handle).run()
            ended.open()
        }
        state.withLock { $0.thread = thread }
    }

    // MARK: Callers' side

    func nextID() -> UInt64 {
        state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
    }

    func submit(
        _ request: HTTPClientRequest,
        token: CancelToken,
        completion: @escaping @Sendable (Result<HTTPClientResponse, HTTPClientError>) -> Void
    ) {
        do throws(HTTPClientError) {
            let target = try RequestCheck.target(of: request, settings: settings)
            try admit()
            let job = ClientJob(
                id: token.id,
                request: request,
                target: target,
                token: token,
                submittedAt: clock.now(),
                completion: completion
            )
            guard mailbox.push(.submit(job)) == .accepted else {
                state.withLock { $0.accepted -= 1 }
                throw HTTPClientError(.closed, message: "the HTTP client is closed")
            }
            state.withLock { $0.metrics.requests += 1 }
        } catch {
            state.withLock { $0.metrics.refused += 1 }
            completion(.failure(error))
        }
    }

    private func admit() throws(HTTPClientError) {
        let limit = settings.maxInFlight + settings.maxWaiting
        let refusal = state.withLock { state -> HTTPClientError? in
            if state.isClosed { return HTTPClientError(.closed, message: "the HTTP client is closing") }
            if state.accepted >= limit {
                return HTTPClientError(.overloaded, message: "\(limit) requests are in flight and waiting")
            }
            state.accepted += 1
            return nil
        }
        if let refusal { throw refusal }
    }

    func cancel(_ id: UInt64) { _ = mailbox.push(.cancel(id)) }

    func close(grace: Duration) {
        let thread = state.withLock { state -> WorkerThread? in
            state.isClosed = true
            if state.closeBy == nil { state.closeBy = MonotonicClock.system.now() + grace }
            return state.thread
        }
        precondition(thread?.isCurrent != true, "a completion must not close its own client")
        wake.signal()
        thread?.join()
        _ = ended.wait(until: .distantFuture)
    }

    /// Ends the thread without waiting for it: the owner has gone.
    func abandon() {
        state.withLock { state in
            state.isClosed = true
            if state.closeBy == nil { state.closeBy = MonotonicClock.system.now() }
        }
        wake.signal()
    }

    var metrics: HTTPClientMetrics { state.withLock { $0.metrics } }

    // MARK: Loop's side

    var closeBy: MonotonicInstant? { state.withLock { $0.closeBy } }

    /// Ends one accepted request: counted first, so that whoever is told finds it counted.
    func complete(_ job: ClientJob, _ result: Result<HTTPClientResponse, HTTPClientError>) {
        state.withLock { state in
            state.accepted -= 1
            switch result {
            case .success(let response):
                state.metrics.answered += 1
                state.metrics.bodyBytes += response.body.count
                state.metrics.silentRepeats += response.silentRepeats
            case .failure(let error):
                state.metrics.failed += 1
                state.metrics.silentRepeats += error.silentRepeats
            }
        }
        job.completion(result)
    }

    func publish(_ counts: cp_loop_counts, inFlight: Int, waiting: Int, paused: Int, sweeps: Int) {
        state.withLock { state in
            state.metrics.inFlight = inFlight
            state.metrics.waiting = waiting
            state.metrics.paused = paused
            state.metrics.sweeps = sweeps
            state.metrics.connectionsOpened = Int(counts.opened)
            state.metrics.connectionsOpen = Int(counts.open)
            state.metrics.connectionsIdle = Int(counts.idle)
            state.metrics.connectionsSevered = Int(counts.severed)
        }
    }
}

/// Owns the C loop. The client's thread alone uses it, from the moment it starts until it has freed it.
struct LoopHandle: @unchecked Sendable {
    // Sendable because it is made before the thread starts and handed to it: "You must never share the same handle
    // in multiple threads. You can pass the handles around among threads, but you must never use a single handle
    // from more than one thread at any given time" (libcurl-thread).
    let pointer: OpaquePointer

    init?(settings: HTTPClientSettings, wake: EventDescriptor) {
        let made = settings.caFile.withCString { caFile in
            withOptionalCString(settings.userAgent) { userAgent -> OpaquePointer? in
                var options = cp_loop_settings()
                options.wake_descriptor = wake.fileDescriptor
                options.max_connections = settings.maxConnections
                options.ca_file = caFile
                options.allows_plain_http = settings.allowsPlainHTTP
                options.user_agent = userAgent
                options.max_idle_seconds = max(1, Int(settings.maxIdle.inMilliseconds / 1_000))
                return cp_loop_create(&options)
            }
        }
        guard let made else { return nil }
        pointer = made
    }
}

private func withOptionalCString<R>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
    guard let text else { return body(nil) }
    return text.withCString { body($0) }
}

/// The trusted authorities, looked at before the first connection fails for want of them.
enum CertificateBundle {
    static func check(_ path: String) throws(HTTPClientError) {
        guard cp_ca_file_is_good(path) else {
            throw HTTPClientError(.local, code: 77, message: "the CA bundle \(path) holds no PEM certificate to read")
        }
    }
}
