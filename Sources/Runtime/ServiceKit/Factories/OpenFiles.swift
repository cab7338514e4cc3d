// The limit of open files: raised to what the settings need, refused when the system does not grant it.

import Basics

/// How many descriptors a program's settings can use, and the variable that asks for most of them.
struct OpenFileNeed: Sendable, Equatable {
    /// Standard streams, the admin listener, Kafka's and Postgres' connections, files, epoll and event descriptors.
    static let base = 200
    /// Connections that a request in flight can hold: its own, and one that is being replaced.
    static let perRequestInFlight = 2

    let count: Int
    let variable: String

    init(_ settings: Settings) {
        let connections = settings.ifListed(Setting.maxConnections) ?? 0
        let requests = (settings.ifListed(Setting.maxInFlight) ?? 0) * Self.perRequestInFlight
        count = Self.base + connections + requests
        variable = requests > connections ? Setting.maxInFlight.name : Setting.maxConnections.name
    }

    /// - Parameter raise: Raises the soft limit as far as it goes, and returns the limit then in force.
    /// - Throws: ``ConfigurationError`` when it stays below the need.
    func ensure(
        raise: (Int) -> Int = { ProcessSetup.raiseOpenFileLimit(to: $0) }
    ) throws(ConfigurationError) {
        let granted = raise(count)
        guard granted < count else { return }
        throw ConfigurationError(
            variable,
            "needs \(count) open files with the other settings, and the limit is \(granted); raise it (ulimit -n, "
                + "LimitNOFILE=) or lower the setting"
        )
    }
}
