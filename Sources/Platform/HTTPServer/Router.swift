// The service of every program but the receiver's hot path: finds the route, answers 404, 405, 413 and 415 itself.

package import Basics

/// One answered request, for metrics: labels from closed sets only.
package struct RouteObservation: Sendable {
    /// The route's pattern; nil when none fits.
    package let pattern: String?
    package let method: HTTPMethod
    package let status: Int
    /// From the last byte of the request to its answer; zero for requests refused by their head.
    package let elapsed: Duration
}

/// Serves a fixed set of routes. Literal routes win over patterns, patterns over one another in the order given.
/// `HEAD` is answered by the `GET` route when it has none of its own.
///
/// Judged in this order: path (404), method (405 with `Allow`), size (413), media and coding (415).
package final class Router: HTTPService {
    private let literals: [String: [Route]]
    private let patterns: [Route]
    private let notFound: Response
    private let tasks: AsyncExchanges
    private let clock: MonotonicClock
    private let observe: (@Sendable (RouteObservation) -> Void)?

    /// - Parameters:
    ///   - maxAsync: Asynchronous handlers running at once; beyond it 429 with `Retry-After`.
    ///   - observe: Called once for each answer, on the thread that gave it (for a timed-out handler when its task has
    ///     ended); must not block.
    package init(
        routes: [Route],
        notFound: Response = .empty(404),
        maxAsync: Int = 256,
        clock: MonotonicClock = .system,
        observe: (@Sendable (RouteObservation) -> Void)? = nil
    ) {
        literals = Dictionary(grouping: routes.filter(\.isLiteral), by: \.pattern)
        patterns = routes.filter { !$0.isLiteral }
        self.notFound = notFound
        tasks = AsyncExchanges(limit: maxAsync)
        self.clock = clock
        self.observe = observe
    }

    private enum Match {
        case route(Route, [String: String])
        case otherMethods([String])
        case none
    }

    private func match(_ head: RequestHead) -> Match {
        var allowed: [String] = []
        if let routes = literals[head.path] {
            if let route = Self.route(for: head.method, in: routes) { return .route(route, [:]) }
            allowed = routes.map(\.method.name)
        }
        if !patterns.isEmpty {
            let path = Route.segments(of: head.path)
            var fits: [(Route, [String: String])] = []
            for route in patterns {
                if let parameters = route.parameters(in: path) { fits.append((route, parameters)) }
            }
            if let route = Self.route(for: head.method, in: fits.map(\.0)),
                let parameters = fits.first(where: { $0.0.pattern == route.pattern })?.1
            {
                return .route(route, parameters)
            }
            allowed += fits.map(\.0.method.name)
        }
        if allowed.isEmpty { return .none }
        if allowed.contains("GET") { allowed.append("HEAD") }
        return .otherMethods(Set(allowed).sorted())
    }

    private static func route(for method: HTTPMethod, in routes: [Route]) -> Route? {
        routes.first { $0.method == method } ?? (method == .head ? routes.first { $0.method == .get } : nil)
    }

    package func head(_ head: RequestHead) -> HeadDecision {
        let route: Route
        switch match(head) {
        case .route(let found, _): route = found
        case .none: return refuse(head, nil, notFound)
        case .otherMethods(let allowed):
            return refuse(head, nil, .empty(405).adding("Allow", allowed.joined(separator: ", ")))
        }
        let isTooLong = head.contentLength.map { $0 > route.bodyLimit } ?? false
        if !isTooLong, !Self.isReadable(head, route.media) { return refuse(head, route.pattern, .empty(415)) }
        if isTooLong { report(head, route.pattern, 413, .zero) }
        if case .async = route.handler { return .accept(bodyLimit: route.bodyLimit, mayWait: true) }
        return .accept(bodyLimit: route.bodyLimit, mayWait: false)
    }

    private static func isReadable(_ head: RequestHead, _ media: [String]?) -> Bool {
        if head.hasContentCoding { return false }
        guard let media, let type = head.mediaType else { return true }
        return media.contains(type)
    }

    private func refuse(_ head: RequestHead, _ pattern: String?, _ response: Response) -> HeadDecision {
        report(head, pattern, response.status, .zero)
        return .answer(response)
    }

    package func request(_ request: Request, exchange: Exchange) -> RequestDecision {
        guard case .route(let route, let parameters) = match(request.head) else { return .answer(notFound) }
        var request = request
        request.parameters = parameters
        switch route.handler {
        case .immediate(let answer):
            let response = answer(request)
            report(request.head, route.pattern, response.status, clock.now() - request.receivedMonotonic)
            return .answer(response)
        case .async(let timeout, let answer): return start(answer, request, exchange, route.pattern, timeout)
        }
    }

    private func start(
        _ answer: @escaping @Sendable (Request) async -> Response,
        _ request: Request,
        _ exchange: Exchange,
        _ pattern: String,
        _ timeout: Duration
    ) -> RequestDecision {
        let started = tasks.start(exchange) { [self] in
            let response = await answer(request)
            // When the timeout won, or the server's end, that is what the client was told.
            let status = exchange.complete(response) ? response.status : 503
            report(request.head, pattern, status, clock.now() - request.receivedMonotonic)
        }
        let busy = Response.empty(started ? 503 : 429, retryAfter: 1)
        guard started else {
            report(request.head, pattern, 429, .zero)
            return .answer(busy)
        }
        return .wait(until: request.receivedMonotonic + timeout, onTimeout: busy)
    }

    package func abandoned(_ exchange: Exchange) { tasks.cancel(exchange) }

    package func ended(by deadline: MonotonicInstant) { tasks.end(by: deadline) }

    private func report(_ head: RequestHead, _ pattern: String?, _ status: Int, _ elapsed: Duration) {
        observe?(RouteObservation(pattern: pattern, method: head.method, status: status, elapsed: elapsed))
    }
}
