// The cap on an answer's body: by its declared length before a byte is kept, and by count.

import Basics
import HTTPClient
import Testing

@Suite struct SizeTests {
    enum Framing: String, CaseIterable, Sendable { case length, chunks }

    private static let block = [UInt8](repeating: 0x20, count: 64 * 1_024)

    private static func serve(_ visit: Visit, _ count: Int, _ framing: Framing) {
        guard visit.request() != nil else { return }
        switch framing {
        case .length: visit.send("HTTP/1.1 200 OK\r\nContent-Length: \(count)\r\n\r\n")
        case .chunks: visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        }
        var left = count
        while left > 0 {
            let size = min(left, block.count)
            if framing == .chunks { visit.send(String(size, radix: 16) + "\r\n") }
            guard visit.send(Array(block[..<size])) else { return }
            if framing == .chunks { visit.send("\r\n") }
            left -= size
        }
        if framing == .chunks { visit.send("0\r\n\r\n") }
        visit.waitForEnd()
    }

    @Test(arguments: Framing.allCases, [0, 1, 100_000, 300_000])
    func `a body of exactly the cap is taken`(_ framing: Framing, _ cap: Int) async throws {
        try await Fixture.with(script: { Self.serve($0, cap, framing) }) { fixture in
            let response = try await fixture.send { $0.maxResponseBytes = cap }
            #expect(response.body.count == cap)
            #expect(fixture.client.metrics.bodyBytes == cap)
        }
    }

    @Test(arguments: Framing.allCases, [0, 1, 100_000])
    func `one byte more is refused`(_ framing: Framing, _ cap: Int) async throws {
        try await Fixture.with(script: { Self.serve($0, cap + 1, framing) }) { fixture in
            let error = try await fixture.failure { $0.maxResponseBytes = cap }
            #expect(error.kind == .tooLarge)
            #expect(error.sent == .answeredInPart)
            #expect(error.status == 200)
            #expect(!error.isRetriable)
        }
    }

    @Test(arguments: Framing.allCases)
    func `the default cap is 64 MiB`(_ framing: Framing) async throws {
        try await Fixture.with(script: { Self.serve($0, 64 << 20 | 1, framing) }) { fixture in
            let error = try await fixture.failure()
            #expect(error.kind == .tooLarge)
        }
    }

    @Test(arguments: Transport.allCases, Framing.allCases)
    func `a body of 13 MB arrives whole`(_ transport: Transport, _ framing: Framing) async throws {
        let count = 13_500_001
        try await Fixture.with(transport, script: { Self.serve($0, count, framing) }) { fixture in
            let response = try await fixture.send()
            #expect(response.body.count == count)
            #expect(response.body.withUnsafeBytes { bytes in bytes.allSatisfy { $0 == 0x20 } })
        }
    }
}
