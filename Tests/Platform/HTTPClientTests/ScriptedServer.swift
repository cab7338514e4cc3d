// A server that does to its connections exactly what a test says: raw sockets on loopback, a thread each.

import Basics
import Glibc

/// What one connection's script is given. Its calls block the connection's own thread.
final class Visit: Sendable {
    struct Request: Sendable {
        let line: String
        let headers: [String]
        let body: [UInt8]

        func header(_ name: String) -> String? {
            let start = name.lowercased() + ":"
            return headers.first { $0.lowercased().hasPrefix(start) }
                .map { String($0.dropFirst(start.count)).trimmingSpaces }
        }
    }

    /// Counts from 0 in order of arrival.
    let connection: Int
    private let socket: Int32
    private let server: ScriptedServer
    private let unread = Locked<[UInt8]>([])

    init(connection: Int, socket: Int32, server: ScriptedServer) {
        self.connection = connection
        self.socket = socket
        self.server = server
    }

    /// The next whole request, nil when the client ended the connection first.
    func request() -> Request? {
        var bytes = unread.withLock { $0 }
        while true {
            if let (request, used) = Visit.parse(bytes) {
                unread.withLock { $0 = Array(bytes[used...]) }
                server.noteRequest(request)
                return request
            }
            guard let more = receive() else { return nil }
            bytes += more
        }
    }

    private func receive() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(socket, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            return count > 0 ? Array(buffer[..<count]) : nil
        }
    }

    private static func parse(_ bytes: [UInt8]) -> (Request, Int)? {
        guard let end = headEnd(bytes) else { return nil }
        let lines = String(decoding: bytes[..<(end - 4)], as: UTF8.self).split(separator: "\r\n").map(String.init)
        let length = lines.first { $0.lowercased().hasPrefix("content-length:") }
            .flatMap { Int($0.dropFirst("content-length:".count).description.trimmingSpaces) }
        let whole = end + (length ?? 0)
        guard bytes.count >= whole else { return nil }
        return (Request(line: lines[0], headers: Array(lines.dropFirst()), body: Array(bytes[end..<whole])), whole)
    }

    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in 3..<bytes.count where bytes[index] == 10 && bytes[index - 2] == 10 && bytes[index - 1] == 13 {
            return index + 1
        }
        return nil
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// False when the client has gone.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// A complete answer with a length.
    @discardableResult
    func answer(_ status: String = "200 OK", headers: String = "", body: String = "{}") -> Bool {
        send("HTTP/1.1 \(status)\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    /// True when the client closed or reset the connection; anything it sends is passed over.
    @discardableResult
    func waitForEnd() -> Bool {
        while receive() != nil {}
        return true
    }

    /// Ends our side with FIN. The script's end does the same.
    func finish() { shutdown(socket, Int32(SHUT_WR)) }

    /// Makes the coming end of the script a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }
}

/// Serves one script on a free port of 127.0.0.1 until it goes.
final class ScriptedServer: Sendable {
    typealias Script = @Sendable (Visit) -> Void

    private struct State {
        var connections = 0
        var requests: [Visit.Request] = []
        var sockets: Set<Int32> = []
        var threads: [WorkerThread] = []
        var isStopped = false
        var watchers: [(count: Int, promise: Promise<Void>)] = []
    }

    let port: Int
    private let listener: Int32
    private let script: Script
    private let state = Locked(State())

    init(_ script: @escaping Script) throws {
        self.script = script
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let bound = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 1_024) == 0
                    && getsockname(listener, address, &size) == 0
            }
        }
        guard bound else { throw TestFailure("no port to listen on") }
        port = Int(UInt16(bigEndian: address.sin_port))
        let acceptor = WorkerThread(name: "test-accept") { [self] in accept() }
        state.withLock { $0.threads.append(acceptor) }
    }

    var url: String { "http://127.0.0.1:\(port)/report" }
    var requests: [Visit.Request] { state.withLock { $0.requests } }
    var connections: Int { state.withLock { $0.connections } }

    /// Waits until so many whole requests have been read.
    func requests(_ count: Int, within limit: Duration = .seconds(20)) async throws {
        let promise = Promise<Void>()
        state.withLock { state in
            if state.requests.count >= count {
                promise.resolve(.success(()))
            } else {
                state.watchers.append((count, promise))
            }
        }
        try await within(limit, "\(count) requests", promise)
    }

    fileprivate func noteRequest(_ request: Visit.Request) {
        let due = state.withLock { state -> [Promise<Void>] in
            state.requests.append(request)
            let due = state.watchers.filter { $0.count <= state.requests.count }
            state.watchers.removeAll { $0.count <= state.requests.count }
            return due.map(\.promise)
        }
        for promise in due { promise.resolve(.success(())) }
    }

    private func accept() {
        while true {
            let socket = Glibc.accept(listener, nil, nil)
            if socket < 0 {
                if errno == EINTR || errno == ECONNABORTED { continue }
                return
            }
            var on: Int32 = 1
            setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
            let visit = state.withLock { state -> Visit? in
                if state.isStopped { return nil }
                defer { state.connections += 1 }
                state.sockets.insert(socket)
                return Visit(connection: state.connections, socket: socket, server: self)
            }
            guard let visit else {
                close(socket)
                return
            }
            let thread = WorkerThread(name: "test-visit") { [self] in
                script(visit)
                // Taken out first: stop() must not touch a number that is someone else's by then.
                state.withLock { _ = $0.sockets.remove(socket) }
                close(socket)
            }
            state.withLock { $0.threads.append(thread) }
        }
    }

    /// Ends the listener and every connection, and waits for the scripts. Blocks shortly.
    func stop() {
        let isFirst = state.withLock { state in
            defer { state.isStopped = true }
            for socket in state.sockets { shutdown(socket, Int32(SHUT_RDWR)) }
            return !state.isStopped
        }
        guard isFirst else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        while let thread = state.withLock({ $0.threads.popLast() }) { thread.join() }
        close(listener)
    }
}

extension String {
    var trimmingSpaces: String { String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
}
