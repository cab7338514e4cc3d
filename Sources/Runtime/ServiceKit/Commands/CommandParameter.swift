// What a command takes on its line: options with a value, positional arguments, flags. Typed like settings, and used
// for parsing, help and errors alike.

/// A parameter whose value type is erased.
package protocol AnyCommandParameter: Sendable {
    var shape: CommandParameterShape { get }
    var placeholder: String { get }
    var accepted: String { get }
    var help: String { get }
    var defaultText: String? { get }
    var isRequired: Bool { get }

    /// Reads the value from the texts given, none when it was not.
    func load(_ texts: [String]) throws(UsageError) -> any LoadedSetting
}

package enum CommandParameterShape: Sendable, Equatable {
    /// `--name VALUE` or `--name=VALUE`, at most once.
    case option(String)
    /// The next word that is no option; its name is for the help text.
    case argument(String)
    /// All words that are left, at least one.
    case rest(String)

    /// As it is written in errors and help texts.
    var label: String {
        switch self {
        case .option(let name): "--\(name)"
        case .argument(let name): name
        case .rest(let name): "\(name)…"
        }
    }
}

/// The command line was not understood: exit code 64, one line and a hint.
package struct UsageError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
    /// What might have been meant, or where to read on.
    package let hint: String?

    package init(_ description: String, hint: String? = nil) {
        self.description = description
        self.hint = hint
    }
}

/// A switch without a value: `--name`.
package struct CommandFlag: Sendable {
    package let name: String
    package let help: String

    package init(_ name: String, help: String) {
        self.name = name
        self.help = help
    }
}

/// An option or a positional argument with a typed value.
package struct CommandParameter<Value: Sendable>: AnyCommandParameter {
    package let shape: CommandParameterShape
    package let placeholder: String
    package let accepted: String
    package let help: String
    package let defaultText: String?
    package let isRequired: Bool
    private let read: @Sendable ([String]) -> Value?

    package func load(_ texts: [String]) throws(UsageError) -> any LoadedSetting {
        if texts.isEmpty, isRequired { throw UsageError("\(shape.label) is missing; expected \(accepted)") }
        guard let value = read(texts) else {
            throw UsageError("\(shape.label) is malformed; expected \(accepted)")
        }
        return Loaded(value: value)
    }

    private init(
        _ shape: CommandParameterShape,
        _ placeholder: String,
        accepted: String,
        help: String,
        defaultText: String?,
        isRequired: Bool,
        read: @escaping @Sendable ([String]) -> Value?
    ) {
        self.shape = shape
        self.placeholder = placeholder
        self.accepted = accepted
        self.help = help
        self.defaultText = defaultText
        self.isRequired = isRequired
        self.read = read
    }

    /// An option that must be given.
    package static func option(_ name: String, _ format: ValueFormat<Value>, help: String) -> CommandParameter {
        one(.option(name), format, help: help)
    }

    /// A word that must be given.
    package static func argument(_ name: String, _ format: ValueFormat<Value>, help: String) -> CommandParameter {
        one(.argument(name), format, help: help)
    }

    /// An option with a default, written as a user would.
    package static func option(
        _ name: String,
        _ format: ValueFormat<Value>,
        default text: String,
        help: String
    ) -> CommandParameter {
        precondition(format.parse(text) != nil, "the default of --\(name) is malformed")
        return CommandParameter(
            .option(name),
            format.placeholder,
            accepted: format.accepted,
            help: help,
            defaultText: text,
            isRequired: false
        ) { texts in format.parse(texts.first ?? text) }
    }

    private static func one(
        _ shape: CommandParameterShape,
        _ format: ValueFormat<Value>,
        help: String
    ) -> CommandParameter {
        CommandParameter(
            shape,
            format.placeholder,
            accepted: format.accepted,
            help: help,
            defaultText: nil,
            isRequired: true
        ) { texts in texts.first.flatMap(format.parse) }
    }

    /// The same parameter for a command that can do without it: absent is nil.
    package var optional: CommandParameter<Value?> {
        let read = read
        return CommandParameter<Value?>(
            shape,
            placeholder,
            accepted: accepted,
            help: help,
            defaultText: nil,
            isRequired: false
        ) { texts in
            if texts.isEmpty { return .some(nil) }
            return read(texts).map { .some($0) }
        }
    }
}

extension CommandParameter {
    /// All remaining words, each of one format.
    package static func rest<Element>(
        _ name: String,
        _ format: ValueFormat<Element>,
        help: String
    ) -> CommandParameter where Value == [Element] {
        CommandParameter(
            .rest(name),
            format.placeholder,
            accepted: format.accepted,
            help: help,
            defaultText: nil,
            isRequired: true
        ) { texts in
            let values = texts.compactMap(format.parse)
            return values.count == texts.count ? values : nil
        }
    }
}
