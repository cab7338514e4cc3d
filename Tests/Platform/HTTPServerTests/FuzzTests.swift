// Mutated requests over real sockets: the server answers or closes, never hangs, never serves what was not sent whole,
// and serves the next client as if nothing had been.

import Basics
import HTTPServer
import Testing

@Suite struct FuzzTests {
    private static let seeds: [[UInt8]] =
        (HostileRequestTests.refused + HostileRequestTests.lastOnes + HostileRequestTests.plain)
        .map(\.bytes).filter { $0.count < 4_096 }

    private static let snippets: [[UInt8]] = [
        "\r\n", "\n", "\r", "\0", " ", ":", "\t", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n",
        "Host: b\r\n",
        "0\r\n\r\n", "5\r\nabcde\r\n", "HTTP/1.0", "Expect: 100-continue\r\n", "Connection: close\r\n", "ffffffff",
        "POST /hook HTTP/1.1\r\n", "Connection: Keep-Alive\r\n",
    ].map { Array($0.utf8) }

    private static func mutated(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            let at = Int.random(in: 0...bytes.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
            case 1 where at < bytes.count: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 2 where at < bytes.count: bytes.remove(at: at)
            case 3: bytes.insert(contentsOf: snippets.randomElement(using: &random) ?? [], at: at)
            case 4:
                let end = Int.random(in: at...bytes.count, using: &random)
                bytes.insert(contentsOf: bytes[at..<end].prefix(200), at: at)
            default: bytes.removeSubrange(at..<min(bytes.count, at + 8))
            }
        }
        return bytes
    }

    @Test(arguments: 1...4)
    func `survives mutated requests`(_ seed: UInt64) async throws {
        let exchanges = Handover<Exchange>()
        // Every other request waits and is answered by another thread.
        let service = HookService { request, exchange in
            guard exchange.serial.isMultiple(of: 2) else { return .answer(.empty(200)) }
            exchanges.put(exchange)
            return .wait(until: request.receivedMonotonic + .seconds(20), onTimeout: .empty(429))
        }
        var limits = HTTPServer.Limits()
        limits.firstTimeout = .milliseconds(200)
        limits.headTimeout = .milliseconds(200)
        limits.bodyTimeout = .milliseconds(200)
        limits.idleTimeout = .milliseconds(200)
        let rounds = 500
        let metrics = try await withServer(service, limits) { server in
            let done = Latch()
            let completer = WorkerThread(name: "completer") {
                while !done.isOpen {
                    if let exchange = try? exchanges.take(within: .milliseconds(20)) { exchange.complete(.empty(200)) }
                }
            }
            defer {
                done.open()
                completer.join()
            }
            var random = SeededGenerator(seed: seed)
            for _ in 0..<rounds {
                let client = try server.client()
                client.send(Self.mutated(Self.seeds.randomElement(using: &random) ?? [], &random))
                client.finishSending()
                #expect(client.closes(within: .seconds(10)))
            }
            let honest = try server.client()
            honest.send(post())
            #expect(try honest.answer().status == 200)
            return server.metrics { $0.openConnections == 1 && $0.inHand == 0 }
        }
        #expect(metrics.acceptedConnections == rounds + 1)
        #expect(metrics.openConnections == 1)
        #expect(metrics.inHand == 0)
        #expect(metrics.waiting == 0)
        #expect(metrics.lateCompletions == 0)
        #expect(metrics.largeBodyBytes == 0)
    }
}
