// What stands in for Plaid's key service and for Kafka: answers at once, fails, or keeps everybody waiting.

import Basics
import Cryptography
import HTTPClient
import JSON
import PlaidAPI

@testable import Kafka
@testable import WebhookReceiver

struct TestFailure: Error, CustomStringConvertible {
    let description: String
}

/// Waits for a promise, but not longer than `limit`.
func within<Value: Sendable>(_ limit: Duration, _ what: String, _ promise: Promise<Value>) async throws -> Value {
    let token = TimerQueue.shared.schedule(at: MonotonicClock.system.now() + limit) {
        promise.resolve(.failure(TestFailure(description: "waited \(limit) for \(what)")))
    }
    defer { TimerQueue.shared.cancel(token) }
    return try await promise.value()
}

/// Things that come one after another and are taken one after another; every wait has a deadline.
final class Arrivals<Element: Sendable>: Sendable {
    private let state = Locked<(elements: [Element], waiter: Promise<Element>?)>(([], nil))

    func add(_ element: Element) {
        let waiter = state.withLock { state -> Promise<Element>? in
            if let waiter = state.waiter {
                state.waiter = nil
                return waiter
            }
            state.elements.append(element)
            return nil
        }
        waiter?.resolve(.success(element))
    }

    func next(_ what: String) async throws -> Element {
        let promise = Promise<Element>()
        state.withLock { state in
            if state.elements.isEmpty {
                state.waiter = promise
            } else {
                promise.resolve(.success(state.elements.removeFirst()))
            }
        }
        return try await within(.seconds(20), what, promise)
    }
}

/// Plaid's key service.
final class ScriptedKeys: PlaidTransport {
    enum Script: Sendable {
        case key(x: String, y: String, expiredAt: Int64? = nil, use: String = "sig")
        case unknown
        case broken
        case unreachable
        /// The completion is handed to ``held``.
        case held

        static func key(_ signer: Signer, expiredAt: Int64? = nil, use: String = "sig") -> Script {
            .key(
                x: Base64URL.encode(signer.pair.publicX),
                y: Base64URL.encode(signer.pair.publicY),
                expiredAt: expiredAt,
                use: use
            )
        }
    }
    typealias Result = Swift.Result<HTTPClientResponse, HTTPClientError>

    private struct State {
        var scripts: [String: Script] = [:]
        var standard = Script.unknown
        var asked: [String] = []
        var date: Timestamp?
    }
    private let state = Locked(State())
    let held = Arrivals<@Sendable (Script) -> Void>()

    /// The ids asked for, in order.
    var asked: [String] { state.withLock { $0.asked } }
    /// What Plaid's clock shows in every answer.
    func set(date: Timestamp?) { state.withLock { $0.date = date } }
    func set(_ id: String, _ script: Script) { state.withLock { $0.scripts[id] = script } }
    func setEverything(_ script: Script) {
        state.withLock { state in
            state.scripts = [:]
            state.standard = script
        }
    }

    func send(_ request: HTTPClientRequest) async throws(HTTPClientError) -> HTTPClientResponse {
        throw HTTPClientError(.connect, message: "nobody calls this way")
    }

    func begin(_ request: HTTPClientRequest, completion: @escaping @Sendable (Result) -> Void) {
        let id = (try? JSON.parse(request.body))?["key_id"]?.stringValue ?? ""
        let (script, date) = state.withLock { state in
            state.asked.append(id)
            return (state.scripts[id] ?? state.standard, state.date)
        }
        if case .held = script {
            held.add { completion(Self.answer(to: id, $0, date)) }
        } else {
            completion(Self.answer(to: id, script, date))
        }
    }

    private static func answer(to id: String, _ script: Script, _ date: Timestamp?) -> Result {
        switch script {
        case .key(let x, let y, let expiredAt, let use):
            let expiry = expiredAt.map { "\($0)" } ?? "null"
            return answer(
                200,
                #"{"key":{"alg":"ES256","created_at":1600000000,"crv":"P-256","expired_at":\#(expiry),"kid":"\#(id)","#
                    + #""kty":"EC","use":"\#(use)","x":"\#(x)","y":"\#(y)"},"request_id":"r1"}"#,
                date
            )
        case .unknown:
            return answer(
                400,
                #"{"error_type":"INVALID_INPUT","error_code":"\#(PlaidErrorTable.unknownKeyCode)","#
                    + #""error_message":"words","display_message":null,"request_id":"r1"}"#,
                date
            )
        case .broken: return answer(500, "<html>", date)
        case .unreachable, .held: return .failure(HTTPClientError(.connect, message: "refused"))
        }
    }

    private static func answer(_ status: Int, _ body: String, _ date: Timestamp?) -> Result {
        .success(
            HTTPClientResponse(
                status: status,
                body: Bytes(utf8: body),
                headers: [(name: "content-type", value: "application/json")],
                date: date
            )
        )
    }
}

/// Kafka.
final class ScriptedSink: WebhookSink {
    enum Mode: Sendable { case deliver, fail(KafkaError), hold }
    typealias Completion = @Sendable (Result<Delivery, KafkaError>) -> Void

    private let state = Locked<(mode: Mode, records: [ProducerRecord])>((.deliver, []))
    /// Completions of records that are held.
    let held = Arrivals<Completion>()

    var records: [ProducerRecord] { state.withLock { $0.records } }
    func set(_ mode: Mode) { state.withLock { $0.mode = mode } }

    func send(_ record: ProducerRecord, completion: @escaping Completion) {
        let mode = state.withLock { state in
            state.records.append(record)
            return state.mode
        }
        switch mode {
        case .deliver: completion(.success(Delivery(partition: 0, offset: 1)))
        case .fail(let error): completion(.failure(error))
        case .hold: held.add(completion)
        }
    }
}
