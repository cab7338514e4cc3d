// The face of the module: requests in, complete answers or told-apart errors out.

package import Basics
import Synchronization

/// An HTTP/1.1 client over libcurl with one thread of its own.
///
/// Connections are kept and reused; TLS is always verified; redirects, proxies, cookies, content codings and
/// `.netrc` are not. Every answer handed out is complete. All methods may be called from any thread.
package final class HTTPClient: Sendable {
    private let core: ClientCore

    /// Checks the CA file and starts the thread. Call ``HTTPClientLibrary/globalInit()`` first.
    /// - Parameters:
    ///   - clock: What deadlines and timeouts are measured by, looked at every 250 ms.
    ///   - wallClock: What a date in `Retry-After` is compared with when the answer has no `Date`.
    /// - Throws: ``HTTPClientError`` of kind `local`: no CA bundle, no memory or descriptors, unfit libcurl.
    package convenience init(
        settings: HTTPClientSettings,
        clock: MonotonicClock = .system,
        wallClock: WallClock = .system
    ) throws(HTTPClientError) {
        try self.init(settings: settings, clock: clock, wallClock: wallClock, lookUp: NameResolver.systemLookUp)
    }

    init(
        settings: HTTPClientSettings,
        clock: MonotonicClock = .system,
        wallClock: WallClock = .system,
        lookUp: @escaping NameResolver.LookUp
    ) throws(HTTPClientError) {
        HTTPClientLibrary.globalInit()
        core = try ClientCore(settings: settings, clock: clock, wallClock: wallClock, lookUp: lookUp)
        core.start()
    }

    /// Lets the thread end by itself; what is in flight fails as `closed`. Prefer ``close(grace:)``.
    deinit { core.abandon() }

    /// Sends one request and returns its complete answer.
    /// - Throws: ``HTTPClientError``; see ``HTTPClientError/sent`` for what the server may have seen.
    /// - Cancellation: Ends the request on the client's thread (its connection is closed) and throws `cancelled`
    ///   with what is known of the sending.
    package func send(_ request: HTTPClientRequest) async throws(HTTPClientError) -> HTTPClientResponse {
        let token = CancelToken(core: core)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                core.submit(request, token: token) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            token.cancel()
        }
        return try result.get()
    }

    /// Sends one request.
    /// - Parameter completion: Called exactly once, on the client's thread, where it must not block; for a request
    ///   that is refused at once (invalid, overloaded, closed) on the calling thread, before this returns.
    @discardableResult
    package func send(
        _ request: HTTPClientRequest,
        completion: @escaping @Sendable (Result<HTTPClientResponse, HTTPClientError>) -> Void
    ) -> CancelToken {
        let token = CancelToken(core: core)
        core.submit(request, token: token, completion: completion)
        return token
    }

    /// Refuses new requests, lets those accepted end for at most `grace`, fails the rest as `closed`, and ends the
    /// thread. Blocks the caller; not to be called from a completion. A second call waits for the first.
    package func close(grace: Duration) { core.close(grace: grace) }

    package var metrics: HTTPClientMetrics { core.metrics }
}

/// Ends one request early. Cancelling one that has ended does nothing.
package final class CancelToken: Sendable {
    private let core: ClientCore
    let id: UInt64
    private let flag = Atomic(false)

    init(core: ClientCore) {
        self.core = core
        id = core.nextID()
    }

    /// From any thread; never blocks. The completion then comes with `cancelled`, unless a result came first.
    package func cancel() {
        // The flag first: the loop looks at it when it takes the request, which may come after the command.
        guard !flag.exchange(true, ordering: .sequentiallyConsistent) else { return }
        core.cancel(id)
    }

    var isCancelled: Bool { flag.load(ordering: .sequentiallyConsistent) }
}
