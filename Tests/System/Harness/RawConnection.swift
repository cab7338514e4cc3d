// TCP connections that write what they are told to, and crowds of them that mean no good.

import Basics
import Glibc

/// A blocking socket on loopback; every wait has a deadline. Its calls belong on a thread of the test's: `onThread`.
final class RawConnection: @unchecked Sendable {
    // Sendable because the descriptor never changes and the kernel takes calls from any thread; one test uses it at a
    // time.
    private let descriptor: Int32

    /// Nil when the port refuses.
    init?(port: UInt16) {
        descriptor = Self.open(port, isBlocking: true)
        if descriptor < 0 { return nil }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func send(_ text: String) { _ = Glibc.send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL)) }

    /// What comes until `part` has come or the peer closes.
    func text(until part: String?, within limit: Duration = .seconds(20)) throws -> String {
        let deadline = soon(limit)
        var text = ""
        while part.map({ !text.contains($0) }) ?? true {
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let left = (deadline - MonotonicClock.system.now()).inMilliseconds
            guard left > 0, poll(&waiting, 1, Int32(clamping: left)) > 0 else {
                throw TimedOut(description: "waited for \(part ?? "the end"); there was \(text.debugDescription)")
            }
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            text += String(decoding: buffer[..<count], as: UTF8.self)
        }
        return text
    }

    /// -1 when the port refuses.
    fileprivate static func open(_ port: UInt16, isBlocking: Bool) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_INET, isBlocking ? kind : kind | Int32(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if descriptor >= 0, result < 0, errno != EINPROGRESS {
            close(descriptor)
            return -1
        }
        return descriptor
    }
}

/// Hundreds of connections that send a little less than a request, or far more than one, and come again when they are
/// thrown out.
final class HostileCrowd: Sendable {
    /// What its members send, each over and over on connections of its own.
    struct Habit: Sendable {
        let members: Int
        let bytes: [UInt8]
    }

    private let isOver = Latch()
    private let opened = Locked(0)
    private let thread: Locked<WorkerThread?> = Locked(nil)

    init(port: UInt16, _ habits: [Habit]) {
        let worker = WorkerThread(name: "crowd") { [isOver, opened] in
            var members: [(descriptor: Int32, habit: Int, sent: Int)] = habits.indices.flatMap { index in
                (0..<habits[index].members).map { _ in (-1, index, 0) }
            }
            defer { for member in members where member.descriptor >= 0 { close(member.descriptor) } }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while !isOver.isOpen {
                for index in members.indices where members[index].descriptor < 0 {
                    members[index].descriptor = RawConnection.open(port, isBlocking: false)
                    members[index].sent = 0
                    opened.withLock { $0 += 1 }
                }
                var waiting = members.map { member in
                    let hasMore = member.sent < habits[member.habit].bytes.count
                    return pollfd(fd: member.descriptor, events: Int16(hasMore ? POLLIN | POLLOUT : POLLIN), revents: 0)
                }
                guard poll(&waiting, nfds_t(waiting.count), 50) > 0 else { continue }
                for index in members.indices where waiting[index].revents != 0 {
                    let descriptor = members[index].descriptor
                    var isOpen = true
                    if waiting[index].revents & Int16(POLLOUT) != 0 {
                        let sent = members[index].sent
                        let count = habits[members[index].habit].bytes.withUnsafeBytes {
                            Glibc.send(
                                descriptor,
                                $0.baseAddress.map { $0 + sent },
                                $0.count - sent,
                                Int32(MSG_NOSIGNAL)
                            )
                        }
                        if count > 0 { members[index].sent += count } else if errno != EAGAIN { isOpen = false }
                    }
                    if isOpen, waiting[index].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
                        let count = recv(descriptor, &buffer, buffer.count, 0)
                        isOpen = count > 0 || (count < 0 && errno == EAGAIN)
                    }
                    if !isOpen {
                        close(descriptor)
                        members[index].descriptor = -1
                    }
                }
            }
        }
        thread.withLock { $0 = worker }
    }

    deinit { end() }

    /// Connections so far.
    var connections: Int { opened.withLock { $0 } }

    func end() {
        isOver.open()
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }
}
