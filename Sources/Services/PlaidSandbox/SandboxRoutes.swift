// The sandbox as routes: Plaid's paths, each with its request id and its error answers.

import Basics
import Cryptography
import HTTPServer
import JSON

extension Sandbox {
    /// A body of 12 MB may take a while where many are asked for at once.
    static let answerLimit = Duration.seconds(170)
    /// Every consumer may have its 256 requests in flight.
    static let mostCalls = 1_000

    func router() -> Router {
        let notFound = PlaidRefusal("INVALID_REQUEST", "NOT_FOUND", "the requested path does not exist", status: 404)
        return Router(
            routes: endpoints.map(route),
            notFound: .json(404, notFound.body(requestID: "none")),
            maxAsync: Self.mostCalls,
            clock: clock
        )
    }

    private func route(_ endpoint: Endpoint) -> Route {
        Route(
            .post,
            endpoint.path,
            bodyLimit: Endpoint.bodyLimit,
            handler: .async(timeout: Self.answerLimit) { [self] request in
                await answer(request, endpoint)
            }
        )
    }

    private func answer(_ request: Request, _ endpoint: Endpoint) async -> Response {
        let requestID = Self.requestID()
        do {
            let call = try endpoint.call(request, credentials: settings.credentials, requestID: requestID)
            switch try await endpoint.handler(call) {
            case .json(let body, let status):
                return Response(status: status, headers: Self.headers(requestID), body: body)
            case .report(let bytes):
                return Response(status: 200, headers: Self.headers(requestID), bytes: bytes)
            }
        } catch {
            let refusal = error as? PlaidRefusal ?? .internalError("unexpected: \(error)")
            return Response(
                status: refusal.status,
                headers: Self.headers(requestID),
                body: refusal.body(requestID: requestID)
            )
        }
    }

    private static func headers(_ requestID: String) -> [(String, String)] {
        [("Content-Type", "application/json"), ("Plaid-Request-ID", requestID)]
    }

    private static func requestID() -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
        return String(secureRandom(count: 15).map { alphabet[Int($0) % alphabet.count] })
    }
}
