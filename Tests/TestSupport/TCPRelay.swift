// A wire that can be cut: between a client and a server on loopback, for tests of what happens when nothing comes.

import Basics
import Glibc

/// Passes TCP connections on to a loopback port. ``cut()`` makes a black hole of it: connections stay, and nothing
/// moves any more in either direction; new ones are let in by the kernel and never served.
///
/// One thread, non-blocking sockets, at most 64 KiB held for each direction of a connection.
package final class TCPRelay: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private enum Command { case none, reset, end }
    private struct State {
        var isCut = false
        var command = Command.none
    }

    package let port: UInt16
    private let state = Locked(State())
    private let kick: EventDescriptor
    private let thread: WorkerThread

    package init(to target: UInt16) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = Self.loopback(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 128) == 0
                    && getsockname(listener, address, &size) == 0
            }
        }
        guard listener >= 0, bound else { throw Failure(description: "no port for a relay") }
        Self.makeNonBlocking(listener)
        port = UInt16(bigEndian: address.sin_port)
        let kick = EventDescriptor()
        self.kick = kick
        thread = WorkerThread(name: "relay") { [state] in
            var links: [Link] = []
            defer {
                for link in links { link.close() }
                close(listener)
            }
            while true {
                let (isCut, command) = state.withLock { state in
                    defer { if state.command == .reset { state.command = .none } }
                    return (state.isCut, state.command)
                }
                switch command {
                case .end: return
                case .reset:
                    for link in links { link.close() }
                    links = []
                case .none: break
                }
                Self.turn(kick, listener, target, isCut ? nil : links, &links)
            }
        }
    }

    deinit { end() }

    /// From now on nothing passes.
    package func cut() { change { $0.isCut = true } }

    /// Everything passes again, also what was under way when it was cut.
    package func mend() { change { $0.isCut = false } }

    /// Closes every connection; new ones pass.
    package func reset() { change { $0.command = .reset } }

    package func end() {
        change { $0.command = .end }
        thread.join()
    }

    private func change(_ body: (inout State) -> Void) {
        state.withLock(body)
        kick.signal()
    }

    /// Waits for something to do and does it. `served` is nil while the wire is cut.
    private static func turn(
        _ kick: EventDescriptor,
        _ listener: Int32,
        _ target: UInt16,
        _ served: [Link]?,
        _ links: inout [Link]
    ) {
        var waiting = [pollfd(fd: kick.fileDescriptor, events: Int16(POLLIN), revents: 0)]
        if let served {
            waiting.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0))
            for link in served { waiting += link.wishes }
        }
        guard poll(&waiting, nfds_t(waiting.count), -1) > 0 else { return }
        if waiting[0].revents != 0 { kick.drain() }
        guard let served else { return }
        for (index, link) in served.enumerated() {
            link.work(client: waiting[2 + 2 * index].revents, server: waiting[3 + 2 * index].revents)
        }
        links.removeAll { $0.isClosed }
        if waiting[1].revents != 0 {
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { break }
                if let link = Link(client: client, target: target) { links.append(link) }
            }
        }
    }

    fileprivate static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    fileprivate static func makeNonBlocking(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
}

/// Two sockets and what is on its way between them. On the relay's thread only.
private final class Link {
    private static let most = 65_536
    private var client: Int32
    private var server: Int32
    private var toServer: [UInt8] = []
    private var toClient: [UInt8] = []
    var isClosed: Bool { client < 0 }

    init?(client: Int32, target: UInt16) {
        self.client = client
        server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        for descriptor in [client, server] {
            TCPRelay.makeNonBlocking(descriptor)
            var on: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        }
        let address = TCPRelay.loopback(target)
        let result = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 || errno == EINPROGRESS else {
            close()
            return nil
        }
    }

    func close() {
        for descriptor in [client, server] where descriptor >= 0 { Glibc.close(descriptor) }
        client = -1
        server = -1
    }

    var wishes: [pollfd] {
        func events(_ incoming: [UInt8], _ outgoing: [UInt8]) -> Int16 {
            Int16((incoming.count < Self.most ? POLLIN : 0) | (outgoing.isEmpty ? 0 : POLLOUT))
        }
        return [
            pollfd(fd: client, events: events(toServer, toClient), revents: 0),
            pollfd(fd: server, events: events(toClient, toServer), revents: 0),
        ]
    }

    func work(client clientEvents: Int16, server serverEvents: Int16) {
        let wasGood =
            (clientEvents & Int16(POLLIN) == 0 || Self.read(client, &toServer))
            && (serverEvents & Int16(POLLIN) == 0 || Self.read(server, &toClient))
        _ = Self.write(server, &toServer)
        _ = Self.write(client, &toClient)
        // No client of ours half-closes: the end of one side is the end of both.
        let ended = Int16(POLLERR | POLLHUP | POLLNVAL)
        if !wasGood || clientEvents & ended != 0 || serverEvents & ended != 0 { close() }
    }

    /// False at the end.
    private static func read(_ descriptor: Int32, _ bytes: inout [UInt8]) -> Bool {
        var buffer = [UInt8](repeating: 0, count: most - bytes.count)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count > 0 { bytes.append(contentsOf: buffer[..<count]) }
        return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))
    }

    private static func write(_ descriptor: Int32, _ bytes: inout [UInt8]) -> Bool {
        guard !bytes.isEmpty else { return true }
        let count = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        if count > 0 { bytes.removeFirst(count) }
        return count > 0
    }
}
