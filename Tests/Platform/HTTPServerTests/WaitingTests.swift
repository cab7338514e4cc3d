// Requests whose answer comes later, from another thread, too late, or never.

import Basics
import HTTPServer
import Testing

@Suite struct WaitingTests {
    private static func waiting(
        _ exchanges: Handover<Exchange>,
        for limit: Duration = .seconds(10)
    ) -> HookService {
        HookService { request, exchange in
            exchanges.put(exchange)
            return .wait(until: request.receivedMonotonic + limit, onTimeout: .empty(429, retryAfter: 3))
        }
    }

    @Test func `is answered by another thread`() async throws {
        let exchanges = Handover<Exchange>()
        let (answer, metrics) = try await withServer(Self.waiting(exchanges)) { server in
            let client = try server.client()
            client.send(post())
            let exchange = try exchanges.take()
            #expect(exchange.complete(.text(200, "stored")))
            #expect(!exchange.complete(.empty(500)))
            return try (client.answer(), server.metrics { $0.inHand == 0 })
        }
        #expect(answer.status == 200)
        #expect(answer.text == "stored")
        #expect(!answer.closes)
        #expect(metrics.lateCompletions == 1)
        #expect(metrics.waiting == 0)
    }

    @Test func `may be answered before the service has said that it waits`() async throws {
        let service = HookService { request, exchange in
            #expect(exchange.complete(.empty(200)))
            return .wait(until: request.receivedMonotonic + .seconds(10), onTimeout: .empty(429))
        }
        try await withServer(service) { server in
            let client = try server.client()
            for _ in 0..<20 {
                client.send(post())
                #expect(try client.answer().status == 200)
            }
        }
    }

    @Test func `tells a completion that came after the timeout that it is late`() async throws {
        let exchanges = Handover<Exchange>()
        let service = Self.waiting(exchanges, for: .milliseconds(50))
        let (answers, metrics) = try await withServer(service) { server in
            let client = try server.client()
            client.send(post())
            let first = try client.answer()
            let exchange = try exchanges.take()
            #expect(!exchange.complete(.empty(200)))
            // The same connection waits again: the late answer of the first must not reach the second.
            client.send(post())
            let next = try exchanges.take()
            #expect(!exchange.complete(.empty(200)))
            #expect(next.complete(.empty(204)))
            return try ([first, client.answer()], server.metrics)
        }
        #expect(answers.map(\.status) == [429, 204])
        #expect(answers[0].headers["retry-after"] == "3")
        #expect(metrics.lateCompletions == 2)
        #expect(metrics.deadlineHits == [.wait: 1])
        #expect(service.abandoned.count == 1)
    }

    @Test func `has one winner when answers and timeouts race`() async throws {
        let exchanges = Handover<Exchange>()
        let service = Self.waiting(exchanges, for: .milliseconds(1))
        let rounds = 300
        let (statuses, wins, metrics) = try await withServer(service) { server in
            let winner = Handover<Bool>()
            let completer = WorkerThread(name: "completer") {
                for _ in 0..<rounds {
                    guard let exchange = try? exchanges.take() else { return }
                    winner.put(exchange.complete(.empty(200)))
                }
            }
            defer { completer.join() }
            let client = try server.client()
            var statuses: [Int] = []
            for _ in 0..<rounds {
                client.send(post())
                try statuses.append(client.answer().status)
            }
            return try (statuses, winner.take(rounds), server.metrics)
        }
        #expect(statuses.filter { $0 == 200 }.count == wins.filter { $0 }.count)
        #expect(Set(statuses).isSubset(of: [200, 429]))
        #expect(statuses.filter { $0 == 429 }.count == metrics.deadlineHits[.wait] ?? 0)
        #expect(metrics.lateCompletions == wins.filter { !$0 }.count)
    }

    @Test func `keeps the order of pipelined requests behind one that waits`() async throws {
        let exchanges = Handover<Exchange>()
        let service = HookService { request, exchange in
            guard request.head.path == "/hook" else { return .answer(.text(200, "second")) }
            exchanges.put(exchange)
            return .wait(until: request.receivedMonotonic + .seconds(10), onTimeout: .empty(429))
        }
        let answers = try await withServer(service) { server in
            let client = try server.client()
            client.send(post() + post("/second"))
            let exchange = try exchanges.take()
            #expect(service.served.map(\.path) == ["/hook"])
            exchange.complete(.text(200, "first"))
            return try [client.answer(), client.answer()]
        }
        #expect(answers.map(\.text) == ["first", "second"])
    }

    @Test(arguments: [true, false])
    func `survives a peer that goes while it waits`(_ resets: Bool) async throws {
        let exchanges = Handover<Exchange>()
        let metrics = try await withServer(Self.waiting(exchanges)) { server in
            for _ in 0..<20 {
                let client = try server.client()
                client.send(post())
                let exchange = try exchanges.take()
                if resets { client.reset() } else { client.finishSending() }
                #expect(exchange.complete(.empty(200)))
                // Who only closed his half still gets the answer.
                if !resets { #expect(try client.answer().status == 200) }
            }
            return server.metrics { $0.openConnections == 0 }
        }
        #expect(metrics.openConnections == 0)
        #expect(metrics.inHand == 0)
        #expect(metrics.waiting == 0)
    }

    @Test func `refuses at once what would wait beyond the bound`() async throws {
        var limits = HTTPServer.Limits()
        limits.maxWaiting = 3
        limits.overloadAnswer = .empty(429, retryAfter: 7)
        let exchanges = Handover<Exchange>()
        let service = Self.waiting(exchanges)
        let (refused, others, metrics) = try await withServer(service, limits) { server in
            let clients = try (0..<3).map { _ in try server.client() }
            for client in clients { client.send(post()) }
            let waiting = try exchanges.take(3)
            let late = try server.client()
            late.send(post())
            let refused = try late.answer()
            for exchange in waiting { exchange.complete(.empty(200)) }
            var others = try clients.map { try $0.answer().status }
            // Room again, also for the one that was refused, on the same connection.
            late.send(post())
            try exchanges.take().complete(.empty(200))
            try others.append(late.answer().status)
            return (refused, others, server.metrics)
        }
        #expect(refused.status == 429)
        #expect(refused.headers["retry-after"] == "7")
        #expect(others == [200, 200, 200, 200])
        #expect(service.served.count == 4)
        #expect(metrics.overloadAnswers == 1)
    }

    @Test func `holds hundreds of requests at once`() async throws {
        let exchanges = Handover<Exchange>()
        let count = 300
        let metrics = try await withServer(Self.waiting(exchanges, for: .seconds(60))) { server in
            let clients = try (0..<count).map { _ in try server.client(patience: .seconds(30)) }
            for client in clients { client.send(post()) }
            let waiting = try exchanges.take(count, within: .seconds(30))
            #expect(server.metrics.waiting == count)
            for exchange in waiting.reversed() { #expect(exchange.complete(.empty(200))) }
            for client in clients { #expect(try client.answer().status == 200) }
            return server.metrics
        }
        #expect(metrics.waiting == 0)
        #expect(metrics.lateCompletions == 0)
    }
}
