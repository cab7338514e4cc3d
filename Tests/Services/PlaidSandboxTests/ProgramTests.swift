// The built program as its own process.

import Basics
import HTTPClient
import JSON
import TestSupport
import Testing

@Suite struct ProgramTests {
    private func start(_ extra: [String: String]) throws -> ChildProcess {
        let environment = [
            "HTTP_HOST": "127.0.0.1", "HTTP_PORT": "0", "ADMIN_PORT": "0", "PLAID_CLIENT_ID": "a", "PLAID_SECRET": "b",
        ]
        return try ChildProcess(
            "\(ProcessEnvironment.executableFolder)/sandbox",
            environment: environment.merging(extra) { $1 }
        )
    }

    /// The port in the line that says what listens.
    private func port(_ child: ChildProcess) async throws -> Int64 {
        let line = try await child.line(containing: "the public listener is open")
        return try #require(JSON.parse(Array(line.utf8))["server.port"]?.intValue)
    }

    @Test func `takes a free port, begins with the faults of its file, and stops cleanly`() async throws {
        let folder = TemporaryFolder()
        let file = folder.write(#"{"rules": [{"endpoint": "/user/create", "status": 503}]}"#, to: "faults.json")
        let child = try start(["SANDBOX_FAULTS_FILE": file, "SANDBOX_SPEED": "60", "SANDBOX_SEED": "9"])
        defer { child.end() }
        let base = "http://127.0.0.1:\(try await port(child))"
        HTTPClientLibrary.globalInit()
        let client = try HTTPClient(settings: HTTPClientSettings(maxInFlight: 2, allowsPlainHTTP: true))
        let answer = try await client.send(
            HTTPClientRequest(
                url: base + "/user/create",
                headers: [("PLAID-CLIENT-ID", "a"), ("PLAID-SECRET", "b")],
                body: Array(#"{"client_user_id": "a"}"#.utf8),
                isRepeatable: false
            )
        )
        #expect(answer.status == 503)
        let truth = try await client.send(
            HTTPClientRequest(method: "GET", url: base + "/_sandbox/truth", isRepeatable: true)
        )
        let json = try JSON.parse(truth.body)
        #expect(json["seed"]?.intValue == 9)
        #expect(json["users"]?.intValue == 0)
        let closed = Promise<Void>()
        let thread = WorkerThread(name: "close") {
            client.close(grace: .zero)
            closed.resolve(.success(()))
        }
        try await closed.value()
        thread.join()
        let exit = try await child.stop()
        #expect(exit.code == 0 && exit.signal == 0)
    }

    @Test(arguments: [
        (["PLAID_CLIENT_ID": ""], "PLAID_CLIENT_ID"),
        (["SANDBOX_SPEED": "0.5"], "SANDBOX_SPEED"),
        (["SANDBOX_SEED": "one"], "SANDBOX_SEED"),
        (["SANDBOX_FAULTS_FILE": "/nonexistent/faults.json"], "SANDBOX_FAULTS_FILE"),
        (["SANDBOX_FAULTS_FILE": "/dev/null"], "SANDBOX_FAULTS_FILE"),
    ])
    func `a setting that makes no sense ends it with 78 and its name`(
        _ setting: [String: String],
        _ name: String
    ) async throws {
        let child = try start(setting)
        defer { child.end() }
        #expect(try await child.exit(within: .seconds(20)).code == 78)
        #expect(child.text.contains(name))
    }
}
