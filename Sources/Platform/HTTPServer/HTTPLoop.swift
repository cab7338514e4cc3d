// The loop: one thread, one daemon, every call of the library. What it decides is in ExchangeMachine and RawHead; this
// file turns, waits, and keeps the deadlines.

import Basics
import CMicrohttpd
import Glibc

/// One connection, from the accept until the library has closed it.
final class ConnectionRecord {
    let slot: Int
    /// Open as long as this record is in the table.
    let descriptor: Int32
    let peer: String
    let body: BodyBuffer
    var machine = ExchangeMachine()
    /// Of the request in hand; unique in the server.
    var serial: UInt64 = 0
    /// The target as it came, kept from the request line on: the library cuts and edits its own copy.
    var target: [UInt8] = []
    var arrivedWhileDraining = false
    var head: RequestHead?
    var bodyLimit = 0
    var mayWait = false
    /// The library's connection; good while suspended, since nothing but our resume ends that.
    var suspended: OpaquePointer?
    var timeoutAnswer: Response?
    /// Between the request line and the end of the answer.
    var isInHand = false

    init(slot: Int, descriptor: Int32, peer: String, body: BodyBuffer) {
        self.slot = slot
        self.descriptor = descriptor
        self.peer = peer
        self.body = body
    }
}

/// Not Sendable: made by the server, then owned by its thread.
final class HTTPLoop {
    let limits: HTTPServer.Limits
    let service: any HTTPService
    let inbox: LoopInbox
    let board: LoopBoard
    let clock: MonotonicClock
    let wallClock: WallClock
    let onEvent: @Sendable (HTTPServerEvent) -> Void

    var library: OpaquePointer?
    var connections: [ConnectionRecord?] = []
    var freeSlots: [Int] = []
    var deadlines = DeadlineTable()
    var cache = ResponseCache()
    var metrics = HTTPServerMetrics()
    var nextSerial: UInt64 = 1
    /// The time of this turn, renewed whenever a request is whole.
    var now = MonotonicInstant(nanoseconds: 0)
    /// A callback came in this turn.
    var isActive = false
    /// Where the library lists header fields: one more than allowed, to see that there are too many.
    let fieldBuffer: UnsafeMutableBufferPointer<cmhd_field>

    var isStopping = false
    /// A timeout has resumed a connection since the library ran; the library does not count that as a wish to run.
    var hasResumed = false
    var messageWindowEnd = MonotonicInstant(nanoseconds: 0)
    var messagesLeft = 0
    /// The daemon's epoll and the inbox's eventfd.
    private var descriptors: [pollfd] = []
    private var idleTurns = 0
    private var completions: [Completion] = []
    private var commands: [LoopCommand] = []
    private var turnLatches: [Latch] = []

    init(
        limits: HTTPServer.Limits,
        service: any HTTPService,
        inbox: LoopInbox,
        board: LoopBoard,
        clock: MonotonicClock,
        wallClock: WallClock,
        onEvent: @escaping @Sendable (HTTPServerEvent) -> Void
    ) {
        self.limits = limits
        self.service = service
        self.inbox = inbox
        self.board = board
        self.clock = clock
        self.wallClock = wallClock
        self.onEvent = onEvent
        fieldBuffer = .allocate(capacity: limits.maxHeaderFields + 1)
        fieldBuffer.initialize(repeating: cmhd_field())
    }

    deinit {
        close()
        fieldBuffer.deallocate()
    }

    /// Starts the daemon on a listening socket, which it owns from then on.
    func open(listener: Int32) -> Bool {
        var settings = cmhd_settings(
            listener: listener,
            pool_bytes: limits.poolBytes,
            connection_limit: UInt32(clamping: limits.maxConnections),
            idle_seconds: limits.backstopSeconds,
            sends_date: limits.sendsDate
        )
        var callbacks = Self.callbacks(context: Unmanaged.passUnretained(self).toOpaque())
        library = cmhd_start(&settings, &callbacks)
        guard library != nil else { return false }
        descriptors = [cmhd_epoll_descriptor(library), inbox.wake.fileDescriptor].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        return true
    }

