// Child processes of tests: started by posix_spawn, output drained by threads, ended whatever happens.

import Basics
import CLinux
import Glibc

/// One child process. Its output is collected line by line; waiting is by signal, never by sleeping.
///
/// Blocking calls (`wait…`) are for tests' own threads or short waits: use the `async` forms in tests.
package final class ChildProcess: @unchecked Sendable {
    // Sendable because the mutable parts live in locked boxes.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package struct Exit: Sendable, Equatable {
        package let code: Int32
        package let signal: Int32
    }

    package let pid: Int32
    package let name: String
    private let output = ChildOutput()
    private let exit = Locked<(result: Exit?, waiters: [Promise<Exit>])>((nil, []))
    private let exited = Latch()
    private let drained = Latch()
    private let input: Locked<Int32>

    /// - Parameters:
    ///   - environment: The whole environment; nothing is inherited but `PATH`, when it is missing here, and
    ///     the sanitizers' settings.
    ///   - standardInput: When true, ``write(_:)`` and ``closeInput()`` work; else the child reads /dev/null.
    package init(
        _ path: String,
        _ arguments: [String] = [],
        environment: [String: String] = [:],
        directory: String? = nil,
        standardInput: Bool = false
    ) throws {
        name = String(path.split(separator: "/").last ?? "child")
        var environment = environment
        // Programs of ours report to where the runner does, when both are built with a sanitizer.
        for name in ["ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"] where environment[name] == nil {
            environment[name] = ProcessEnvironment.value(name)
        }
        if environment["PATH"] == nil { environment["PATH"] = ProcessEnvironment.value("PATH") ?? "/usr/bin:/bin" }
        var outputReader: Int32 = -1
        var outputWriter: Int32 = -1
        var inputReader: Int32 = -1
        var inputWriter: Int32 = -1
        guard clinux_pipe(&outputReader, &outputWriter) == 0 else { throw Failure(description: "no pipe for \(path)") }
        if standardInput, clinux_pipe(&inputReader, &inputWriter) != 0 {
            throw Failure(description: "no pipe for \(path)")
        }
        var pid: pid_t = 0
        var descriptor: Int32 = -1
        let argv = CStringArray([path] + arguments)
        let envp = CStringArray(environment.map { "\($0.key)=\($0.value)" })
        let result = clinux_spawn(
            path,
            argv.pointers,
            envp.pointers,
            directory,
            inputReader,
            outputWriter,
            outputWriter,
            &pid,
            &descriptor
        )
        close(outputWriter)
        if inputReader >= 0 { close(inputReader) }
        input = Locked(inputWriter)
        self.pid = pid
        guard result == 0 else {
            close(outputReader)
            throw Failure(description: "\(path) did not start: \(String(cString: strerror(result)))")
        }
        if descriptor >= 0 { close(descriptor) }
        LiveChildren.add(pid)
        // Nobody joins the two threads: the latches tell of their ends.
        _ = WorkerThread(name: "out \(name)") { [output, outputReader, drained] in
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(outputReader, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                output.append(buffer[..<count])
            }
            close(outputReader)
            output.finish()
            drained.open()
        }
        _ = WorkerThread(name: "reap \(name)") { [exit, exited, drained, pid] in
            var code: Int32 = -1
            var signal: Int32 = 0
            clinux_reap(pid, &code, &signal)
            LiveChildren.remove(pid)
            exited.open()
            // Whoever waits for the end wants to see all output; a grandchild may keep the pipe open for longer.
            _ = drained.wait(until: MonotonicClock.system.now() + .seconds(2))
            let result = Exit(code: code, signal: signal)
            let waiters = exit.withLock { state in
                state.result = result
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resolve(.success(result)) }
        }
    }

    deinit {
        kill(SIGKILL)
        let fd = input.withLock { $0 }
        if fd >= 0 { close(fd) }
    }

    // MARK: Output

    /// Everything printed so far, standard output and error together, whole lines only.
    package var lines: [String] { output.lines }
    package var text: String { lines.joined(separator: "\n") }

    /// The first line, past or future, that `matches`.
    /// - Throws: ``Failure`` with the output when the child ends or the time is up before such a line.
    package func line(within limit: Duration = .seconds(30), where matches: @escaping @Sendable (String) -> Bool)
        async throws
        -> String
    {
        let promise = Promise<String>()
        output.watch(for: matches, promise)
        return try await timed(promise, limit, "a line of \(name)")
    }

    package func line(containing part: String, within limit: Duration = .seconds(30)) async throws -> String {
        try await line(within: limit) { $0.contains(part) }
    }

    // MARK: Input, signals, end

    package func write(_ text: String) {
        let fd = input.withLock { $0 }
        guard fd >= 0 else { return }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) }
            if count <= 0 { return }
            bytes = bytes.dropFirst(count)
        }
    }

    package func closeInput() {
        let fd = input.withLock { fd in
            defer { fd = -1 }
            return fd
        }
        if fd >= 0 { close(fd) }
    }

    /// Sends a signal to the child, unless it has been reaped.
    package func kill(_ signal: Int32) {
        if !exited.isOpen { _ = Glibc.kill(pid, signal) }
    }

    /// Sends a signal to the child's whole process group.
    package func killGroup(_ signal: Int32) {
        _ = Glibc.kill(-pid, signal)
    }

    package var isRunning: Bool { !exited.isOpen }

    /// How the child ended.
    package func exit(within limit: Duration = .seconds(30)) async throws -> Exit {
        let promise = Promise<Exit>()
        exit.withLock { state in
            if let result = state.result { promise.resolve(.success(result)) } else { state.waiters.append(promise) }
        }
        return try await timed(promise, limit, "the end of \(name)")
    }

    /// SIGTERM, then SIGKILL when the limit is over. Returns how it ended.
    @discardableResult
    package func stop(within limit: Duration = .seconds(30)) async throws -> Exit {
        kill(SIGTERM)
        do { return try await exit(within: limit) } catch {
            kill(SIGKILL)
            _ = try await exit(within: .seconds(10))
            throw error
        }
    }

    /// For `defer`: ends the child at once and waits for its end, blocking shortly.
    package func end() {
        kill(SIGKILL)
        _ = exited.wait(until: MonotonicClock.system.now() + .seconds(10))
    }

    private func timed<Value: Sendable>(_ promise: Promise<Value>, _ limit: Duration, _ what: String) async throws
        -> Value
    {
        let token = TimerQueue.shared.schedule(at: MonotonicClock.system.now() + limit) {
            promise.resolve(.failure(Failure(description: "not within \(limit)")))
        }
        defer { TimerQueue.shared.cancel(token) }
        do { return try await promise.value() } catch let failure as Failure {
            throw Failure(
                description: "waited for \(what): \(failure.description); its last lines:\n"
                    + lines.suffix(30).joined(separator: "\n")
            )
        }
    }
}

