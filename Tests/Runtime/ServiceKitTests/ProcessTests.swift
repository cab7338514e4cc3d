import Basics
import Glibc
import JSON
import ServiceKit
import TestSupport
import Testing

extension ChildProcess.Exit {
    fileprivate var isClean: Bool { code == 0 && signal == 0 }
}

/// The probe as a real process: what signals, exit codes and streams do cannot be seen from inside.
@Suite struct ProgramProcessTests {
    private func probe(
        _ arguments: [String] = [],
        _ environment: [String: String] = [:],
        standardInput: Bool = false
    ) throws -> ChildProcess {
        let environment = ["ADMIN_PORT": "0", "SHUTDOWN_GRACE": "20s"].merging(environment) { _, new in new }
        return try ChildProcess(
            "\(ProcessEnvironment.executableFolder)/service-probe",
            arguments,
            environment: environment,
            standardInput: standardInput
        )
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func `a signal stops in reverse order and ends with 0`(_ signal: Int32) async throws {
        let child = try probe()
        defer { child.end() }
        _ = try await child.line(containing: "\"started\"")
        child.kill(signal)
        #expect(try await child.exit().isClean)
        let order = child.lines.compactMap { line in
            ["last has stopped", "first has stopped", "\"stopped\""].first { line.contains($0) }
        }
        #expect(order == ["last has stopped", "first has stopped", "\"stopped\""])
        for line in child.lines { #expect(throws: Never.self) { try JSON.parse(Array(line.utf8)) } }
    }

    @Test func `a second signal ends at once`() async throws {
        let child = try probe([], ["PROBE_MODE": "stuck"])
        defer { child.end() }
        _ = try await child.line(containing: "\"started\"")
        child.kill(SIGTERM)
        _ = try await child.line(containing: "last has stopped")
        child.kill(SIGTERM)
        #expect(try await child.exit(within: .seconds(10)).code == 70)
        #expect(child.text.contains("at once"))
    }

    @Test func `the end of the grace with work in hand is 70 and names the component`() async throws {
        let child = try probe([], ["PROBE_MODE": "stuck", "SHUTDOWN_GRACE": "300ms"])
        defer { child.end() }
        _ = try await child.line(containing: "\"started\"")
        child.kill(SIGTERM)
        #expect(try await child.exit(within: .seconds(10)).code == 70)
        #expect(child.lines.last?.contains("\"component\":\"stuck\"") == true)
    }

    @Test(arguments: [("failing", 69, "no more broker"), ("unbuildable", 70, "cannot be built")])
    func `a program that fails says why and ends with its code`(_ mode: String, _ code: Int32, _ text: String)
        async throws
    {
        let child = try probe([], ["PROBE_MODE": mode])
        defer { child.end() }
        #expect(try await child.exit().code == code)
        #expect(child.text.contains(text))
    }

    @Test func `work left behind is 70`() async throws {
        let child = try probe([], ["PROBE_MODE": "leftover"])
        defer { child.end() }
        _ = try await child.line(containing: "\"started\"")
        #expect(try await child.stop().code == 70)
        #expect(child.text.contains("first has stopped"))
    }

    @Test func `waits for a dependency and still stops cleanly`() async throws {
        let child = try probe([], ["PROBE_MODE": "waiting"])
        defer { child.end() }
        _ = try await child.line(containing: "waiting for a dependency")
        #expect(try await child.stop().isClean)
    }

    @Test func `SIGHUP reloads and SIGPIPE does nothing`() async throws {
        let child = try probe()
        defer { child.end() }
        _ = try await child.line(containing: "\"started\"")
        child.kill(SIGPIPE)
        child.kill(SIGHUP)
        _ = try await child.line(containing: "\"reloaded\"")
        #expect(try await child.stop().isClean)
    }

    /// Signals sent right after the start find the mask set or the process not yet begun; none may be lost.
    @Test func `signals during the start stop the program`() async throws {
        for _ in 0..<5 {
            let child = try probe()
            defer { child.end() }
            _ = try await child.line(containing: "the admin listener is open")
            child.kill(SIGTERM)
            #expect(try await child.exit(within: .seconds(10)).isClean)
        }
    }

    @Test(arguments: [LogFormat.json, .text])
    func `a malformed setting is 78 and one line in the log's own format`(_ format: LogFormat) async throws {
        let child = try probe([], ["ADMIN_PORT": "many", "LOG_FORMAT": format.rawValue])
        defer { child.end() }
        #expect(try await child.exit().code == 78)
        #expect(child.lines.count == 1)
        let line = try #require(child.lines.first)
        #expect(line.contains("ADMIN_PORT: is malformed"))
        #expect(line.contains("many") == false)
        #expect(line.hasPrefix("{") == (format == .json))
    }

    @Test func `a malformed LOG_FORMAT is named too`() async throws {
        let child = try probe([], ["LOG_FORMAT": "xml"])
        defer { child.end() }
        #expect(try await child.exit().code == 78)
        #expect(child.lines.count == 1 && child.text.contains("LOG_FORMAT"))
    }

    @Test func `a setting that is not UTF-8 is named`() async throws {
        let child = try ChildProcess(
            "/bin/sh",
            ["-c", "PROBE_MODE=$(printf '\\377') exec \"$0\"", "\(ProcessEnvironment.executableFolder)/service-probe"],
            environment: ["ADMIN_PORT": "0"]
        )
        defer { child.end() }
        #expect(try await child.exit().code == 78)
        #expect(child.text.contains("PROBE_MODE: is malformed") && child.text.contains("UTF-8"))
    }

    @Test func `settings that need more open files than allowed are 78`() async throws {
        let child = try ChildProcess(
            "/bin/sh",
            ["-c", "ulimit -n 300 && exec \"$0\"", "\(ProcessEnvironment.executableFolder)/service-probe"],
            environment: ["ADMIN_PORT": "0"]
        )
        defer { child.end() }
        #expect(try await child.exit().code == 78)
        #expect(child.lines.count == 1 && child.text.contains("MAX_CONNECTIONS: needs 2200 open files"))
    }

    @Test func `a taken admin port is 69`() async throws {
        let first = try probe()
        defer { first.end() }
        let line = try await first.line(containing: "server.port")
        let port = try #require(try JSON.parse(Array(line.utf8))["server.port"]?.intValue)
        let second = try probe([], ["ADMIN_PORT": String(port)])
        defer { second.end() }
        #expect(try await second.exit().code == 69)
        #expect(second.lines.count == 1 && second.text.contains("ADMIN_PORT"))
    }

    @Test func `an unknown argument is 64, help and version are 0`() async throws {
        for (arguments, code, text) in [
            (["--nope"], Int32(64), "--nope"), (["--help"], 0, "ADMIN_PORT=port  (default 9464)"),
            (["--help"], 0, "PROBE_MODE=mode"), (["--version"], 0, "service-probe 1."),
        ] {
            // Help needs no good settings, and shows none of what is set.
            let child = try probe(arguments, ["PLAID_SECRET": "hidden", "MAX_CONNECTIONS": "hidden"])
            defer { child.end() }
            #expect(try await child.exit().code == code)
            #expect(child.text.contains(text))
            #expect(!child.text.contains("hidden"))
        }
    }

    @Test func `a coverage run ends by its exit handlers`() async throws {
        let child = try probe([], ["LLVM_PROFILE_FILE": "/dev/null"])
        defer { child.end() }
        _ = try await child.line(containing: "\"started\"")
        #expect(try await child.stop().isClean)
    }
}

@Suite struct CommandProcessTests {
    private func probe(
        _ arguments: [String],
        _ environment: [String: String] = [:],
        standardInput: Bool = false
    ) throws -> ChildProcess {
        try ChildProcess(
            "\(ProcessEnvironment.executableFolder)/service-probe",
            ["as-commands"] + arguments,
            environment: environment,
            standardInput: standardInput
        )
    }

    @Test(
        arguments: [
            (["greet", "--name", "x"], [:], 0, "name  x"),
            (["greet", "--name=x", "--output=json"], [:], 0, #"{"name":"x"}"#),
            (["greet"], [:], 64, "--name is missing"), (["grete"], [:], 64, "did you mean service-probe greet?"),
            ([], [:], 64, "no command given"), (["--help"], [:], 0, "greet"),
            (["greet", "--help"], [:], 0, "HTTP_PORT"),
            (["greet", "--name", "x"], ["HTTP_PORT": "many"], 78, "HTTP_PORT: is malformed"),
            (["away"], ["HTTP_PORT": "many"], 69, "nothing listens there"), (["--version"], [:], 0, "service-probe 1."),
        ] as [([String], [String: String], Int32, String)]
    )
    func `a command ends with its code and one line`(
        _ arguments: [String],
        _ environment: [String: String],
        _ code: Int32,
        _ text: String
    ) async throws {
        let child = try probe(arguments, environment)
        defer { child.end() }
        #expect(try await child.exit().code == code)
        #expect(child.text.contains(text), "\(child.text)")
        if code != 0 { #expect(child.lines.count == 1) }
    }

    @Test func `a signal cancels the command`() async throws {
        let child = try probe(["wait"])
        defer { child.end() }
        _ = try await child.line(containing: "waiting")
        child.kill(SIGINT)
        #expect(try await child.exit(within: .seconds(10)).code == 70)
        #expect(child.text.contains("interrupted"))
    }

    @Test(arguments: [("topsecret\n", "9"), ("topsecret", "9"), ("a b\r\nmore\n", "3"), ("\n", "-1"), ("", "-1")])
    func `a secret is the first line of standard input`(_ input: String, _ bytes: String) async throws {
        let child = try probe(["ask"], standardInput: true)
        defer { child.end() }
        child.write(input)
        child.closeInput()
        #expect(try await child.exit().code == 0)
        #expect(child.lines.last == "bytes  \(bytes)")
    }

    @Test func `a signal ends the wait for a secret`() async throws {
        let child = try probe(["ask"], standardInput: true)
        defer { child.end() }
        _ = try await child.line(containing: "asking")
        child.kill(SIGTERM)
        #expect(try await child.exit(within: .seconds(20)).code == 70)
        #expect(child.text.contains("interrupted"))
    }
}
