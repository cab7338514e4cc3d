// The sandbox as routes: Plaid's paths, each with its request id and its error answers.

import Basics
import Cryptography
import HTTPServer
import JSON
import PlaidAPI

extension Sandbox {
    /// A body of 12 MB may take a while where many are asked for at once.
    static let answerLimit = Duration.seconds(170)
    /// Every consumer may have its 256 requests in flight.
    static let mostCalls = 1_000

    func router() -> Router {
        let notFound = PlaidRefusal("INVALID_REQUEST", "NOT_FOUND", "the requested path does not exist", status: 404)
        return Router(
            routes: (endpoints + linkEndpoints).map(route) + leverRoutes,
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
            let userID = world.withLock { $0.userID(of: call) }
            let fault = faults.withLock {
                $0.meet(path: endpoint.path, userID: userID, product: endpoint.product?.rawValue)
            }
            if fault.latency > .zero { try await timers.sleep(until: clock.now() + fault.latency) }
            if let early = Self.early(fault.answer, requestID) { return early }
            switch try await endpoint.handler(call) {
            case .json(let body, let status):
                let response = Response(status: status, headers: Self.headers(requestID), body: body)
                return Self.spoil(response, body, fault.answer)
            case .report(let plan, let product, let body):
                let response = Response(status: 200, headers: Self.headers(requestID), bytes: body.bytes)
                guard fault.answer == nil else { return Self.spoil(response, body.bytes.array, fault.answer) }
                let count = body.bytes.count
                world.withLock { $0.noteServed(plan, product, sha256: body.sha256, byteCount: count) }
                return response
            }
        } catch {
            let refusal = error as? PlaidRefusal ?? .internalError("unexpected: \(error)")
            return Self.error(refusal, requestID)
        }
    }

    private static func error(_ refusal: PlaidRefusal, _ requestID: String) -> Response {
        Response(status: refusal.status, headers: headers(requestID), body: refusal.body(requestID: requestID))
    }

    // MARK: faults

    /// Faults without any effect of the call.
    private static func early(_ answer: Fault.Answer?, _ requestID: String) -> Response? {
        switch answer {
        case .error(let refusal, let retryAfter):
            let response = error(refusal, requestID)
            return retryAfter.map { response.adding("Retry-After", String($0)) } ?? response
        case .html:
            return Response(
                status: 200,
                headers: [("Content-Type", "text/html; charset=utf-8")],
                body: Array("<!doctype html><title>Plaid</title><h1>We will be back soon</h1>\n".utf8)
            )
        case .drop, .cut, .truncate, .overpromise, nil: return nil
        }
    }

    /// Faults on the way back: the call was carried out.
    private static func spoil(_ response: Response, _ body: [UInt8], _ answer: Fault.Answer?) -> Response {
        var response = response
        switch answer {
        case .drop: response.breakOff = .beforeAnswer
        case .cut(let bytes):
            response.body = Array(body.prefix(bytes))
            response.breakOff = .promising(max(body.count, bytes + 1))
        case .truncate(let bytes): response.body = Array(body.prefix(bytes))
        case .overpromise(let bytes): response.breakOff = .promising(body.count + bytes)
        case .error, .html, nil: break
        }
        return response
    }

    private static func headers(_ requestID: String) -> [(String, String)] {
        [("Content-Type", "application/json"), ("Plaid-Request-ID", requestID)]
    }

    private static func requestID() -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
        return String(secureRandom(count: 15).map { alphabet[Int($0) % alphabet.count] })
    }
}
