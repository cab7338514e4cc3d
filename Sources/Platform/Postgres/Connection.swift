// The owner of one PGconn: opening it within a deadline, waiting on it, closing it. Talking is in Connection+Exchange.

import Basics
import CPostgres
import Glibc

/// One connection to the server, used by one thread from ``open(_:settings:event:watch:)`` to ``close()``.
///
/// Not Sendable, on purpose: the manual (libpq, "Behavior in Threaded Programs") forbids "two threads … to manipulate
/// the same PGconn object at the same time". Everything is non-blocking except the look-up of a host's name; waits
/// are in `poll`, on the socket and on the thread's event descriptor.
final class Connection {
    /// Asked before each wait: how long it may last, or why to give up. Called again when that time is over.
    typealias Watch = () -> Verdict
    enum Verdict {
        case wait(until: MonotonicInstant)
        case giveUp(PostgresError)
    }

    let pointer: OpaquePointer
    let canceller: CancelHandle
    let notices: NoticeSink
    /// Wakes a wait from another thread; -1 for none.
    let event: EventDescriptor?
    var statements: StatementCache
    var parameters = ParameterBuffer()
    /// Sent first in every transaction when settings may not outlive it (PgBouncer).
    let localSettings: SQLStatement?
    /// Why this connection must not be used any more.
    private(set) var failure: PostgresError?
    /// Whether it was we who gave up: the server may still be at work on the statement.
    var isGivenUp = false
    /// The largest value that went over it, in bytes: libpq keeps buffers of that size.
    var largestBytes = 0
    private let target: ConnectionString

    var isUsable: Bool { failure == nil }
    var isOutsideTransaction: Bool { PQtransactionStatus(pointer) == PQTRANS_IDLE }

    private init(
        _ pointer: OpaquePointer,
        _ canceller: CancelHandle,
        _ notices: NoticeSink,
        _ target: ConnectionString,
        _ settings: PoolSettings,
        _ event: EventDescriptor?
    ) {
        self.pointer = pointer
        self.canceller = canceller
        self.notices = notices
        self.target = target
        self.event = event
        statements = StatementCache(isEnabled: settings.usePreparedStatements)
        localSettings =
            settings.usePreparedStatements
            ? nil : Connection.settingsStatement(target.ourSettings(settings), isLocal: true)
    }

    deinit { PQfinish(pointer) }

    /// Marks the connection as lost or condemned; the first reason stays.
    func condemn(_ error: PostgresError) { if failure == nil { failure = error } }

    // MARK: Opening

    /// Connects to the first host of the string that is a writable PostgreSQL 15 or newer in UTF-8.
    ///
    /// Each host has the string's `connect_timeout`, else ours; a name is looked up by the system, without a limit.
    static func open(
        _ target: ConnectionString,
        settings: PoolSettings,
        event: EventDescriptor?,
        watch: @escaping Watch
    ) throws(PostgresError) -> Connection {
        var first: PostgresError?
        let limit = target.connectTimeout ?? settings.connectTimeout
        for host in target.hosts {
            let deadline = MonotonicClock.system.now() + limit
            let timed: Watch = {
                switch watch() {
                case .giveUp(let error): .giveUp(error)
                case .wait(let until) where MonotonicClock.system.now() < deadline: .wait(until: min(until, deadline))
                case .wait: .giveUp(.lost("the host did not answer within \(limit)", outcome: .notSent))
                }
            }
            do { return try open(target, host, settings, limit, event, timed) } catch {
                if case .giveUp(let reason) = watch() { throw reason }
                if first == nil { first = error }
            }
        }
        throw first ?? .lost("no host", outcome: .notSent)
    }

