// The process exit codes of every program, from <sysexits.h>; the contract fixes them.

package enum ExitCode: Int32, Sendable, CaseIterable {
    /// A clean stop.
    case success = 0
    /// The command line was not understood.
    case usage = 64
    /// A dependency is unreachable and the program does not wait, or a port is taken.
    case unavailable = 69
    /// An internal error, or the grace ended with work in hand.
    case internalError = 70
    /// A setting is missing or malformed.
    case configuration = 78
}

/// Ends the program (or the command) with a code and one line for the operator.
package struct ProgramFailure: Error, Sendable, Equatable, CustomStringConvertible {
    package let code: ExitCode
    /// One line without secrets.
    package let message: String

    package init(_ code: ExitCode, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
