// A private PostgreSQL for tests: its own data, socket folder and port, gone with the test process.

import Basics
import Glibc

/// One running server, made by `initdb` in a temporary folder.
///
/// As root it runs as the user `postgres`, else as the user who runs the tests. Authentication is `trust`; the
/// superuser is `postgres`. Use ``shared()`` with a ``freshSchema()`` or ``freshDatabase()`` per test, and a server
/// of your own where the test stops or starves it.
///
/// Whatever ends the test process, a small shell that waits for the end of its standard input then kills every
/// process that works in the data folder, and removes the folder.
package final class PostgresServer: Sendable {
    package struct Options: Sendable {
        /// Additional settings, `name=value` as `postgres -c` takes them.
        package var settings: [String: String] = [:]
        /// Off is faster and safe against everything but a crash of the machine.
        package var fsync = false
        package var maxConnections = 60

        package init(settings: [String: String] = [:], fsync: Bool = false, maxConnections: Int = 60) {
            self.settings = settings
            self.fsync = fsync
            self.maxConnections = maxConnections
        }
    }

    /// Holds the data, the Unix socket and nothing else.
    package let folder: String
    /// On 127.0.0.1; stays the same over ``restart()``.
    package let port: Int
    private let tools: Tools
    private let options: Options
    private let janitor: ChildProcess
    private let postmaster: Locked<ChildProcess>
    private let names = Locked(0)

    /// The test process's common server, started by the first who asks.
    package static func shared() async throws -> PostgresServer { try await common.value }

    // Ends with the server's start; everyone awaits the same one.
    private static let common = Task { try await PostgresServer.start() }

    /// Makes a server and returns when it accepts connections: about a second.
    package static func start(_ options: Options = Options()) async throws -> PostgresServer {
        let tools = try Tools()
        let folder = try tools.makeFolder()
        let janitor = try startJanitor(folder)
        let initialisation = try tools.run(
            "initdb",
            ["-D", "\(folder)/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "-N"],
            in: folder
        )
        guard try await initialisation.exit(within: .seconds(60)).code == 0 else {
            throw ChildProcess.Failure(description: "initdb failed:\n\(initialisation.text)")
        }
        // Another process may take the free port before the server does: a few tries with new ones.
        for attempt in 1... {
            let port = try freePort()
            do {
                let child = try await launch(tools, options, folder, port)
                return PostgresServer(tools, options, folder, port, janitor, child)
            } catch  where attempt < 5 && "\(error)".contains("could not bind") {
                continue
            }
        }
        throw ChildProcess.Failure(description: "no free port")
    }

    private init(
        _ tools: Tools,
        _ options: Options,
        _ folder: String,
        _ port: Int,
        _ janitor: ChildProcess,
        _ postmaster: ChildProcess
    ) {
        self.tools = tools
        self.options = options
        self.folder = folder
        self.port = port
        self.janitor = janitor
        self.postmaster = Locked(postmaster)
    }

    deinit { janitor.closeInput() }

    // MARK: Addresses

    /// Over TCP, as a `postgresql://` URL. `parameters` are appended as they stand: `connect_timeout=2`.
    package func url(database: String = "postgres", parameters: [String] = []) -> String {
        let query = parameters.isEmpty ? "" : "?" + parameters.joined(separator: "&")
        return "postgresql://postgres@127.0.0.1:\(port)/\(database)\(query)"
    }

    /// Over the Unix socket, in keyword form.
    package func socketAddress(database: String = "postgres") -> String {
        "host=\(folder) port=\(port) user=postgres dbname=\(database)"
    }

    /// The URL of a new, empty database.
    package func freshDatabase() async throws -> String {
        let name = freshName("db")
        _ = try await sql("create database \(name)")
        return url(database: name)
    }

    /// The URL of database `postgres` with a new schema alone in its search path.
    package func freshSchema() async throws -> String {
        let name = freshName("schema")
        _ = try await sql("create schema \(name)")
        return url(parameters: ["options=-csearch_path%3D\(name)"])
    }

    /// Runs statements with `psql` and returns the unaligned lines of their rows.
    @discardableResult
    package func sql(_ statements: String, database: String = "postgres") async throws -> [String] {
        let end = "-- end of output --"
        let psql = try ChildProcess(
            tools.path("psql"),
            [
                "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", folder, "-p", "\(port)", "-U", "postgres", "-d",
                database, "-c", statements, "-c", "\\echo '\(end)'",
            ],
            environment: ["PGOPTIONS": "-c client_min_messages=warning"]
        )
        _ = try await psql.line(containing: end)
        _ = try await psql.exit()
        return psql.lines.filter { $0 != end }
    }

    private func freshName(_ kind: String) -> String {
        let number = names.withLock { number in
            number += 1
            return number
        }
        return "\(kind)_\(number)"
    }

    /// Makes a certificate for `localhost` and turns TLS on for new sessions. Returns the certificate's file, to be
    /// given as `sslrootcert`.
    package func enableTLS() async throws -> String {
        let certificate = "\(folder)/server.crt"
        let openssl = try tools.run(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost", "-keyout", "\(folder)/server.key", "-out", certificate,
            ],
            in: folder
        )
        guard try await openssl.exit().code == 0 else {
            throw ChildProcess.Failure(description: "openssl failed:\n\(openssl.text)")
        }
        for setting in ["ssl_cert_file = '\(certificate)'", "ssl_key_file = '\(folder)/server.key'", "ssl = on"] {
            try await sql("alter system set \(setting)")
        }
        try await sql("select pg_reload_conf()")
        _ = try await logLine(containing: "\"ssl\" changed to")
        return certificate
    }

    // MARK: Faults

    /// The postmaster's process.
    package var processID: Int32 { postmaster.withLock { $0 }.pid }

    /// What the server logged since its last start.
    package var log: String { postmaster.withLock { $0 }.text }

    /// Waits for a line of the log, past or future.
    package func logLine(containing part: String) async throws -> String {
        try await postmaster.withLock { $0 }.line(containing: part)
    }

    /// SIGSTOP: the kernel still takes connections, nobody answers them. Sessions that stand go on.
    package func suspendPostmaster() { postmaster.withLock { $0 }.kill(SIGSTOP) }
    package func resumePostmaster() { postmaster.withLock { $0 }.kill(SIGCONT) }

    /// Stops one session's process, as `pg_backend_pid()` names it.
    package func suspendBackend(_ pid: Int32) { _ = Glibc.kill(pid, SIGSTOP) }
    package func resumeBackend(_ pid: Int32) { _ = Glibc.kill(pid, SIGCONT) }

    /// Ends all sessions and the server ("fast shutdown").
    package func stop() async throws {
        let child = postmaster.withLock { $0 }
        child.kill(SIGCONT)
        child.kill(SIGINT)
        _ = try await child.exit()
    }

    /// Ends everything at once without a checkpoint, as a crash would; the next start recovers.
    package func crash() async throws {
        let child = postmaster.withLock { $0 }
        child.kill(SIGCONT)
        child.kill(SIGQUIT)
        _ = try await child.exit()
    }

    /// Starts the stopped server again on the same data and port.
    package func startAgain() async throws {
        let child = try await PostgresServer.launch(tools, options, folder, port)
        postmaster.withLock { $0 = child }
    }

    package func restart() async throws {
        try await stop()
        try await startAgain()
    }

    // MARK: Processes

    private static func launch(_ tools: Tools, _ options: Options, _ folder: String, _ port: Int) async throws
        -> ChildProcess
    {
        var settings = [
            "fsync": options.fsync ? "on" : "off", "max_connections": "\(options.maxConnections)",
            "lc_messages": "C", "superuser_reserved_connections": "0", "shared_buffers": "32MB",
        ]
        settings.merge(options.settings) { _, theirs in theirs }
        let child = try tools.run(
            "postgres",
            ["-D", "\(folder)/data", "-h", "127.0.0.1", "-p", "\(port)", "-k", folder]
                + settings.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] },
            in: folder
        )
        do {
            _ = try await child.line(containing: "ready to accept connections", within: .seconds(60))
            return child
        } catch {
            child.end()
            throw error
        }
    }

    private static func startJanitor(_ folder: String) throws -> ChildProcess {
        let script = """
            exec 3<&0
            (
              cat <&3
              for process in /proc/[0-9]*; do
                [ "$(readlink "$process/cwd")" = "$1/data" ] && kill -9 "${process#/proc/}"
              done
              rm -rf "$1"
            ) >/dev/null 2>&1 &
            """
        return try ChildProcess("/bin/sh", ["-c", script, "janitor", folder], standardInput: true)
    }

    private static func freePort() throws -> Int {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, size) == 0 ? getsockname(socket, $0, &size) : -1
            }
        }
        guard result == 0 else { throw ChildProcess.Failure(description: "no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

/// The installed server programs, and whom they run as.
private struct Tools: Sendable {
    private let folder: String
    /// The user `postgres`, when we are root; the server refuses to run as root.
    private let user: (id: uid_t, group: gid_t)?

    init() throws {
        let root = "/usr/lib/postgresql"
        var versions: [String] = []
        if let listing = opendir(root) {
            while let entry = readdir(listing) {
                versions.append(
                    withUnsafePointer(to: &entry.pointee.d_name) {
                        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                    }
                )
            }
            closedir(listing)
        }
        guard let newest = versions.compactMap({ Int($0) }).max() else {
            throw ChildProcess.Failure(description: "PostgreSQL is not installed: nothing under \(root)")
        }
        folder = "\(root)/\(newest)/bin"
        if getuid() == 0 {
            guard let entry = getpwnam("postgres") else {
                throw ChildProcess.Failure(description: "there is no user postgres to run a server as")
            }
            user = (entry.pointee.pw_uid, entry.pointee.pw_gid)
        } else {
            user = nil
        }
    }

    func path(_ program: String) -> String { program.hasPrefix("/") ? program : "\(folder)/\(program)" }

    /// A folder with a short path (socket paths end at 107 bytes), owned by whom the server runs as.
    func makeFolder() throws -> String {
        var template = Array("/tmp/check-pg-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ChildProcess.Failure(description: "no temporary folder") }
        let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        if let user, chown(path, user.id, user.group) != 0 {
            throw ChildProcess.Failure(description: "\(path) could not be given to the user postgres")
        }
        return path
    }

    func run(_ program: String, _ arguments: [String], in directory: String) throws -> ChildProcess {
        let environment = ["LC_ALL": "C", "TZ": "UTC"]
        guard let user else {
            return try ChildProcess(path(program), arguments, environment: environment, directory: directory)
        }
        // setpriv replaces itself, so the child is the server.
        return try ChildProcess(
            "/usr/bin/setpriv",
            ["--reuid=\(user.id)", "--regid=\(user.group)", "--clear-groups", path(program)] + arguments,
            environment: environment,
            directory: directory
        )
    }
}
