// One configuration variable: its name, its type, what stands for it when it is absent, and its line in `--help`.

/// A key whose value type is erased, for tables and help texts.
package protocol AnySettingKey: Sendable {
    /// The environment variable's name.
    var name: String { get }
    /// Stands for the value in `--help`.
    var placeholder: String { get }
    /// Completes "expected …".
    var accepted: String { get }
    /// One sentence for the operator.
    var help: String { get }
    /// What `--help` shows as the default; nil when there is none.
    var defaultText: String? { get }
    /// A secret is never echoed, and may be given as `NAME_FILE`.
    var isSecret: Bool { get }
    /// Whether the program refuses to start without it.
    var isRequired: Bool { get }

    /// Reads the value from its text (nil: not set).
    /// - Throws: ``ConfigurationError`` naming this variable.
    func load(_ text: String?) throws(ConfigurationError) -> any LoadedSetting
}

/// A value read for a key; ``Settings`` keeps it until the typed subscript takes it out.
package protocol LoadedSetting: Sendable {}

struct Loaded<Value: Sendable>: LoadedSetting {
    let value: Value
}

/// A configuration variable with a typed value.
package struct SettingKey<Value: Sendable>: AnySettingKey {
    enum Absence: Sendable {
        /// The start is refused.
        case refused
        /// This value is used; `shown` is its text in `--help`, nil for none.
        case replaced(Value, shown: String?)
        /// This text is read as if it had been set.
        case defaulted(String)
    }

    package let name: String
    package let help: String
    package let isSecret: Bool
    let format: ValueFormat<Value>
    let absence: Absence

    /// A variable with a default, given as the text a user would write.
    package init(
        _ name: String,
        _ format: ValueFormat<Value>,
        default text: String,
        secret: Bool = false,
        help: String
    ) {
        self.init(name: name, format: format, absence: .defaulted(text), isSecret: secret, help: help)
    }

    /// A variable that a program listing it cannot start without. See ``optional`` for one that can.
    package init(_ name: String, _ format: ValueFormat<Value>, secret: Bool = false, help: String) {
        self.init(name: name, format: format, absence: .refused, isSecret: secret, help: help)
    }

    init(name: String, format: ValueFormat<Value>, absence: Absence, isSecret: Bool, help: String) {
        self.name = name
        self.format = format
        self.absence = absence
        self.isSecret = isSecret
        self.help = help
    }

    /// The same variable for a program that can do without it: absent is nil.
    package var optional: SettingKey<Value?> { optional(shown: nil) }

    func optional(shown: String?) -> SettingKey<Value?> {
        let parse = format.parse
        let wrapped = ValueFormat<Value?>(format.placeholder, accepted: format.accepted) { text in
            parse(text).map { .some($0) }
        }
        return SettingKey<Value?>(
            name: name,
            format: wrapped,
            absence: .replaced(nil, shown: shown),
            isSecret: isSecret,
            help: help
        )
    }

    package var placeholder: String { format.placeholder }
    package var accepted: String { format.accepted }

    package var defaultText: String? {
        switch absence {
        case .refused: nil
        case .replaced(_, let shown): shown
        case .defaulted(let text): text.isEmpty ? "empty" : text
        }
    }

    package var isRequired: Bool {
        if case .refused = absence { true } else { false }
    }

    package func load(_ text: String?) throws(ConfigurationError) -> any LoadedSetting {
        Loaded(value: try value(of: text))
    }

    func value(of text: String?) throws(ConfigurationError) -> Value {
        if let text { return try parse(text) }
        switch absence {
        case .refused: throw ConfigurationError(name, "is not set; expected \(accepted)\(fileHint)")
        case .replaced(let value, _): return value
        case .defaulted(let text): return try parse(text)
        }
    }

    private func parse(_ text: String) throws(ConfigurationError) -> Value {
        guard let value = format.parse(text) else {
            throw ConfigurationError(name, "is malformed; expected \(accepted)")
        }
        return value
    }

    private var fileHint: String { isSecret ? " (or \(name)_FILE, the path of a file that holds it)" : "" }
}
