import Basics
import Testing

@testable import WebhookReceiver

private typealias Cache = KeyCache<String, Int>

private let start = MonotonicInstant(nanoseconds: 1_000_000_000)

extension KeyCache.Lookup where Key == String {
    fileprivate var text: String {
        switch self {
        case .known(let key, let recheck): recheck ? "known \(key), recheck" : "known \(key)"
        case .unknown: "unknown"
        case .waiting(let fetch): fetch ? "fetch" : "wait"
        case .exhausted: "exhausted"
        }
    }
}

extension KeyCache.Outcome where Key == String {
    fileprivate var text: String {
        switch self {
        case .key(let key): "key \(key)"
        case .unknown: "unknown"
        case .undecided: "undecided"
        }
    }
}

@Suite struct KeyCacheTests {
    @Test func `the first to ask fetches, the others wait, and all are told`() {
        var cache = Cache()
        #expect(cache.lookUp("a", waiter: 1, at: start).text == "fetch")
        #expect(cache.lookUp("a", waiter: 2, at: start).text == "wait")
        let (outcome, waiters) = cache.fetched("a", .key("A"), at: start)
        #expect(outcome.text == "key A")
        #expect(waiters == [1, 2])
        #expect(cache.lookUp("a", waiter: 3, at: start).text == "known A")
        #expect(cache.fetchCount == 0)
    }

    @Test func `a failed fetch is undecided, and the next webhook asks again`() {
        var cache = Cache()
        _ = cache.lookUp("a", waiter: 1, at: start)
        #expect(cache.fetched("a", .failed, at: start).0.text == "undecided")
        #expect(cache.lookUp("a", waiter: 2, at: start).text == "fetch")
    }

    @Test func `an id that does not exist is believed for a minute`() {
        var cache = Cache()
        _ = cache.lookUp("a", waiter: 1, at: start)
        #expect(cache.fetched("a", .noSuchKey, at: start).0.text == "unknown")
        #expect(cache.lookUp("a", waiter: 2, at: start + .seconds(59)).text == "unknown")
        #expect(cache.lookUp("a", waiter: 2, at: start + .seconds(60)).text == "fetch")
    }

    @Test func `a key in use is asked for again every ten minutes, once at a time`() {
        var cache = Cache()
        _ = cache.lookUp("a", waiter: 1, at: start)
        _ = cache.fetched("a", .key("A"), at: start)
        #expect(cache.lookUp("a", waiter: 2, at: start + .seconds(599)).text == "known A")
        #expect(cache.lookUp("a", waiter: 2, at: start + .seconds(600)).text == "known A, recheck")
        #expect(cache.lookUp("a", waiter: 2, at: start + .seconds(601)).text == "known A")
        _ = cache.fetched("a", .key("A2"), at: start + .seconds(602))
        #expect(cache.lookUp("a", waiter: 2, at: start + .seconds(603)).text == "known A2")
    }

    @Test func `a key outlives an outage of a day and no longer`() {
        var cache = Cache()
        _ = cache.lookUp("a", waiter: 1, at: start)
        _ = cache.fetched("a", .key("A"), at: start)
        var now = start
        while now < start + .seconds(24 * 3_600 - 60) {
            now = now + .seconds(60)
            if cache.lookUp("a", waiter: 2, at: now).text == "known A, recheck" {
                _ = cache.fetched("a", .failed, at: now)
            }
        }
        #expect(cache.lookUp("a", waiter: 3, at: start + .seconds(24 * 3_600 - 1)).text.hasPrefix("known A"))
        _ = cache.fetched("a", .failed, at: start + .seconds(24 * 3_600 - 1))
        #expect(cache.lookUp("a", waiter: 3, at: start + .seconds(24 * 3_600)).text == "fetch")
    }

    @Test func `a key that Plaid no longer knows is gone at once`() {
        var cache = Cache()
        _ = cache.lookUp("a", waiter: 1, at: start)
        _ = cache.fetched("a", .key("A"), at: start)
        _ = cache.lookUp("a", waiter: 2, at: start + .seconds(600))
        _ = cache.fetched("a", .noSuchKey, at: start + .seconds(600))
        #expect(cache.lookUp("a", waiter: 3, at: start + .seconds(601)).text == "unknown")
    }

    @Test func `a flood of ten thousand ids costs at most twenty look-ups in a minute and evicts no good key`() {
        var cache = Cache()
        _ = cache.lookUp("good", waiter: 0, at: start)
        _ = cache.fetched("good", .key("G"), at: start)
        var lookups = 0
        for number in 0..<10_000 {
            let now = start + .milliseconds(Int64(number) * 6)
            if cache.lookUp("flood-\(number)", waiter: number, at: now).text == "fetch" {
                lookups += 1
                _ = cache.fetched("flood-\(number)", .noSuchKey, at: now)
            }
            #expect(cache.lookUp("good", waiter: -1, at: now).text == "known G")
        }
        #expect(lookups <= 20)
        #expect(lookups >= 10)
    }

    @Test func `with the budget spent an unknown id is undecided, never unknown`() {
        var cache = Cache()
        for number in 0..<10 { _ = cache.lookUp("\(number)", waiter: number, at: start) }
        #expect(cache.lookUp("another", waiter: 11, at: start).text == "exhausted")
        #expect(cache.lookUp("another", waiter: 11, at: start + .seconds(6)).text == "fetch")
    }

    @Test func `memory stays inside its bounds under any sequence`() {
        var limits = Cache.Limits()
        limits.keys = 4
        limits.unknownIDs = 8
        limits.waitersPerFetch = 3
        limits.lookupBurst = 1_000_000
        var cache = Cache(limits: limits)
        var random = SeededGenerator(seed: 11)
        var now = start
        var waiting: [String: Int] = [:]
        for step in 0..<50_000 {
            let id = "k\(Int.random(in: 0..<40, using: &random))"
            now = now + .milliseconds(.random(in: 0..<2_000, using: &random))
            switch cache.lookUp(id, waiter: step, at: now) {
            case .waiting: waiting[id, default: 0] += 1
            case .exhausted: #expect(waiting[id, default: 0] >= 3)
            case .known, .unknown: break
            }
            if Bool.random(using: &random) {
                let answer = [Cache.Answer.key(id), .noSuchKey, .failed].randomElement(using: &random)!
                let (_, waiters) = cache.fetched(id, answer, at: now)
                #expect(waiters.count == waiting.removeValue(forKey: id) ?? 0)
            }
            #expect(cache.keyCount <= 4)
            #expect(cache.unknownCount <= 8)
        }
    }
}
