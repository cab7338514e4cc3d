// What the calls need of an HTTP client, small enough for tests to play it.

package import HTTPClient

/// Sends one request to Plaid and hands over its complete answer, whatever its status.
package protocol PlaidTransport: Sendable {
    func send(_ request: HTTPClientRequest) async throws(HTTPClientError) -> HTTPClientResponse

    /// For callers without a task. `completion` is called exactly once, on any thread, and must not block.
    func begin(
        _ request: HTTPClientRequest,
        completion: @escaping @Sendable (Result<HTTPClientResponse, HTTPClientError>) -> Void
    )
}

extension HTTPClient: PlaidTransport {
    package func begin(
        _ request: HTTPClientRequest,
        completion: @escaping @Sendable (Result<HTTPClientResponse, HTTPClientError>) -> Void
    ) {
        send(request, completion: completion)
    }
}