    private static let tickMilliseconds: Int32 = 100
    /// After this many turns without a callback a library that does not want to wait is made to: an over-long chunk
    /// line makes it ask to run again at once until the connection dies.
    private static let guardAfterTurns = 3
    private static let guardMilliseconds: Int32 = 5

    // MARK: Turning

    /// Serves until a stop is commanded. Blocks its thread.
    func run() {
        while !isStopping { turn() }
        finishAnswers()
        close()
        publish()
        board.drained.open()
        for latch in turnLatches { latch.open() }
    }

    func turn() {
        for latch in turnLatches { latch.open() }
        turnLatches.removeAll(keepingCapacity: true)
        wait()
        let start = clock.now()
        now = start
        isActive = false
        inbox.take(&completions, &commands)
        for completion in completions { answer(completion) }
        completions.removeAll(keepingCapacity: completions.capacity <= 4_096)
        for command in commands { obey(command) }
        commands.removeAll(keepingCapacity: true)
        hasResumed = false
        cmhd_run(library)
        expireDeadlines()
        idleTurns = isActive ? 0 : idleTurns + 1
        metrics.longestTurn = max(metrics.longestTurn, clock.now() - start)
        publish()
    }

    private func obey(_ command: LoopCommand) {
        switch command {
        case .drain: beginDrain()
        case .stop: isStopping = true
        case .turn(let latch): turnLatches.append(latch)
        }
    }

    /// Until the library, a deadline, the inbox or the tick wants a turn.
    private func wait() {
        var milliseconds = Self.tickMilliseconds
        let wish = cmhd_timeout(library)
        if wish >= 0 { milliseconds = min(milliseconds, wish) }
        if hasResumed { milliseconds = 0 }
        if wish == 0, !hasResumed, idleTurns >= Self.guardAfterTurns {
            milliseconds = Self.guardMilliseconds
            metrics.guardWaits += 1
        }
        if milliseconds > 0, let next = deadlines.next {
            let left = max(0, (next - clock.now()).inMilliseconds + 1)
            milliseconds = min(milliseconds, Int32(clamping: left))
        }
        if milliseconds > 0 { poll(&descriptors, nfds_t(descriptors.count), milliseconds) }
    }

    private func publish() {
        let metrics = metrics
        board.metrics.withLock { $0 = metrics }
        if isDraining, metrics.openConnections == 0 { board.drained.open() }
    }

    var isDraining: Bool { metrics.isDraining }

    // MARK: Deadlines

    /// Sets the deadline of a connection's new state; `at` where the state has no fixed duration.
    func reschedule(_ record: ConnectionRecord, at deadline: MonotonicInstant? = nil) {
        guard let state = record.machine.deadlineState else {
            deadlines.clear(record.slot)
            return
        }
        let duration: Duration =
            switch state {
            case .first: limits.firstTimeout
            case .head: limits.headTimeout
            case .body: limits.bodyTimeout
            case .write, .wait: limits.writeTimeout
            case .idle: limits.idleTimeout
            }
        deadlines.set(record.slot, state, at: deadline ?? now + duration)
    }

    private func expireDeadlines() {
        now = clock.now()
        while let (slot, state) = deadlines.popExpired(now) {
            guard let record = connections[slot] else { continue }
            switch record.machine.expired() {
            case .none: break
            case .cut:
                metrics.deadlineHits[state, default: 0] += 1
                cut(record)
            case .answerTimeout: timeOut(record)
            }
        }
    }

    /// The library notices, ends the request, and closes.
    func cut(_ record: ConnectionRecord) {
        record.machine.cut()
        deadlines.clear(record.slot)
        record.body.discard()
        cmhd_shutdown(record.descriptor)
    }
}
