// The library below: its start, its version, and what the process must allow it.

import Basics
import CCurl

package enum HTTPClientLibrary {
    private static let initialised: Int32 = cp_global_init()

    /// Ignores SIGPIPE and initialises libcurl; later calls do nothing. Call it on the main thread before other
    /// threads start.
    package static func globalInit() { _ = initialised }

    /// For example `libcurl/7.88.1 OpenSSL/3.0.17 …`. Logged at start: its behaviour was measured per version.
    package static var version: String { String(cString: cp_version()) }

    /// Nil when libcurl can carry us; else why not.
    package static var unfitness: String? {
        guard initialised == 0 else { return "libcurl refused to start: code \(initialised)" }
        return cp_library_is_fit() ? nil : "libcurl lacks OpenSSL or thread safety: \(version)"
    }
}

/// The process's limit of open files, which a client in full use would otherwise meet in the middle of the day.
package enum OpenFiles {
    /// What a program with so many requests in flight needs: a socket each, one more while connections are
    /// exchanged, and 200 for everything else.
    package static func needed(inFlight: Int) -> Int { 2 * inFlight + 200 }

    /// Raises the soft limit where necessary.
    /// - Throws: ``HTTPClientError`` of kind `local` when the hard limit is below what is needed: refuse to start.
    package static func require(inFlight: Int) throws(HTTPClientError) {
        let needed = needed(inFlight: inFlight)
        let limit = ProcessSetup.raiseOpenFileLimit(to: needed)
        guard limit < needed else { return }
        throw HTTPClientError(
            .local,
            message: "the limit of open files is \(limit), \(inFlight) requests in flight need \(needed)"
        )
    }
}
