// HTTP for tests: small calls to programs on loopback.

import Basics
import HTTPClient
import JSON

final class TestHTTP: Sendable {
    struct Refused: Error, CustomStringConvertible {
        let description: String
    }

    static let shared = TestHTTP()

    private let client: HTTPClient

    private init() {
        HTTPClientLibrary.globalInit()
        do {
            client = try HTTPClient(settings: HTTPClientSettings(maxInFlight: 128, allowsPlainHTTP: true))
        } catch {
            preconditionFailure("no HTTP client: \(error)")
        }
    }

    func get(_ url: String) async throws -> HTTPClientResponse {
        try await client.send(
            HTTPClientRequest(method: "GET", url: url, timeouts: Self.timeouts, isRepeatable: true)
        )
    }

    func send(
        _ method: String = "POST",
        _ url: String,
        _ body: [UInt8],
        headers: [(name: String, value: HeaderValue)] = []
    ) async throws -> HTTPClientResponse {
        try await client.send(
            HTTPClientRequest(
                method: method,
                url: url,
                headers: [("Content-Type", "application/json")] + headers,
                body: body,
                timeouts: Self.timeouts,
                isRepeatable: false
            )
        )
    }

    /// Sends JSON and reads JSON; any status but 200 is an error that shows the answer.
    @discardableResult
    func json(
        _ method: String = "POST",
        _ url: String,
        _ body: JSONValue? = nil,
        headers: [(name: String, value: HeaderValue)] = []
    ) async throws -> JSONValue {
        let answer = try await send(method, url, body?.serialized(pretty: false) ?? [], headers: headers)
        guard (200..<300).contains(answer.status) else {
            throw Refused(description: "\(method) \(url): \(answer.status) \(answer.body.string() ?? "")")
        }
        return answer.body.isEmpty ? .null : try JSON.parse(answer.body)
    }

    /// Generous: two busy cores.
    private static let timeouts = HTTPTimeouts(
        connect: .seconds(5),
        firstByte: .seconds(30),
        stall: .seconds(30),
        whole: .seconds(60)
    )
}
