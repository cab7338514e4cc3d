// A client that writes exactly the bytes it is told to: what a well-behaved HTTP library could not send.

import Basics
import Glibc

struct RawAnswer: Equatable, Sendable {
    let status: Int
    /// Names in lower case.
    let headers: [String: String]
    let body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    var closes: Bool { headers["connection"] == "close" }
}

/// A blocking socket on loopback; every wait has a deadline. For threads of the tests' own, see ``scenario(_:)``.
final class RawClient {
    struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    private var descriptor: Int32
    private var unread: [UInt8] = []
    private var hasEnded = false
    private let patience: Duration

    init(port: UInt16, patience: Duration = .seconds(10)) throws {
        self.patience = patience
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure("no socket") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else {
            let reason = errno
            Glibc.close(descriptor)
            throw Failure("connect: errno \(reason)")
        }
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

    /// False when the peer has closed or does not read.
    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes with a reset instead of a farewell.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        Glibc.close(descriptor)
        descriptor = -1
    }

    /// The next answer; interim ones (100) count as answers.
    func answer() throws -> RawAnswer {
        let deadline = MonotonicClock.system.now() + patience
        while true {
            if let (answer, length) = Self.parse(unread) {
                unread.removeFirst(length)
                return answer
            }
            guard try receive(until: deadline) else {
                throw Failure(
                    "closed before an answer; got \(String(decoding: unread, as: UTF8.self).debugDescription)"
                )
            }
        }
    }

    /// All answers until the server closes.
    func answersUntilClosed() throws -> [RawAnswer] {
        let deadline = MonotonicClock.system.now() + patience
        while try receive(until: deadline) {}
        var answers: [RawAnswer] = []
        while let (answer, length) = Self.parse(unread) {
            unread.removeFirst(length)
            answers.append(answer)
        }
        return answers
    }

    /// Waits for the server to close; false when it is still open at `limit`.
    func closes(within limit: Duration) -> Bool {
        let deadline = MonotonicClock.system.now() + limit
        do {
            while try receive(until: deadline) {}
            return true
        } catch { return false }
    }

    /// Reads some bytes; false at the end (also after a reset).
    private func receive(until deadline: MonotonicInstant) throws -> Bool {
        if hasEnded { return false }
        let left = (deadline - MonotonicClock.system.now()).inMilliseconds
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard left > 0, poll(&waiting, 1, Int32(clamping: left)) > 0 else { throw Failure("nothing came in time") }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else {
            hasEnded = true
            return false
        }
        unread.append(contentsOf: buffer[..<count])
        return true
    }

    private static func parse(_ bytes: [UInt8]) -> (RawAnswer, Int)? {
        let end: [UInt8] = [13, 10, 13, 10]
        guard let headEnd = bytes.indices.first(where: { bytes[$0...].starts(with: end) }) else { return nil }
        let lines = String(decoding: bytes[..<headEnd], as: UTF8.self).split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else { return nil }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            headers[parts[0].lowercased()] = parts[1].drop { $0 == " " }.description
        }
        let length = status < 200 || status == 204 ? 0 : Int(headers["content-length"] ?? "0") ?? 0
        let start = headEnd + 4
        guard bytes.count >= start + length else { return nil }
        return (RawAnswer(status: status, headers: headers, body: Array(bytes[start..<start + length])), start + length)
    }
}

/// Runs blocking test code on a thread of its own, so that the pool of the tests is never held.
func scenario<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    let promise = Promise<Result>()
    let thread = WorkerThread(name: "scenario", stackBytes: 1 << 20) {
        promise.resolve(Swift.Result { try body() })
    }
    defer { thread.join() }
    return try await promise.value()
}
