// One built program of the pipeline as a real process, read by its log.

import Basics
import Glibc
import HTTPClient
import JSON
import TestSupport

/// A running program. Its ports are free ones, read from its log.
final class ServiceProcess: Sendable {
    let name: String
    let child: ChildProcess
    private let http: TestHTTP

    /// - Parameter environment: The whole environment but for the log's settings.
    init(_ name: String, environment: [String: String], http: TestHTTP = .shared) throws {
        self.name = name
        self.http = http
        child = try ChildProcess(Self.path(name), environment: Self.common.merging(environment) { _, new in new })
        KeptLogs.current?.add(child)
    }

    /// Built programs lie beside the test runner.
    static func path(_ program: String) -> String { "\(ProcessEnvironment.executableFolder)/\(program)" }

    /// What every program gets: free ports on loopback, whole logs.
    static let common = [
        "HTTP_HOST": "127.0.0.1", "HTTP_PORT": "0", "ADMIN_HOST": "127.0.0.1", "ADMIN_PORT": "0", "LOG_FORMAT": "json",
    ]

    // MARK: Its log

    /// The first line, past or future, with this message.
    func logLine(_ message: String, within limit: Duration = .seconds(30)) async throws -> JSONValue {
        let line = try await child.line(containing: "\"message\":\"\(message)\"", within: limit)
        return try JSON.parse(Array(line.utf8))
    }

    /// A field of such a line, as text.
    func logged(_ field: String, in message: String) async throws -> String {
        guard let value = try await logLine(message)[field] else {
            throw TimedOut(description: "\(name)'s line \"\(message)\" has no \(field)")
        }
        return value.stringValue ?? String(decoding: value.serialized(pretty: false), as: UTF8.self)
    }

    func publicURL() async throws -> String {
        "http://127.0.0.1:\(try await logged("server.port", in: "the public listener is open"))"
    }

    func adminURL() async throws -> String {
        "http://127.0.0.1:\(try await logged("server.port", in: "the admin listener is open"))"
    }

    // MARK: Its health

    func status(_ path: String) async throws -> Int { try await http.get(adminURL() + path).status }

    /// Waits until `/health/ready` says so. A program that ends meanwhile is not waited for.
    func untilReady(within limit: Duration = .seconds(60)) async throws {
        let ready = try await adminURL() + "/health/ready"
        let last = Locked("")
        do {
            try await eventually("\(name) is ready", within: limit) { () -> Bool? in
                guard child.isRunning else { throw TimedOut(description: "it has ended:\n\(lastLines)") }
                let answer = try await http.get(ready)
                last.withLock { $0 = answer.body.string() ?? "" }
                return answer.status == 200 ? true : nil
            }
        } catch {
            throw TimedOut(description: "\(error); it said \(last.withLock { $0 })\n\(lastLines)")
        }
    }

    private var lastLines: String { child.lines.suffix(15).joined(separator: "\n") }

    // MARK: Its end

    /// SIGKILL; returns when the process is gone.
    func kill() async throws {
        child.kill(SIGKILL)
        _ = try await child.exit(within: .seconds(10))
    }

    /// SIGTERM; returns the exit code.
    func stop() async throws -> Int32 { try await child.stop(within: .seconds(40)).code }
}
