// TLS in front of a scripted server: a small Python program ends TLS and passes bytes, ends and resets on.

import Basics
import TestSupport

/// A certificate authority and a server certificate for `localhost`, made once per test run by openssl.
final class TestAuthority: Sendable {
    private let folder: TemporaryFolder

    var caFile: String { "\(folder.path)/ca.pem" }
    var certificateFile: String { "\(folder.path)/server.pem" }
    var keyFile: String { "\(folder.path)/server.key" }

    private init(folder: TemporaryFolder) { self.folder = folder }

    private static let made = Task { try await TestAuthority.make() }  // ends when the files are there

    static func shared() async throws -> TestAuthority { try await made.value }

    /// One of its own, that nobody trusts.
    static func make() async throws -> TestAuthority {
        let folder = TemporaryFolder("http-client-ca")
        let authority = TestAuthority(folder: folder)
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        try await openssl(
            ["req", "-x509"] + ec + [
                "-subj", "/CN=Test authority", "-keyout", "\(folder.path)/ca.key", "-out", authority.caFile,
            ]
        )
        try await openssl(
            ["req", "-x509"] + ec + [
                "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext",
                "basicConstraints=critical,CA:FALSE", "-CA", authority.caFile, "-CAkey", "\(folder.path)/ca.key",
                "-keyout", authority.keyFile, "-out", authority.certificateFile,
            ]
        )
        return authority
    }

    private static func openssl(_ arguments: [String]) async throws {
        let child = try ChildProcess("/usr/bin/openssl", arguments)
        let exit = try await child.exit()
        guard exit.code == 0 else { throw TestFailure("openssl \(arguments[0]) failed: \(child.text)") }
    }
}

final class TLSFront: Sendable {
    let port: Int
    private let child: ChildProcess
    private let folder: TemporaryFolder

    private init(port: Int, child: ChildProcess, folder: TemporaryFolder) {
        self.port = port
        self.child = child
        self.folder = folder
    }

    static func start(before backend: Int, authority: TestAuthority? = nil) async throws -> TLSFront {
        let authority = if let authority { authority } else { try await TestAuthority.shared() }
        let folder = TemporaryFolder("http-client-tls")
        let script = folder.write(program, to: "front.py")
        let child = try ChildProcess(
            "/usr/bin/python3",
            ["-u", script, authority.certificateFile, authority.keyFile, String(backend)]
        )
        let line = try await child.line(containing: "port ")
        guard let port = Int(line.dropFirst("port ".count)) else { throw TestFailure("no port in \(line)") }
        return TLSFront(port: port, child: child, folder: folder)
    }

    /// Waits for a handshake that continued an older session.
    func resumption() async throws { _ = try await child.line(containing: "session resumed", within: .seconds(10)) }

    func stop() { child.end() }

    private static let program = """
        import select, socket, ssl, struct, sys, threading

        def drop(sock):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))

        def carry(raw, backend_port, context):
            backend = socket.create_connection(('127.0.0.1', backend_port))
            tls = raw
            try:
                tls = context.wrap_socket(raw, server_side=True)
                print('session resumed' if tls.session_reused else 'session new')
                while True:
                    ready = [tls] if tls.pending() else select.select([tls, backend], [], [])[0]
                    if tls in ready:
                        data = tls.recv(65536)
                        if not data:
                            break
                        backend.sendall(data)
                    if backend in ready:
                        data = backend.recv(65536)
                        if not data:
                            tls.setblocking(False)
                            try:
                                tls.unwrap()
                            except (ssl.SSLError, OSError):
                                pass
                            break
                        tls.sendall(data)
            except ConnectionResetError:
                drop(tls)
                drop(backend)
            except (ssl.SSLError, OSError):
                pass
            finally:
                tls.close()
                backend.close()

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
        listener = socket.create_server(('127.0.0.1', 0), backlog=512)
        print('port', listener.getsockname()[1])
        while True:
            raw, _ = listener.accept()
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=carry, args=(raw, int(sys.argv[3]), context), daemon=True).start()

        """
}
