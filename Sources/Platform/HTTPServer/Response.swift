// What a service answers.

package import Basics

/// Status, header fields and body of an answer.
///
/// `Content-Length`, `Connection` and `Date` are the server's business. A field whose name or value cannot stand in a
/// header (CR, LF, NUL, empty) turns the whole answer into a bare 500: a service never splits a response.
package struct Response: Sendable {
    enum Content: Sendable {
        case none
        case array([UInt8])
        case bytes(Bytes)

        var count: Int {
            switch self {
            case .none: 0
            case .array(let array): array.count
            case .bytes(let bytes): bytes.count
            }
        }
    }

    package var status: Int
    package var headers: [(String, String)]
    /// Closes the connection after this answer.
    package var closeConnection: Bool
    /// For services that play a broken peer; nil for every honest answer.
    package var breakOff: BreakOff?
    var content: Content

    /// How an answer fails to arrive.
    package enum BreakOff: Hashable, Sendable {
        /// The connection closes before the first byte.
        case beforeAnswer
        /// `Content-Length` promises this many bytes, and the connection closes after the body, which is shorter.
        case promising(Int)
    }

    package init(status: Int, headers: [(String, String)] = [], body: [UInt8] = [], closeConnection: Bool = false) {
        self.status = status
        self.headers = headers
        self.closeConnection = closeConnection
        content = body.isEmpty ? .none : .array(body)
    }

    /// A large body, sent from where it lies.
    package init(status: Int, headers: [(String, String)] = [], bytes: Bytes, closeConnection: Bool = false) {
        self.init(status: status, headers: headers, closeConnection: closeConnection)
        content = bytes.isEmpty ? .none : .bytes(bytes)
    }

    package var body: [UInt8] {
        get {
            switch content {
            case .none: []
            case .array(let array): array
            case .bytes(let bytes): bytes.array
            }
        }
        set { content = newValue.isEmpty ? .none : .array(newValue) }
    }

    /// Only a status; with `retryAfter` in whole seconds a `Retry-After` field.
    package static func empty(_ status: Int, retryAfter seconds: Int? = nil) -> Response {
        Response(status: status, headers: seconds.map { [("Retry-After", String($0))] } ?? [])
    }

    package static func text(_ status: Int, _ text: String) -> Response {
        Response(status: status, headers: [("Content-Type", "text/plain; charset=utf-8")], body: Array(text.utf8))
    }

    package static func json(_ status: Int, _ body: [UInt8]) -> Response {
        Response(status: status, headers: [("Content-Type", "application/json")], body: body)
    }

    package static func json(_ status: Int, _ text: String) -> Response { json(status, Array(text.utf8)) }

    /// The same answer with one more field.
    package func adding(_ name: String, _ value: String) -> Response {
        var copy = self
        copy.headers.append((name, value))
        return copy
    }

    /// The same answer, after which the connection closes.
    package func closing() -> Response {
        var copy = self
        copy.closeConnection = true
        return copy
    }

    package func header(_ name: String) -> String? {
        let wanted = Text.lowercased(name.utf8)
        return headers.first { Text.lowercased($0.0.utf8) == wanted }?.1
    }
}
