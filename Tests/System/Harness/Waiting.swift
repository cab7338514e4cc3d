// Waiting for what other processes do.

import Basics
import Glibc

struct TimedOut: Error, CustomStringConvertible {
    let description: String
}

func soon(_ limit: Duration) -> MonotonicInstant { MonotonicClock.system.now() + limit }

/// Looks at a remote state again and again until it is as wanted: for states that nobody announces to us, such as the
/// number of rows in a database. The only place of these tests that looks more than once.
///
/// - Parameter look: nil for "not yet"; an error means the same, and is told when the time is up.
@discardableResult
func eventually<Value>(
    _ what: String,
    within limit: Duration = .seconds(60),
    every gap: Duration = .milliseconds(100),
    _ look: () async throws -> Value?
) async throws -> Value {
    let deadline = soon(limit)
    while true {
        var trouble: (any Error)?
        do { if let value = try await look() { return value } } catch { trouble = error }
        guard MonotonicClock.system.now() < deadline else {
            throw TimedOut(description: "\(what): not within \(limit)" + (trouble.map { "; at last: \($0)" } ?? ""))
        }
        try await TimerQueue.shared.sleep(until: soon(gap))
    }
}

/// How long something took.
func measured<Value>(_ body: () async throws -> Value) async rethrows -> (value: Value, took: Duration) {
    let start = MonotonicClock.system.now()
    let value = try await body()
    return (value, MonotonicClock.system.now() - start)
}

/// Runs a blocking call away from the shared pool.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    let promise = Promise<Value>()
    _ = WorkerThread(name: "test") { promise.resolve(Result { try body() }) }
    return try await promise.value()
}

/// Runs `body` for each element, at most `width` at once; the results in the elements' order.
func forEach<Element: Sendable, Value: Sendable>(
    _ elements: [Element],
    atOnce width: Int,
    _ body: @escaping @Sendable (Element) async throws -> Value
) async throws -> [Value] {
    try await withThrowingTaskGroup(of: (Int, Value).self) { group in
        var results = [Value?](repeating: nil, count: elements.count)
        var next = 0
        func start() {
            guard next < elements.count else { return }
            let (index, element) = (next, elements[next])
            next += 1
            group.addTask { (index, try await body(element)) }
        }
        for _ in 0..<width { start() }
        while let (index, value) = try await group.next() {
            results[index] = value
            start()
        }
        return results.compactMap { $0 }
    }
}
