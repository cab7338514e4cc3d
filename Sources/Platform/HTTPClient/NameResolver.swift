// Names to addresses, on a thread of our own. libcurl's resolver makes a thread per look-up, and a name server
// that does not answer would hold the loop.

import Basics
import CCurl
import Glibc

/// Looks hosts up when asked and again every minute; an old answer stays good until there is a newer one.
final class NameResolver: Sendable {
    enum Answer: Sendable, Equatable {
        /// Addresses as libcurl writes them, IPv6 in brackets.
        case addresses([String])
        case failure(String)
    }

    /// Turns a host into addresses; may block for as long as the system's resolver does.
    typealias LookUp = @Sendable (String) -> Answer

    private struct State {
        var asked: Set<String> = []
        var known: Set<String> = []
        var news: [String: Answer] = [:]
        var thread: WorkerThread?
    }

    /// A client talks to a handful of hosts; more would be a bug that fills the cache.
    static let maxHosts = 64
    static let refreshInterval: Duration = .seconds(60)
    static let maxAddresses = 8

    private let state = Locked(State())
    private let requests = Mailbox<String>(capacity: NameResolver.maxHosts)
    private let lookUp: LookUp
    private let onNews: @Sendable () -> Void
    private let ended = Latch()

    /// - Parameters:
    ///   - lookUp: Called on the resolver's thread.
    ///   - onNews: Called on that thread when ``takeNews()`` has something.
    init(
        lookUp: @escaping LookUp,
        onNews: @escaping @Sendable () -> Void
    ) {
        self.lookUp = lookUp
        self.onNews = onNews
    }

    func start() {
        let thread = WorkerThread(name: "http-resolver") { [self] in
            run()
            ended.open()
        }
        state.withLock { $0.thread = thread }
    }

    /// Ends the thread, once a look-up in progress has come back.
    func close() { requests.close() }

    /// Waits shortly for the thread's end; one that is stuck in the system's resolver is left to itself.
    func join() {
        guard ended.wait(until: MonotonicClock.system.now() + .milliseconds(100)) else { return }
        state.withLock { $0.thread }?.join()
    }

    /// Asks for a host, unless that is under way; false when there are too many hosts.
    func ask(_ host: String) -> Bool {
        let (isNew, fits) = state.withLock { state -> (Bool, Bool) in
            if state.asked.contains(host) { return (false, true) }
            if !state.known.contains(host), state.known.count + state.asked.count >= NameResolver.maxHosts {
                return (false, false)
            }
            state.asked.insert(host)
            return (true, true)
        }
        if isNew, requests.push(host) != .accepted {
            state.withLock { _ = $0.asked.remove(host) }
            return false
        }
        return fits
    }

    /// What has changed since the last call.
    func takeNews() -> [String: Answer] {
        state.withLock { state in
            defer { state.news = [:] }
            // Only now: whoever asks between answer and news joins those that wait for it.
            state.asked.subtract(state.news.keys)
            return state.news
        }
    }

    private func run() {
        var refreshAt = MonotonicClock.system.now() + NameResolver.refreshInterval
        while true {
            var hosts: [String] = []
            switch requests.wait(into: &hosts, until: refreshAt) {
            case .closed: return
            case .elements: break
            case .timeout:
                hosts = state.withLock { Array($0.known) }
                refreshAt = MonotonicClock.system.now() + NameResolver.refreshInterval
            }
            for host in hosts { note(host, lookUp(host)) }
        }
    }

    private func note(_ host: String, _ answer: Answer) {
        state.withLock { state in
            if case .addresses = answer { state.known.insert(host) }
            state.news[host] = answer
        }
        onNews()
    }

    /// The system's resolver: `/etc/hosts`, name servers, whatever nsswitch names.
    static let systemLookUp: LookUp = { host in
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else { return .failure(String(cString: gai_strerror(code))) }
        defer { freeaddrinfo(list) }
        var addresses: [String] = []
        var entry = list
        while let current = entry, addresses.count < maxAddresses {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let info = current.pointee
            if getnameinfo(info.ai_addr, info.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 {
                let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                let address = String(decoding: bytes, as: UTF8.self)
                let written = info.ai_family == AF_INET6 ? "[\(address)]" : address
                if !addresses.contains(written) { addresses.append(written) }
            }
            entry = info.ai_next
        }
        return addresses.isEmpty ? .failure("the host has no address") : .addresses(addresses)
    }
}

/// Owns one list for CURLOPT_RESOLVE, which libcurl reads but does not copy.
final class ResolveList {
    let pointer: UnsafeMutablePointer<curl_slist>

    init?(target: RequestTarget, addresses: [String]) {
        let entry = "\(target.host):\(target.port):\(addresses.joined(separator: ","))"
        guard let list = cp_resolve_list(entry) else { return nil }
        pointer = list
    }

    deinit { cp_resolve_list_free(pointer) }
}

/// Which hosts' addresses are known, and which of them libcurl has not been told yet. The loop's own.
struct AddressBook {
    private struct Entry {
        var addresses: [String] = []
        /// Ports for which libcurl holds the current list.
        var told: Set<Int> = []
    }
    private var entries: [String: Entry] = [:]

    func knows(_ target: RequestTarget) -> Bool { target.isLiteral || entries[target.host] != nil }

    /// Returns true when the addresses are new.
    mutating func learn(_ host: String, _ addresses: [String]) {
        // The order alone changes with every answer of a name server that rotates; that is no news.
        if let entry = entries[host], Set(entry.addresses) == Set(addresses) { return }
        entries[host] = Entry(addresses: addresses)
    }

    /// The list that the next request to `target` must carry, nil when libcurl has it.
    func untold(_ target: RequestTarget) -> ResolveList? {
        guard !target.isLiteral, let entry = entries[target.host], !entry.told.contains(target.port) else {
            return nil
        }
        return ResolveList(target: target, addresses: entry.addresses)
    }

    mutating func noteTold(_ target: RequestTarget) { entries[target.host]?.told.insert(target.port) }
}
