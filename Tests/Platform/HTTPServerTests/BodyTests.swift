// Bodies over real sockets: limits in both forms, what is read off, 100-continue, shared memory of large ones.

import Basics
import HTTPServer
import Testing

@Suite struct BodyTests {
    private static let limit = 100_000

    private static func chunked(_ body: [UInt8], size: Int = 1_000) -> [UInt8] {
        var bytes = Array("POST /hook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
        var rest = body[...]
        while !rest.isEmpty {
            let chunk = rest.prefix(size)
            bytes += Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + [13, 10]
            rest = rest.dropFirst(size)
        }
        return bytes + Array("0\r\n\r\n".utf8)
    }

    private static func sized(_ body: [UInt8], headers: String = "") -> [UInt8] {
        Array("POST /hook HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.count)\r\n\(headers)\r\n".utf8) + body
    }

    private static func bytes(_ count: Int) -> [UInt8] {
        var random = SeededGenerator(seed: UInt64(count))
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    @Test(arguments: [0, 1, 2, 4_095, 4_096, 32_767, 32_768, 32_769, 99_999, 100_000])
    func `hands over bodies up to the limit byte for byte`(_ count: Int) async throws {
        let body = Self.bytes(count)
        let service = HookService(bodyLimit: Self.limit)
        try await withServer(service) { server in
            let client = try server.client()
            client.send(Self.sized(body))
            #expect(try client.answer().status == 200)
            client.send(Self.chunked(body))
            #expect(try client.answer().status == 200)
            #expect(server.metrics.largeBodyBytes == 0)
        }
        #expect(service.served.map(\.body) == [body, body])
    }

    @Test func `leaves readable zeros after a body`() async throws {
        let service = HookService { request, _ in
            let padding = request.body.withUnsafeBytes { bytes in
                [UInt8](UnsafeRawBufferPointer(start: bytes.baseAddress! + bytes.count, count: Bytes.ownPadding))
            }
            return .answer(.empty(padding == [UInt8](repeating: 0, count: Bytes.ownPadding) ? 200 : 500))
        }
        try await withServer(service) { server in
            let client = try server.client()
            for body in ["", "x", String(repeating: "y", count: 1_000)] {
                client.send(post("/hook", body))
                #expect(try client.answer().status == 200)
            }
        }
    }

    @Test(arguments: [100_001, 150_000, 400_000])
    func `reads off a body that is somewhat too long, then answers 413`(_ count: Int) async throws {
        let service = HookService(bodyLimit: Self.limit)
        let (answers, metrics) = try await withServer(service) { server in
            var answers: [RawAnswer] = []
            for request in [Self.sized(Self.bytes(count)), Self.chunked(Self.bytes(count))] {
                let client = try server.client()
                #expect(client.send(request + Array(post("/second").utf8)))
                try answers += client.answersUntilClosed()
            }
            return (answers, server.metrics)
        }
        #expect(answers.map(\.status) == [413, 413])
        #expect(answers.allSatisfy { $0.closes })
        #expect(service.served == [])
        #expect(metrics.oversizedBodies == 2)
        #expect(metrics.largeBodyBytes == 0)
    }

    @Test func `answers 413 at once when an absurd length is announced`() async throws {
        let answers = try await withServer(HookService(bodyLimit: Self.limit)) { server in
            let client = try server.client()
            client.send("POST /hook HTTP/1.1\r\nHost: a\r\nContent-Length: 400001\r\n\r\n")
            return try client.answersUntilClosed()
        }
        #expect(answers.map(\.status) == [413])
    }

    @Test func `cuts a chunked body without end`() async throws {
        let (answers, metrics) = try await withServer(HookService(bodyLimit: Self.limit)) { server in
            let client = try server.client()
            client.send("POST /hook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            let chunk = Array("400\r\n".utf8) + [UInt8](repeating: 7, count: 1_024) + [13, 10]
            var sent = 0
            while sent < 100_000, client.send(chunk) { sent += 1 }
            #expect(sent < 100_000)
            return try (client.answersUntilClosed(), server.metrics { $0.openConnections == 0 })
        }
        #expect(answers == [])
        #expect(metrics.oversizedBodies == 1)
        #expect(metrics.unfinishedRequests == 1)
    }

    @Test func `takes a body in very small chunks`() async throws {
        let body = Self.bytes(20_000)
        let service = HookService(bodyLimit: Self.limit)
        try await withServer(service) { server in
            let client = try server.client()
            client.send(Self.chunked(body, size: 1))
            #expect(try client.answer().status == 200)
        }
        #expect(service.served.map(\.body) == [body])
    }

    @Test func `asks for the body with 100 Continue`() async throws {
        let service = HookService()
        let answers = try await withServer(service) { server in
            let client = try server.client()
            client.send("POST /hook HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n")
            let interim = try client.answer()
            client.send("{}")
            return try [interim, client.answer()]
        }
        #expect(answers.map(\.status) == [100, 200])
        #expect(service.served.map(\.body) == [Array("{}".utf8)])
    }

    @Test(arguments: [
        ("/hook", 100_001, "", 413), ("/other", 2, "", 404), ("/hook", 2, "Content-Encoding: gzip\r\n", 415),
    ])
    func `spares a body that is announced with Expect`(_ path: String, _ length: Int, _ field: String, _ status: Int)
        async throws
    {
        let answers = try await withServer(HookService(bodyLimit: Self.limit)) { server in
            let client = try server.client()
            client.send(
                "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\(field)Expect: 100-continue\r\n\r\n"
            )
            return try client.answersUntilClosed()
        }
        #expect(answers.map(\.status) == [status])
    }

    @Test func `lets large bodies share their memory and small ones pass`() async throws {
        var limits = HTTPServer.Limits()
        limits.smallBodyBytes = 1_000
        limits.largeBodyBytes = 2 * 100_000
        let held = Handover<(Exchange, Bytes)>()
        let service = HookService(bodyLimit: Self.limit) { request, exchange in
            if request.body.count <= 1_000 { return .answer(.empty(200)) }
            held.put((exchange, request.body))
            return .wait(until: request.receivedMonotonic + .seconds(30), onTimeout: .empty(429))
        }
        let large = Self.sized(Self.bytes(100_000))
        let (refused, small, again, metrics) = try await withServer(service, limits) { server in
            let clients = try (0..<2).map { _ in try server.client() }
            for client in clients { client.send(large) }
            var holding = try held.take(2)
            #expect(server.metrics.largeBodyBytes == 200_000)
            let third = try server.client()
            third.send(large)
            let refused = try third.answer()
            third.send(post())
            let small = try third.answer()
            for (exchange, _) in holding { exchange.complete(.empty(200)) }
            for client in clients { #expect(try client.answer().status == 200) }
            // The memory counts until the last user lets go of it, answered or not.
            #expect(server.metrics.largeBodyBytes == 200_000)
            holding = []
            #expect(server.metrics.largeBodyBytes == 0)
            third.send(large)
            try held.take().0.complete(.empty(200))
            return try (refused, small, third.answer(), server.metrics)
        }
        #expect(refused.status == 429)
        #expect(refused.headers["retry-after"] == "1")
        #expect(!refused.closes)
        #expect(small.status == 200)
        #expect(again.status == 200)
        #expect(metrics.overloadAnswers == 1)
        #expect(metrics.largeBodyBytes == 0)
    }

    @Test func `reserves nothing for a claimed length`() async throws {
        var limits = HTTPServer.Limits()
        limits.smallBodyBytes = 1_000
        limits.largeBodyBytes = 100_000
        let metrics = try await withServer(HookService(bodyLimit: Self.limit), limits) { server in
            let claimants = try (0..<20).map { _ in try server.client() }
            for client in claimants {
                client.send("POST /hook HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\nx")
            }
            let metrics = server.metrics { $0.inHand == 20 }
            let honest = try server.client()
            honest.send(Self.sized(Self.bytes(90_000)))
            #expect(try honest.answer().status == 200)
            return metrics
        }
        #expect(metrics.inHand == 20)
        #expect(metrics.largeBodyBytes == 0)
    }
}
