// Names to addresses on the client's own resolver.

import Basics
import Glibc
import Testing

@testable import HTTPClient

@Suite struct NameResolutionTests {
    private static let echo: ScriptedServer.Script = { visit in while visit.request() != nil { visit.answer() } }

    /// A client whose look-ups are the test's, and a server.
    private func with(
        lookUp: @escaping NameResolver.LookUp,
        _ test: (HTTPClient, ScriptedServer) async throws -> Void
    ) async throws {
        let server = try ScriptedServer(Self.echo)
        let client = try HTTPClient(
            settings: HTTPClientSettings(maxInFlight: 64, allowsPlainHTTP: true),
            lookUp: lookUp
        )
        let result: Result<Void, any Error>
        do { result = .success(try await test(client, server)) } catch { result = .failure(error) }
        try await blocking {
            client.close(grace: .zero)
            server.stop()
        }
        try result.get()
    }

    private func request(_ host: String, _ server: ScriptedServer, connect: Duration = .seconds(10))
        -> HTTPClientRequest
    {
        HTTPClientRequest(
            url: "http://\(host):\(server.port)/",
            timeouts: HTTPTimeouts(connect: connect, firstByte: .seconds(10), stall: .seconds(10), whole: .seconds(20)),
            isRepeatable: true
        )
    }

    private func failure(_ client: HTTPClient, _ request: HTTPClientRequest) async throws -> HTTPClientError {
        do {
            let response = try await client.send(request)
            throw TestFailure("answered with \(response.status)")
        } catch let error as HTTPClientError { return error }
    }

    @Test func `fifty requests to a name make one look-up, and libcurl none`() async throws {
        let count = Locked(0)
        try await with(lookUp: { _ in
            count.withLock { $0 += 1 }
            return .addresses(["127.0.0.1"])
        }) { client, server in
            // The name exists for our resolver alone.
            let request = request("plaid.invalid", server)
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<50 { group.addTask { try await client.send(request).status } }
                for try await status in group { #expect(status == 200) }
            }
            #expect(count.withLock { $0 } == 1)
            #expect(server.requests.first?.header("Host") == "plaid.invalid:\(server.port)")
        }
    }

    @Test func `who asks between the answer and the news of it does not ask again`() async throws {
        let count = Locked(0)
        let news = Signal()
        let resolver = NameResolver(lookUp: { _ in
            count.withLock { $0 += 1 }
            return .addresses(["127.0.0.1"])
        }) { news.give() }
        resolver.start()
        #expect(resolver.ask("plaid.invalid"))
        try await news.wait("the answer")
        #expect(resolver.ask("plaid.invalid"))
        #expect(resolver.takeNews() == ["plaid.invalid": .addresses(["127.0.0.1"])])
        #expect(resolver.takeNews().isEmpty)
        resolver.close()
        #expect(count.withLock { $0 } == 1)
    }

    @Test func `an address needs no look-up`() async throws {
        try await with(lookUp: { _ in .failure("asked") }) { client, server in
            let status = try await client.send(request("127.0.0.1", server)).status
            #expect(status == 200)
        }
    }

    @Test func `a name without an address fails at once and sends nothing`() async throws {
        try await with(lookUp: { _ in .failure("no such name") }) { client, server in
            let error = try await failure(client, request("plaid.invalid", server))
            #expect(error.kind == .nameResolution)
            #expect(error.sent == .never)
            #expect(error.isRetriable && !error.isGlobalFault)
        }
    }

    @Test func `a name server that never answers holds nobody else`() async throws {
        let release = Latch()
        try await with(lookUp: { _ in
            _ = release.wait(until: MonotonicClock.system.now() + .seconds(30))
            return .failure("late")
        }) { client, server in
            async let stuck = failure(client, request("plaid.invalid", server, connect: .milliseconds(400)))
            for _ in 0..<5 {
                let status = try await client.send(request("127.0.0.1", server)).status
                #expect(status == 200)
            }
            let error = try await stuck
            #expect(error.kind == .nameResolution)
            #expect(error.sent == .never)
            release.open()
        }
    }

    @Test func `after a refused connection the name is looked up again, and the new address used`() async throws {
        let count = Locked(0)
        let asked = Signal()
        try await with(lookUp: { _ in
            let turn = count.withLock { count in
                count += 1
                return count
            }
            if turn == 2 { asked.give() }
            return .addresses([turn == 1 ? "127.0.0.2" : "127.0.0.1"])
        }) { client, server in
            let request = request("plaid.invalid", server)
            let error = try await failure(client, request)
            #expect(error.kind == .connect)
            try await asked.wait("the second look-up")
            try await eventually("the new address") { count.withLock { $0 } >= 2 }
            // The news reaches the loop with the next turn; a request that is a turn too early is refused again.
            var status: Int?
            for _ in 0..<20 where status == nil { status = try? await client.send(request).status }
            #expect(status == 200)
        }
    }

    @Test func `a client does not collect hosts without end`() async throws {
        try await with(lookUp: { _ in .addresses(["127.0.0.1"]) }) { client, server in
            for index in 0..<NameResolver.maxHosts {
                let status = try await client.send(request("host\(index).invalid", server)).status
                #expect(status == 200)
            }
            let error = try await failure(client, request("one-too-many.invalid", server))
            #expect(error.kind == .invalidRequest)
        }
    }

    @Test func `the system's resolver knows localhost`() {
        guard case .addresses(let list) = NameResolver.systemLookUp("localhost") else {
            Issue.record("localhost has no address")
            return
        }
        #expect(list.contains("127.0.0.1") || list.contains("[::1]"))
    }

    @Test func `the system's resolver says so when there is no such name`() {
        guard case .failure = NameResolver.systemLookUp("no-such-name.invalid") else {
            Issue.record("a name under .invalid has an address")
            return
        }
    }

    @Test func `proxy variables and netrc are not obeyed`() async throws {
        await #expect(processExitsWith: .success) {
            let server = try ScriptedServer(NameResolutionTests.echo)
            for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
                setenv(name, "http://127.0.0.1:1", 1)
            }
            let home = "/tmp/check-pipeline-netrc-\(getpid())"
            mkdir(home, 0o700)
            let file = fopen("\(home)/.netrc", "w")
            fputs("machine 127.0.0.1 login somebody password something\n", file)
            fclose(file)
            setenv("HOME", home, 1)
            let client = try HTTPClient(settings: HTTPClientSettings(maxInFlight: 1, allowsPlainHTTP: true))
            let response = try await client.send(HTTPClientRequest(url: server.url, isRepeatable: true))
            let hasCredentials = server.requests.contains { $0.header("Authorization") != nil }
            unlink("\(home)/.netrc")
            rmdir(home)
            exit(response.status == 200 && !hasCredentials ? 0 : 1)
        }
    }
}
