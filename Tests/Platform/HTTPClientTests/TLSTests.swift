// Who is talked to: verified always, and faults of the way told from faults of the request.

import Basics
import HTTPClient
import TestSupport
import Testing

@Suite struct TLSTests {
    @Test func `a server with a certificate of a trusted authority is talked to, and its connection kept`() async throws
    {
        try await Fixture.with(.tls, script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            for _ in 0..<3 {
                let response = try await fixture.send()
                #expect(response.status == 200)
            }
            #expect(fixture.server.connections == 1)
        }
    }

    @Test func `a new connection continues the session of an older one`() async throws {
        try await Fixture.with(
            .tls,
            script: { visit in while visit.request() != nil { visit.answer() } }
        ) { fixture in
            _ = try await fixture.send()
            _ = try await fixture.send { $0.needsFreshConnection = true }
            #expect(fixture.server.connections == 2)
            try await fixture.front?.resumption()
        }
    }

    @Test func `a certificate of an unknown authority is a global fault, and nothing is sent`() async throws {
        let stranger = try await TestAuthority.make()
        try await Fixture.with(
            .tls,
            settings: { $0.caFile = stranger.caFile },
            script: { visit in while visit.request() != nil { visit.answer() } }
        ) { fixture in
            let error = try await fixture.failure()
            #expect(error.kind == .certificate)
            #expect(error.sent == .never)
            #expect(error.isGlobalFault)
            #expect(fixture.server.requests.isEmpty)
        }
    }

    @Test func `the system's authorities do not vouch for the test's`() async throws {
        try await Fixture.with(
            .tls,
            settings: { $0.caFile = HTTPClientSettings.defaultCAFile },
            script: { visit in while visit.request() != nil { visit.answer() } }
        ) { fixture in
            let error = try await fixture.failure()
            #expect(error.kind == .certificate)
        }
    }

    @Test func `a good certificate for another name is refused`() async throws {
        try await Fixture.with(.tls, script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            let error = try await fixture.failure {
                $0.url = fixture.url.replacingLocalhost
            }
            #expect(error.kind == .certificate)
            #expect(error.sent == .never)
        }
    }

    @Test func `a port that does not speak TLS`() async throws {
        try await Fixture.with(script: { visit in
            visit.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            visit.waitForEnd()
        }) { fixture in
            let error = try await fixture.failure { $0.url = "https://127.0.0.1:\(fixture.server.port)/" }
            #expect(error.kind == .tls)
            #expect(error.sent == .never)
            #expect(error.isGlobalFault)
        }
    }

    @Test func `a port that speaks nothing but TLS`() async throws {
        try await Fixture.with(.tls, script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            let error = try await fixture.failure {
                $0.url = fixture.url.replacingOccurrence(of: "https", with: "http").replacingLocalhost
            }
            #expect(error.sent != .never)
            #expect([.emptyAnswer, .malformedAnswer].contains(error.kind), "\(error)")
            #expect(fixture.server.requests.isEmpty)
        }
    }

    @Test func `a port where nobody listens`() async throws {
        let server = try ScriptedServer { _ in }
        let url = server.url
        try await blocking { server.stop() }
        try await Fixture.with(script: { _ in }) { fixture in
            let error = try await fixture.failure { $0.url = url }
            #expect(error.kind == .connect)
            #expect(error.sent == .never)
            #expect(!error.isGlobalFault)
            #expect(error.isRetriable)
        }
    }

    @Test(arguments: ["/nowhere/ca.pem", "/etc/passwd", "/tmp"])
    func `a CA bundle that is none stops the client's making`(_ path: String) throws {
        #expect {
            _ = try HTTPClient(settings: HTTPClientSettings(maxInFlight: 1, caFile: path))
        } throws: { error in
            let error = error as? HTTPClientError
            return error?.kind == .local && error?.code == 77
        }
    }

    @Test func `an http URL needs the setting that allows it`() async throws {
        try await Fixture.with(settings: { $0.allowsPlainHTTP = false }, script: { _ in }) { fixture in
            let error = try await fixture.failure()
            #expect(error.kind == .invalidRequest)
            #expect(fixture.server.connections == 0)
        }
    }

    @Test func `sixty connections at once, resumed and kept`() async throws {
        try await Fixture.with(.tls, script: { visit in while visit.request() != nil { visit.answer() } }) { fixture in
            for _ in 0..<3 {
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<60 { group.addTask { try await fixture.send().status } }
                    for try await status in group { #expect(status == 200) }
                }
            }
            #expect(fixture.client.metrics.answered == 180)
            #expect(fixture.server.connections <= 60)
        }
    }
}

extension String {
    var replacingLocalhost: String { replacingOccurrence(of: "localhost", with: "127.0.0.1") }

    func replacingOccurrence(of part: String, with other: String) -> String {
        guard let range = firstRange(of: part) else { return self }
        return String(self[..<range.lowerBound]) + other + String(self[range.upperBound...])
    }
}
