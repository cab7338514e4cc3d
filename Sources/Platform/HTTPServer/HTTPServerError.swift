// Why a listener could not be opened, and what a running server has to say.

/// Thrown by ``HTTPServer/init(host:port:limits:service:clock:wallClock:onEvent:)``.
package struct HTTPServerError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// Another process listens there (a program ends with 69).
        case portTaken
        /// The port needs a privilege that this process lacks.
        case notPermitted
        /// The host is no address of this machine.
        case noSuchAddress
        /// Everything else; ``systemError`` says what the system said.
        case system
    }
    package let code: Code
    package let host: String
    package let port: UInt16
    /// The C `errno`; 0 when the system gave none.
    package let systemError: Int32

    package var description: String {
        let reason =
            switch code {
            case .portTaken: "the port is taken"
            case .notPermitted: "not permitted"
            case .noSuchAddress: "no such address on this machine"
            case .system: "system error \(systemError)"
            }
        return "cannot listen on \(host) port \(port): \(reason)"
    }
}

/// Told on the loop's thread; the receiver of events must not block.
package enum HTTPServerEvent: Sendable {
    /// The HTTP library's own words, at most 255 bytes, ten a minute; never a part of a request.
    case libraryMessage(String)
    /// The service named an answer that cannot be sent; a 500 went out instead.
    case unsendableAnswer(status: Int)
}