    private static func open(
        _ target: ConnectionString,
        _ host: ConnectionString.Host,
        _ settings: PoolSettings,
        _ limit: Duration,
        _ event: EventDescriptor?,
        _ watch: @escaping Watch
    ) throws(PostgresError) -> Connection {
        let keywords = target.keywords(
            for: host,
            applicationName: settings.applicationName,
            connectTimeout: limit
        )
        guard let pointer = startConnect(keywords) else { throw .lost("out of memory", outcome: .notSent) }
        let notices = NoticeSink()
        notices.attach(to: pointer)
        defer { withExtendedLifetime(notices) {} }  // the PGconn points to it
        do { try finishConnect(pointer, event, target, watch) } catch {
            PQfinish(pointer)
            throw error
        }
        guard PQsetnonblocking(pointer, 1) == 0, let cancel = PQgetCancel(pointer) else {
            PQfinish(pointer)
            throw .lost("out of memory", outcome: .notSent)
        }
        let connection = Connection(pointer, CancelHandle(cancel), notices, target, settings, event)
        try connection.prepareSession(settings, watch)
        return connection
    }

    private static func startConnect(_ keywords: [ConnectionString.Keyword]) -> OpaquePointer? {
        let names = keywords.map { strdup($0.name) }
        let values = keywords.map { strdup($0.value) }
        defer { (names + values).forEach { free($0) } }
        // libpq copies both lists before it returns.
        let nameList = names.map { UnsafePointer<CChar>($0) } + [nil]
        let valueList = values.map { UnsafePointer<CChar>($0) } + [nil]
        return PQconnectStartParams(nameList, valueList, 1)
    }

    private static func finishConnect(
        _ pointer: OpaquePointer,
        _ event: EventDescriptor?,
        _ target: ConnectionString,
        _ watch: Watch
    ) throws(PostgresError) {
        func failed() -> PostgresError {
            let text = PQerrorMessage(pointer).map { String(cString: $0) } ?? ""
            return .lost(PostgresError.oneLine(target.redacted(text)), outcome: .notSent)
        }
        guard PQstatus(pointer) != CONNECTION_BAD else { throw failed() }
        // The manual: behave at first as if PQconnectPoll had asked for writing.
        var wantsWrite = true
        while true {
            switch watch() {
            case .giveUp(let error): throw error
            case .wait(let until):
                // The socket may be another one after each call.
                let seen = wait(PQsocket(pointer), read: !wantsWrite, write: wantsWrite, event, until)
                if seen & (CPG_READABLE | CPG_WRITABLE) == 0 { continue }
            }
            switch PQconnectPoll(pointer) {
            case PGRES_POLLING_OK: return
            case PGRES_POLLING_READING: wantsWrite = false
            case PGRES_POLLING_WRITING: wantsWrite = true
            default: throw failed()
            }
        }
    }

    /// Our session settings, and what must be true of the server.
    private func prepareSession(_ settings: PoolSettings, _ watch: @escaping Watch) throws(PostgresError) {
        guard PQenterPipelineMode(pointer) == 1 else { throw .lost("pipeline mode was refused", outcome: .notSent) }
        var group = StatementGroup([
            SQLStatement(
                """
                select current_setting('server_version_num')::int8, current_setting('server_encoding'),
                    pg_is_in_recovery() or current_setting('transaction_read_only')::bool
                """
            )
        ])
        group.isPrepared = false
        if settings.usePreparedStatements {
            group.statements += [Connection.settingsStatement(target.ourSettings(settings), isLocal: false)]
                .compactMap { $0 }
        }
        let outcome = exchange([group], watch: watch)[0]
        guard case .applied(let results) = outcome, let row = results.first?.rows.first else {
            throw outcome.error?.with(outcome: .notSent) ?? .lost("the session could not be set up", outcome: .notSent)
        }
        guard let version = row.int(0), version >= 150_000 else {
            throw PostgresError(.schema, outcome: .notSent, message: "the server is older than PostgreSQL 15")
        }
        guard row.text(1) == "UTF8" else {
            throw PostgresError(.schema, outcome: .notSent, message: "the database's encoding is not UTF8")
        }
        guard row.bool(2) == false else {
            throw PostgresError(.readOnly, outcome: .notSent, message: "the server is read-only or a standby")
        }
    }

    /// Names and values are ours and hold no quote.
    private static func settingsStatement(
        _ settings: [ConnectionString.Keyword],
        isLocal: Bool
    ) -> SQLStatement? {
        guard !settings.isEmpty else { return nil }
        return SQLStatement(
            "select " + settings.map { "set_config('\($0.name)', '\($0.value)', \(isLocal))" }.joined(separator: ", ")
        )
    }