/// What a child has printed, and who waits for a line of it; shared by the child's object and the thread that drains.
private final class ChildOutput: Sendable {
    private struct State {
        var lines: [String] = []
        var partial: [UInt8] = []
        var watchers: [(matches: @Sendable (String) -> Bool, promise: Promise<String>)] = []
        var hasEnded = false
    }

    private let state = Locked(State())

    var lines: [String] { state.withLock { $0.lines } }

    /// Resolves with the first line that matches, or fails when there is none and will be none.
    func watch(for matches: @escaping @Sendable (String) -> Bool, _ promise: Promise<String>) {
        let known = state.withLock { state -> Result<String, any Error>? in
            if let line = state.lines.first(where: matches) { return .success(line) }
            if state.hasEnded { return .failure(ChildProcess.Failure(description: "it ended")) }
            state.watchers.append((matches, promise))
            return nil
        }
        if let known { promise.resolve(known) }
    }

    func append(_ bytes: ArraySlice<UInt8>) {
        let found = state.withLock { state -> [(Promise<String>, String)] in
            state.partial.append(contentsOf: bytes)
            var found: [(Promise<String>, String)] = []
            while let end = state.partial.firstIndex(of: 0x0A) {
                let line = String(decoding: state.partial[..<end], as: UTF8.self)
                state.partial.removeSubrange(...end)
                state.lines.append(line)
                state.watchers.removeAll { watcher in
                    guard watcher.matches(line) else { return false }
                    found.append((watcher.promise, line))
                    return true
                }
            }
            return found
        }
        for (promise, line) in found { promise.resolve(.success(line)) }
    }

    func finish() {
        let watchers = state.withLock { state in
            if !state.partial.isEmpty { state.lines.append(String(decoding: state.partial, as: UTF8.self)) }
            state.partial = []
            state.hasEnded = true
            defer { state.watchers = [] }
            return state.watchers
        }
        for watcher in watchers {
            watcher.promise.resolve(.failure(ChildProcess.Failure(description: "it ended")))
        }
    }
}

/// Children still running when the test process ends are killed by it.
private enum LiveChildren {
    private static let pids: Locked<Set<pid_t>> = {
        atexit { LiveChildren.killAll() }
        return Locked([])
    }()

    static func add(_ pid: pid_t) { pids.withLock { _ = $0.insert(pid) } }
    static func remove(_ pid: pid_t) { pids.withLock { _ = $0.remove(pid) } }
    static func killAll() { for pid in pids.withLock({ $0 }) { kill(pid, SIGKILL) } }
}

package enum ProcessEnvironment {
    package static func value(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// The folder of the running executable: built programs lie beside the test runner.
    package static var executableFolder: String {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        return String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }
}

private final class CStringArray {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        pointers = .allocate(capacity: strings.count + 1)
        for (index, string) in strings.enumerated() { pointers[index] = strdup(string) }
        pointers[strings.count] = nil
    }

    deinit {
        for index in 0..<count { free(pointers[index]) }
        pointers.deallocate()
    }
}
