// One route: a method, a pattern of path segments, a bound, and what answers.

import Basics

/// What answers a route.
package enum RouteHandler: Sendable {
    /// Runs on the loop's thread: microseconds, no blocking.
    case immediate(@Sendable (Request) -> Response)
    /// Runs in a task of the router's. When it takes longer than `timeout` the client gets 503 with `Retry-After`, and
    /// the task is cancelled.
    case async(timeout: Duration = .seconds(30), @Sendable (Request) async -> Response)
}

package struct Route: Sendable {
    package let method: HTTPMethod
    /// As written, for metrics: a closed set, unlike paths.
    package let pattern: String
    /// Largest body in bytes.
    package let bodyLimit: Int
    /// Media types that are taken, in lower case; a request without a `Content-Type` is taken too. Nil: any.
    package let media: [String]?
    package let handler: RouteHandler
    let segments: [Segment]

    enum Segment: Sendable, Equatable {
        case literal(String)
        case parameter(String)
        /// Everything that is left, also nothing, undecoded and with its slashes.
        case rest(String)
    }

    /// - Parameter pattern: `/v1/users/{id}/reports`: literal segments are compared byte for byte with the path as it
    ///   came, `{name}` takes one non-empty segment, `{name...}` at the end takes the rest.
    package init(
        _ method: HTTPMethod,
        _ pattern: String,
        bodyLimit: Int = 64 * 1_024,
        media: [String]? = nil,
        handler: RouteHandler
    ) {
        precondition(pattern.hasPrefix("/"), "a route's pattern begins with a slash")
        self.method = method
        self.pattern = pattern
        self.bodyLimit = bodyLimit
        self.media = media
        self.handler = handler
        segments = Self.segments(of: pattern).map { segment in
            guard segment.hasPrefix("{"), segment.hasSuffix("}") else { return .literal(segment) }
            let name = String(segment.dropFirst().dropLast())
            return name.hasSuffix("...") ? .rest(String(name.dropLast(3))) : .parameter(name)
        }
    }

    /// Handy for the many routes without parameters.
    package static func get(_ pattern: String, _ answer: @escaping @Sendable (Request) -> Response) -> Route {
        Route(.get, pattern, bodyLimit: 0, handler: .immediate(answer))
    }

    static func segments(of path: String) -> [String] {
        path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    }

    /// The parameters when the path fits; nil when it does not. A segment whose escapes are broken, that is not UTF-8,
    /// or that holds a control character fits nothing.
    func parameters(in path: [String]) -> [String: String]? {
        var found: [String: String] = [:]
        for (index, segment) in segments.enumerated() {
            switch segment {
            case .literal(let text):
                guard index < path.count, path[index] == text else { return nil }
            case .parameter(let name):
                guard index < path.count, !path[index].isEmpty, let value = Text.percentDecoded(path[index].utf8),
                    !value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F })
                else { return nil }
                found[name] = value
            case .rest(let name):
                found[name] = path.dropFirst(index).joined(separator: "/")
                return found
            }
        }
        return segments.count == path.count ? found : nil
    }

    /// Routes without parameters are found by their path alone.
    var isLiteral: Bool {
        segments.allSatisfy { if case .literal = $0 { true } else { false } }
    }
}
