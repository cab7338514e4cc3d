// What is wrong with the configuration: always the name of a variable and what would be accepted, never its value.

/// A missing or malformed setting. The program prints ``description`` on one line and exits with 78.
package struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The environment variable at fault, for example `HTTP_PORT`.
    package let variable: String
    /// What is wrong and what is accepted; neither the value nor a part of it.
    package let problem: String

    package init(_ variable: String, _ problem: String) {
        self.variable = variable
        self.problem = problem
    }

    package var description: String { "\(variable): \(problem)" }
}
