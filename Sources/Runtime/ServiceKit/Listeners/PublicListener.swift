// The public listener of a program, made from its settings.

import Basics
package import HTTPServer

extension Settings {
    /// Bounds of the public listener: the server's own, with `MAX_CONNECTIONS` and `MAX_BODY` where they are listed.
    package var httpServerLimits: HTTPServer.Limits {
        var limits = HTTPServer.Limits()
        if let connections = ifListed(Setting.maxConnections) { limits.maxConnections = connections }
        if let body = ifListed(Setting.maxBody) { limits.largeBodyBytes = max(limits.largeBodyBytes, 2 * body.bytes) }
        return limits
    }
}

extension ProgramContext {
    /// Opens the public listener on `HTTP_HOST` and `HTTP_PORT`, and adds it as a component: it starts after what was
    /// added before, and drains and stops before that.
    ///
    /// - Throws: ``ProgramFailure`` 69 when the port is taken; ``ConfigurationError`` for what only the operator can
    ///   mend.
    @discardableResult
    package func addPublicListener(
        service: any HTTPService,
        limits: HTTPServer.Limits? = nil,
        name: String = "http"
    ) throws -> HTTPServer {
        if let setting = settings.ifListed(Setting.httpTLSCertFile), setting != nil {
            // Serving plain HTTP where the operator asked for TLS would be worse than not starting.
            throw ConfigurationError("HTTP_TLS_CERT_FILE", "is set, but this listener cannot serve TLS")
        }
        let host = settings[Setting.httpHost]
        let server: HTTPServer
        do {
            server = try HTTPServer(
                host: host,
                port: settings[Setting.httpPort],
                limits: limits ?? settings.httpServerLimits,
                service: service,
                name: name,
                onEvent: logger.labelled(name).httpServerEvents
            )
        } catch {
            throw ListenerFailure.translated(error, host: Setting.httpHost, port: Setting.httpPort)
        }
        HTTPServerExport.register(server, listener: name, in: metrics)
        let logger = logger
        add(
            component: name,
            start: {
                server.start()
                logger.info(
                    "the public listener is open",
                    metadata: ["server.address": .string(host), "server.port": .stringConvertible(Int(server.port))]
                )
            },
            stop: { deadline in
                let isEmpty = server.drain(until: deadline)
                server.stop()
                if !isEmpty { throw UnfinishedWork("requests were still in hand") }
            }
        )
        return server
    }
}

/// What a listener that cannot be opened means for the program.
enum ListenerFailure {
    static func translated(
        _ error: HTTPServerError,
        host: any AnySettingKey,
        port: any AnySettingKey
    ) -> any Error {
        switch error.code {
        case .portTaken: ProgramFailure(.unavailable, "\(port.name): \(error)")
        case .notPermitted: ConfigurationError(port.name, "\(error)")
        case .noSuchAddress: ConfigurationError(host.name, "\(error)")
        case .system: ProgramFailure(.internalError, "\(error)")
        }
    }
}
