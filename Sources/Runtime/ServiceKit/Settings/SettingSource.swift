// Where settings come from: the process environment, the file named by CONFIG_FILE, and files that hold secrets.

package import Basics

/// The raw texts of the configuration before any key is read.
package struct SettingSource: Sendable {
    package static let configFileLimit = 1 << 20
    package static let secretFileLimit = 64 << 10

    /// Reads at most `limit` bytes of the file at `path`.
    package typealias FileReader = @Sendable (_ path: String, _ limit: Int) throws(FileReadError) -> [UInt8]

    private let environment: EnvironmentVariables
    private let readFile: FileReader
    private var file: [String: String] = [:]

    /// Reads CONFIG_FILE, when the environment names one.
    ///
    /// - Throws: ``ConfigurationError`` naming `CONFIG_FILE` and the line, never the line's text.
    package init(
        environment: EnvironmentVariables,
        readFile: @escaping FileReader = { path, limit throws(FileReadError) in
            try FileContents.read(path, limit: limit)
        }
    ) throws(ConfigurationError) {
        self.environment = environment
        self.readFile = readFile
        guard let path = environment["CONFIG_FILE"], !path.isEmpty else { return }
        let text = try SettingSource.text(ofFile: path, named: "CONFIG_FILE", limit: Self.configFileLimit, readFile)
        file = try SettingSource.parse(text)
    }

    /// The text for `key`: the environment before the file, the variable before its `_FILE`; nil when neither is set.
    ///
    /// An empty value counts as not set, but hides what the file says.
    package func text(for key: any AnySettingKey) throws(ConfigurationError) -> String? {
        if environment.undecodable.contains(key.name) {
            throw ConfigurationError(key.name, "is malformed; expected \(key.accepted), in UTF-8")
        }
        if let found = try text(for: key, in: { environment[$0] }) { return found.isEmpty ? nil : found }
        if let found = try text(for: key, in: { file[$0] }) { return found.isEmpty ? nil : found }
        return nil
    }

    /// Names in CONFIG_FILE that no program knows: most likely misspelt.
    package var unknownNames: [String] {
        let known = Set(Setting.all.flatMap { $0.isSecret ? [$0.name, "\($0.name)_FILE"] : [$0.name] })
        return file.keys.filter { !known.contains($0) }.sorted()
    }

    private func text(
        for key: any AnySettingKey,
        in values: (String) -> String?
    ) throws(ConfigurationError) -> String? {
        let direct = values(key.name)
        guard key.isSecret, let path = values("\(key.name)_FILE"), !path.isEmpty else { return direct }
        if let direct, !direct.isEmpty {
            throw ConfigurationError(key.name, "is set twice, also by \(key.name)_FILE; keep one")
        }
        let text = try SettingSource.text(
            ofFile: path,
            named: "\(key.name)_FILE",
            limit: Self.secretFileLimit,
            readFile
        )
        let value = text.hasSuffix("\r\n") || text.hasSuffix("\n") ? String(text.dropLast()) : text
        if value.isEmpty { throw ConfigurationError("\(key.name)_FILE", "names an empty file") }
        return value
    }

    private static func text(
        ofFile path: String,
        named variable: String,
        limit: Int,
        _ readFile: FileReader
    ) throws(ConfigurationError) -> String {
        let bytes: [UInt8]
        do {
            bytes = try readFile(path, limit)
        } catch {
            throw ConfigurationError(variable, "names a file that cannot be read: \(error)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError(variable, "names a file that is not UTF-8 text")
        }
        return text
    }

    /// One `NAME=value` a line; blank lines and lines that begin with `#` are skipped; blanks around name and value
    /// and one pair of quotes around the value are dropped. No escapes, no substitution.
    static func parse(_ text: String) throws(ConfigurationError) -> [String: String] {
        var values: [String: String] = [:]
        var number = 0
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            number += 1
            let line = trimmed(line)
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let equals = line.firstIndex(of: "="), equals != line.startIndex else {
                throw ConfigurationError("CONFIG_FILE", "line \(number) is not NAME=value")
            }
            let name = trimmed(line[..<equals])
            guard isVariableName(name) else {
                throw ConfigurationError("CONFIG_FILE", "line \(number) does not begin with a variable's name")
            }
            guard values[name] == nil else {
                throw ConfigurationError(name, "stands twice in CONFIG_FILE, again on line \(number)")
            }
            values[name] = unquoted(trimmed(line[line.index(after: equals)...]))
        }
        return values
    }

    /// Names are echoed in errors and warnings, so they must look like one: a stray line may be the rest of a key whose
    /// padding is taken for the equals sign.
    private static func isVariableName(_ name: String) -> Bool {
        name.utf8.count <= 64
            && name.utf8.allSatisfy { byte in
                isDigit(byte) || byte == UInt8(ascii: "_") || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            }
    }

    private static func unquoted(_ text: String) -> String {
        guard text.count >= 2, let first = text.first, first == "\"" || first == "'", text.last == first else {
            return text
        }
        return String(text.dropFirst().dropLast())
    }
}
