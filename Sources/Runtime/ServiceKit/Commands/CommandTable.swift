// A program's commands as one table: parsing, help and errors come from the same values.

/// One command, for example `users add`.
package struct Command: Sendable {
    /// The words that name it.
    package let path: [String]
    /// One line.
    package let summary: String
    package let parameters: [any AnyCommandParameter]
    package let flags: [CommandFlag]
    /// The configuration it reads.
    package let settings: [any AnySettingKey]
    package let run: @Sendable (CommandInvocation) async throws -> Void

    /// - Parameter name: Its words, separated by blanks: `users add`.
    package init(
        _ name: String,
        summary: String,
        parameters: [any AnyCommandParameter] = [],
        flags: [CommandFlag] = [],
        settings: [any AnySettingKey] = [],
        run: @escaping @Sendable (CommandInvocation) async throws -> Void
    ) {
        path = name.split(separator: " ").map(String.init)
        self.summary = summary
        self.parameters = parameters
        self.flags = flags
        self.settings = settings
        self.run = run
    }

    package var name: String { path.joined(separator: " ") }
}

/// What a command line asks for.
package enum CommandRequest: Sendable {
    case help(String)
    case version
    case run(Command, ParsedArguments)
}

/// The values of one command line, read and checked.
package struct ParsedArguments: Sendable {
    private var values: [String: any LoadedSetting] = [:]
    private var flags: Set<String> = []

    init(values: [String: any LoadedSetting], flags: Set<String>) {
        self.values = values
        self.flags = flags
    }

    package subscript<Value>(parameter: CommandParameter<Value>) -> Value {
        guard let loaded = values[parameter.shape.label] as? Loaded<Value> else {
            preconditionFailure("this command does not list \(parameter.shape.label) in this form")
        }
        return loaded.value
    }

    package subscript(flag: CommandFlag) -> Bool { flags.contains(flag.name) }
}

/// The commands of a program.
package struct CommandTable: Sendable {
    /// Every command takes it.
    package static let output = CommandParameter<OutputFormat>.option(
        "output",
        ValueFormat("table|json", accepted: "table or json") { OutputFormat(rawValue: $0) },
        default: "table",
        help: "how results are printed"
    )

    package let program: String
    package let summary: String
    package let commands: [Command]

    package init(program: String, summary: String, commands: [Command]) {
        self.program = program
        self.summary = summary
        self.commands = commands
        let names = commands.map(\.name)
        precondition(Set(names).count == names.count, "a command stands twice in the table")
    }

    /// Finds the command and reads its arguments.
    ///
    /// - Parameter arguments: Without the program's own name.
    /// - Throws: ``UsageError``; it names options and commands, and never repeats a value.
    package func parse(_ arguments: [String]) throws(UsageError) -> CommandRequest {
        let words = arguments.prefix { !$0.hasPrefix("-") }
        let wantsHelp = arguments.prefix { $0 != "--" }.contains { $0 == "--help" || $0 == "-h" }
        if arguments.first == "help" { return .help(help(for: Array(words.dropFirst()))) }
        if arguments == ["--version"] { return .version }
        guard let command = command(named: words) else {
            if wantsHelp { return .help(help(for: Array(words))) }
            throw unknownCommand(Array(words), first: arguments.first)
        }
        if wantsHelp { return .help(help(of: command)) }
        var reader = ArgumentReader(command: command, program: program)
        return .run(command, try reader.read(Array(arguments.dropFirst(command.path.count))))
    }

    /// The command with the longest path that the words begin with.
    private func command(named words: ArraySlice<String>) -> Command? {
        commands.filter { words.starts(with: $0.path) }.max { $0.path.count < $1.path.count }
    }

    private func unknownCommand(_ words: [String], first: String?) -> UsageError {
        guard let first else { return UsageError("no command given", hint: "\(program) --help lists them") }
        guard !words.isEmpty else {
            let name = LineText.visible(String(first.prefix { $0 != "=" }))
            return UsageError("unknown option \(name)", hint: "\(program) --help lists the commands")
        }
        let group = commands.filter { $0.path.first == words[0] && $0.path.count > 1 }
        if !group.isEmpty {
            let names = group.map { $0.path.dropFirst().joined(separator: " ") }
            guard words.count > 1 else {
                return UsageError("\(words[0]) needs one of: \(names.joined(separator: ", "))")
            }
            return UsageError(
                "unknown command \(LineText.visible("\(words[0]) \(words[1])"))",
                hint: Spelling.closest(to: words[1], among: names).map { "did you mean \(program) \(words[0]) \($0)?" }
                    ?? "\(words[0]) takes one of: \(names.joined(separator: ", "))"
            )
        }
        let names = Set(commands.compactMap(\.path.first)).sorted()
        return UsageError(
            "unknown command \(LineText.visible(words[0]))",
            hint: Spelling.closest(to: words[0], among: names).map { "did you mean \(program) \($0)?" }
                ?? "\(program) --help lists the commands"
        )
    }

    // MARK: Help

    /// The help text for a command's path, or for what begins with it.
    package func help(for path: [String]) -> String {
        if let command = commands.first(where: { $0.path == path }) { return help(of: command) }
        let shown = commands.filter { $0.path.starts(with: path) }
        let listed = shown.isEmpty ? commands : shown
        let width = listed.map(\.name.count).max() ?? 0
        var lines = ["\(program) — \(summary)", "", "Usage: \(program) COMMAND [--output table|json]", "", "Commands:"]
        lines += listed.map { "  \($0.name.padded(to: width))  \($0.summary)" }
        lines += ["", "\(program) COMMAND --help tells what a command takes and which settings it reads."]
        return lines.joined(separator: "\n") + "\n"
    }

    private func help(of command: Command) -> String {
        let parameters = command.parameters + [CommandTable.output]
        var usage = "Usage: \(program) \(command.name)"
        for parameter in parameters {
            var text = parameter.shape.label
            if case .option = parameter.shape { text += " \(parameter.placeholder)" }
            usage += parameter.isRequired ? " \(text)" : " [\(text)]"
        }
        for flag in command.flags { usage += " [--\(flag.name)]" }
        var lines = ["\(program) \(command.name) — \(command.summary)", "", usage, ""]
        for parameter in parameters {
            let note = parameter.defaultText.map { " (default \($0))" } ?? (parameter.isRequired ? "" : " (optional)")
            lines.append("  \(parameter.shape.label)\(note)")
            lines.append("      \(parameter.help); expected \(parameter.accepted)")
        }
        for flag in command.flags { lines += ["  --\(flag.name)", "      \(flag.help)"] }
        lines += ["", SettingsHelp.text(Setting.unique(command.settings + Setting.commandLogging))]
        return lines.joined(separator: "\n") + "\n"
    }
}