    // MARK: Waiting

    static func wait(
        _ socket: Int32,
        read: Bool,
        write: Bool,
        _ event: EventDescriptor?,
        _ until: MonotonicInstant
    ) -> Int32 {
        let seen = cpg_wait(socket, read, write, event?.fileDescriptor ?? -1, until.nanoseconds)
        if seen & CPG_SIGNALLED != 0 { event?.drain() }
        return seen
    }

    /// Waits for the server, or until more can be sent.
    func waitForInput(orWrite write: Bool, _ until: MonotonicInstant) -> Int32 {
        if cpg_has_buffered_input(pointer) { return CPG_READABLE }
        return Connection.wait(PQsocket(pointer), read: true, write: write, event, until)
    }

    /// Waits while idle. True when the server sent something: then look with ``checkIdle()``.
    func waitIdle(until: MonotonicInstant) -> Bool {
        Connection.wait(PQsocket(pointer), read: true, write: false, event, until) & CPG_READABLE != 0
    }

    /// Looks whether the server ended an idle connection: 0.3 µs when it did not.
    ///
    /// Readable while idle is a notice or the end; only the second read says which.
    func checkIdle() {
        func isReadable() -> Bool {
            let now = MonotonicInstant(nanoseconds: 0)
            return Connection.wait(PQsocket(pointer), read: true, write: false, nil, now) & CPG_READABLE != 0
        }
        while isUsable, isReadable() {
            let isAlive = PQconsumeInput(pointer) == 1
            _ = PQisBusy(pointer)  // hands notices to the sink
            if !isAlive || PQstatus(pointer) == CONNECTION_BAD {
                let state = notices.lastState
                condemn(
                    PostgresError(
                        .connection,
                        outcome: .notSent,
                        message: "the server ended an idle connection",
                        sqlState: state
                    )
                )
            }
        }
    }

    /// libpq's text after a call of its own failed, without secrets.
    func libraryError(_ outcome: SQLOutcome) -> PostgresError {
        let text = PQerrorMessage(pointer).map { String(cString: $0) } ?? ""
        return .lost(PostgresError.oneLine(target.redacted(text)), outcome: outcome)
    }
}

/// What stops a running statement from another thread.
///
/// Sendable because of the manual (libpq, "Behavior in Threaded Programs"): `PQcancel` is thread-safe, "as long as
/// the PGcancel object is not used from more than one thread at once" — it is handed to one thread, once.
final class CancelHandle: @unchecked Sendable {
    private let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { PQfreeCancel(pointer) }

    /// Blocks for a connection to the server, without a limit but the connection's `tcp_user_timeout`.
    func cancel() {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            _ = PQcancel(pointer, buffer.baseAddress, Int32(buffer.count))
        }
    }
}

/// Takes the notices of one connection, inside libpq's calls and so on its thread. Texts are dropped.
final class NoticeSink {
    /// More wait at most until the connection's thread looks.
    private static let maxKept = 16

    private(set) var lastState: String?
    private var states: [String] = []
    private let sink: UnsafeMutablePointer<cpg_notice_sink>

    init() {
        sink = .allocate(capacity: 1)
    }

    deinit { sink.deallocate() }

    /// The sink lives as long as the `Connection`, whose `deinit` finishes the PGconn before it lets go of this.
    func attach(to connection: OpaquePointer) {
        sink.initialize(to: cpg_notice_sink(receive: receiveNotice, context: Unmanaged.passUnretained(self).toOpaque()))
        cpg_set_notice_sink(connection, sink)
    }

    fileprivate func receive(_ state: String) {
        lastState = state
        if states.count < NoticeSink.maxKept { states.append(state) }
    }

    func take() -> [String] {
        defer { states = [] }
        return states
    }
}

private func receiveNotice(_ context: UnsafeMutableRawPointer?, _ state: UnsafePointer<CChar>?) {
    guard let context else { return }
    let sink = Unmanaged<NoticeSink>.fromOpaque(context).takeUnretainedValue()
    sink.receive(state.map { String(cString: $0) } ?? "")
}
