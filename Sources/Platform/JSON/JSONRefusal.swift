// Why a document is not read.

package enum JSONRefusal: Error, Hashable, Sendable {
    /// No JSON (RFC 8259): mended by nothing but another answer.
    case notJSON(Reason)
    /// More levels than the parser or the caller's limit allows.
    case tooDeep
    /// Lawful by its grammar, but holds a lone surrogate escape or a number outside 64 bits or a double's range.
    case lawfulButUnreadable
    /// Longer than ``JSON/mostBytes``.
    case tooLarge
    case outOfMemory

    package enum Reason: String, Hashable, Sendable {
        case empty
        case encoding
        case unclosedString = "unclosed string"
        case controlCharacter = "control character"
        case structure
        /// Lawful, but the caller reads members and the outermost value is no object.
        case notAnObject = "not an object"
    }
}

extension JSONRefusal: CustomStringConvertible {
    /// Names the kind of fault, never the content.
    package var description: String {
        switch self {
        case .notJSON(let reason): "not JSON: \(reason.rawValue)"
        case .tooDeep: "nested too deeply"
        case .lawfulButUnreadable: "lawful JSON that cannot be read"
        case .tooLarge: "too large"
        case .outOfMemory: "out of memory"
        }
    }
}
