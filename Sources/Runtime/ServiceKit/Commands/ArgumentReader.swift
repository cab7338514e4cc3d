// Reads the words after a command's name: a pull loop over options, flags and positional arguments. No abbreviations,
// no bundled letters; `--` ends the options.

struct ArgumentReader {
    private let command: Command
    private let program: String
    private let parameters: [any AnyCommandParameter]
    private var texts: [String: [String]] = [:]
    private var flags: Set<String> = []
    private var words: [String] = []

    init(command: Command, program: String) {
        self.command = command
        self.program = program
        parameters = command.parameters + [CommandTable.output]
    }

    mutating func read(_ arguments: [String]) throws(UsageError) -> ParsedArguments {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                words += rest
                break
            }
            if argument.hasPrefix("--") {
                try option(argument.dropFirst(2), &rest)
            } else if argument.hasPrefix("-"), argument.count > 1 {
                throw unknown("option", String(argument.prefix(2)), among: [])
            } else {
                words.append(argument)
            }
        }
        try placeWords()
        var values: [String: any LoadedSetting] = [:]
        for parameter in parameters {
            let label = parameter.shape.label
            do {
                values[label] = try parameter.load(texts[label] ?? [])
            } catch {
                throw UsageError(error.description, hint: helpHint)
            }
        }
        return ParsedArguments(values: values, flags: flags)
    }

    private mutating func option(_ text: Substring, _ rest: inout ArraySlice<String>) throws(UsageError) {
        let equals = text.firstIndex(of: "=")
        let name = String(text[..<(equals ?? text.endIndex)])
        if command.flags.contains(where: { $0.name == name }) {
            guard equals == nil else { throw UsageError("--\(name) takes no value", hint: helpHint) }
            flags.insert(name)
            return
        }
        guard parameters.contains(where: { $0.shape == .option(name) }) else {
            let names = parameters.compactMap { parameter in
                if case .option(let name) = parameter.shape { name } else { nil }
            }
            throw unknown("option", "--\(name)", among: (names + command.flags.map(\.name)).map { "--\($0)" })
        }
        guard texts["--\(name)"] == nil else { throw UsageError("--\(name) is given twice", hint: helpHint) }
        if let equals {
            texts["--\(name)"] = [String(text[text.index(after: equals)...])]
        } else if let next = rest.first, !next.hasPrefix("--") {
            texts["--\(name)"] = [next]
            rest.removeFirst()
        } else {
            throw UsageError("--\(name) needs a value", hint: helpHint)
        }
    }

    private mutating func placeWords() throws(UsageError) {
        var left = words[...]
        for parameter in parameters {
            switch parameter.shape {
            case .option: continue
            case .argument:
                if let word = left.popFirst() { texts[parameter.shape.label] = [word] }
            case .rest:
                if !left.isEmpty { texts[parameter.shape.label] = Array(left) }
                left = []
            }
        }
        // The word itself is not repeated: it may be a secret that somebody took for an argument.
        if !left.isEmpty { throw UsageError("\(command.name) takes no further argument", hint: helpHint) }
    }

    private var helpHint: String { "\(program) \(command.name) --help" }

    private func unknown(_ what: String, _ name: String, among names: [String]) -> UsageError {
        let hint = Spelling.closest(to: name, among: names).map { "did you mean \($0)?" } ?? helpHint
        return UsageError("unknown \(what) \(LineText.visible(LineText.cut(name, limit: 64)))", hint: hint)
    }
}

/// Guesses what was meant by a misspelt word.
enum Spelling {
    /// The candidate that is at most two edits and less than half the word away; nil when there is none.
    static func closest(to word: String, among candidates: [String]) -> String? {
        guard word.count <= 64 else { return nil }
        let ranked = candidates.map { ($0, distance(Array(word), Array($0))) }
        guard let best = ranked.min(by: { $0.1 < $1.1 }) else { return nil }
        return best.1 <= 2 && best.1 * 2 < max(word.count, 3) ? best.0 : nil
    }

    /// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
    static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var rows = [Array(0...right.count)]
        for (row, character) in left.enumerated() {
            var next = [row + 1]
            for (column, other) in right.enumerated() {
                var best = min(next[column] + 1, rows[row][column + 1] + 1)
                best = min(best, rows[row][column] + (character == other ? 0 : 1))
                if row > 0, column > 0, character == right[column - 1], left[row - 1] == other {
                    best = min(best, rows[row - 1][column - 1] + 1)
                }
                next.append(best)
            }
            rows.append(next)
        }
        return rows[left.count][right.count]
    }
}

extension String {
    /// The text with blanks after it up to `width` characters.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: Swift.max(0, width - count)) }
    /// The text with blanks before it up to `width` characters.
    func paddedBefore(to width: Int) -> String { String(repeating: " ", count: Swift.max(0, width - count)) + self }
}
