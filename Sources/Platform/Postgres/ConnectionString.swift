// A libpq connection string, read once: which hosts it names, what it sets, what must never be shown.

import Basics
import CPostgres

/// A connection string that libpq can parse, with what we must know of it.
///
/// libpq's non-blocking connect has no time-out per host, so hosts are tried one at a time, in the string's order.
struct ConnectionString: Sendable {
    /// One entry of the host list: what replaces the lists in the string. Empty when the string names one host only.
    struct Host: Sendable, Equatable {
        var overrides: [Keyword] = []
    }
    struct Keyword: Sendable, Equatable {
        let name: String
        let value: String

        init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    let hosts: [Host]
    let connectTimeout: Duration?
    /// Lower-cased `options` of the string: settings named there are the operator's, not ours.
    let options: String
    private let text: Secret
    private let secrets: [Secret]
    /// Seconds. A longer `connect_timeout` counts as this one.
    private static let maxConnectTimeout = 3_600

    /// - Throws: kind `misuse` without a word of the string, which may hold a password.
    init(_ text: String) throws(PostgresError) {
        let values = try ConnectionString.parse(text)
        // An unescaped '@', '/' or ':' in a password moves its rest into the host, port or database, and from there
        // into error texts.
        let hostNames = values["host"]?.split(separator: ",", omittingEmptySubsequences: false).map { String($0) } ?? []
        let ports = values["port"]?.split(separator: ",", omittingEmptySubsequences: false).map { String($0) } ?? []
        guard hostNames.allSatisfy({ !$0.dropFirst().contains("@") }),
            ports.allSatisfy({ $0.isEmpty || UInt16($0) != nil }),
            !(values["dbname"] ?? "").contains("@") || !text.contains("://")
        else { throw ConnectionString.invalid }
        let addresses =
            values["hostaddr"]?.split(separator: ",", omittingEmptySubsequences: false).map { String($0) } ?? []
        let count = max(hostNames.count, addresses.count)
        guard ports.count <= 1 || ports.count == count,
            hostNames.isEmpty || addresses.isEmpty || hostNames.count == addresses.count
        else { throw ConnectionString.invalid }
        hosts =
            count <= 1
            ? [Host()]
            : (0..<count).map { index in
                var overrides: [Keyword] = []
                if !hostNames.isEmpty { overrides.append(Keyword("host", hostNames[index])) }
                if !addresses.isEmpty { overrides.append(Keyword("hostaddr", addresses[index])) }
                let port = ports.count > 1 ? ports[index] : ports.first ?? ""
                overrides.append(Keyword("port", port.isEmpty ? "5432" : port))
                return Host(overrides: overrides)
            }
        connectTimeout = values["connect_timeout"].flatMap { Int($0) }
            .flatMap { $0 > 0 ? .seconds(min(max(2, $0), Self.maxConnectTimeout)) : nil }
        options = (values["options"] ?? "").lowercased()
        secrets = ["password", "sslpassword"].compactMap { values[$0] }.filter { !$0.isEmpty }.map { Secret($0) }
        self.text = Secret(text)
    }

    /// What goes to libpq: our defaults, the string, and what nobody may change, in this order; the last one wins.
    func keywords(for host: Host, applicationName: String, connectTimeout: Duration) -> [Keyword] {
        var keywords = [
            Keyword("connect_timeout", "\(max(2, Int(connectTimeout.inSeconds)))"),
            // Black holes: the first while something is unacknowledged, the others while we wait for an answer.
            Keyword("tcp_user_timeout", "10000"),
            Keyword("keepalives_idle", "10"),
            Keyword("keepalives_interval", "3"),
            Keyword("keepalives_count", "3"),
            // The default tries Kerberos first at 0.8 ms a connection.
            Keyword("gssencmode", "disable"),
            Keyword("application_name", applicationName),
        ]
        if hosts.count > 1 { keywords.append(Keyword("target_session_attrs", "read-write")) }
        keywords.append(Keyword("dbname", text.reveal()))
        // Any other encoding would change stored bytes.
        keywords.append(Keyword("client_encoding", "UTF8"))
        return keywords + host.overrides
    }

    /// Session settings of ours that the string's `options` do not name.
    func ourSettings(_ settings: PoolSettings) -> [Keyword] {
        [
            Keyword("statement_timeout", "\(settings.statementTimeout.inMilliseconds)ms"),
            Keyword("lock_timeout", "\(settings.lockTimeout.inMilliseconds)ms"),
            Keyword("idle_in_transaction_session_timeout", "30s"),
            // How soon the server notices that we have thrown a connection away.
            Keyword("client_connection_check_interval", "1s"),
            Keyword("default_transaction_isolation", "read committed"),
            Keyword("TimeZone", "UTC"),
            Keyword("DateStyle", "ISO"),
        ]
        .filter { !options.contains($0.name.lowercased()) }
    }

    /// The text without any secret of the string.
    func redacted(_ message: String) -> String {
        var message = message
        for secret in secrets { message = message.replacing(secret.reveal(), with: "<redacted>") }
        return message
    }

    private static let invalid = PostgresError(
        .misuse,
        outcome: .notSent,
        message: "not a valid libpq connection string (characters like @ : / in a password must be percent-encoded)"
    )

    private static func parse(_ text: String) throws(PostgresError) -> [String: String] {
        var message: UnsafeMutablePointer<CChar>?
        // The message quotes the string, password and all: freed unread.
        guard !text.utf8.contains(0), let options = PQconninfoParse(text, &message) else {
            PQfreemem(message)
            throw invalid
        }
        defer { PQconninfoFree(options) }
        var values: [String: String] = [:]
        var option = options
        while let name = option.pointee.keyword {
            if let value = option.pointee.val { values[String(cString: name)] = String(cString: value) }
            option += 1
        }
        return values
    }
}
