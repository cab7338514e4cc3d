// The seam between the server and what it serves.

package import Basics

/// What is to become of a request whose head has been read.
package enum HeadDecision: Sendable {
    /// Read the body, then ask ``HTTPService/request(_:exchange:)``.
    ///
    /// - `bodyLimit`: Bytes. A longer body is read off and answered with 413, or cut off when it is absurd.
    /// - `mayWait`: The answer may come later. With ``HTTPServer/Limits/maxWaiting`` requests already waiting, such a
    ///   request gets ``HTTPServer/Limits/overloadAnswer`` and the service is not asked.
    case accept(bodyLimit: Int, mayWait: Bool = true)
    /// Do not serve it. The body is read off where that is cheap, so that the answer arrives; then the connection closes.
    case answer(Response)
}

/// What is to become of a whole request.
package enum RequestDecision: Sendable {
    case answer(Response)
    /// The answer comes by ``Exchange/complete(_:)``, or is `onTimeout` when it has not come by `until`.
    case wait(until: MonotonicInstant, onTimeout: Response)
}

/// What is served on one listener: a ``Router``, or a type of its own where the routes are few and hot.
///
/// `head`, `request` and `abandoned` run on the server's loop thread and must not block, throw, or call the server.
package protocol HTTPService: AnyObject, Sendable {
    /// Decides by path, method and header fields, before any byte of the body is read.
    func head(_ head: RequestHead) -> HeadDecision
    /// Decides with the body in hand. A service that will answer later hands `exchange` to whoever will.
    func request(_ request: Request, exchange: Exchange) -> RequestDecision
    /// The timeout of a waiting request won: its answer was sent, ``Exchange/complete(_:)`` returns false from now on.
    func abandoned(_ exchange: Exchange)
    /// The server stops: end what works on answers. Called once by ``HTTPServer/stop()``, on its caller's thread; may
    /// block until `deadline`.
    func ended(by deadline: MonotonicInstant)
}

extension HTTPService {
    package func abandoned(_ exchange: Exchange) {}
    package func ended(by deadline: MonotonicInstant) {}
}
