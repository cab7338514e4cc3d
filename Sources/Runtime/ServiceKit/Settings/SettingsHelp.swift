// The settings part of `--help`, printed from the keys themselves.

package enum SettingsHelp {
    /// Two lines a variable: its name and form with the default, then what it means.
    package static func text(_ keys: [any AnySettingKey]) -> String {
        var lines = ["Environment (or NAME=value lines in the file that CONFIG_FILE names; the environment wins):"]
        for key in keys {
            lines.append("  \(key.name)=\(key.placeholder)  \(absence(of: key))")
            lines.append("      \(key.help)")
        }
        if keys.contains(where: \.isSecret) {
            lines.append("A secret X may be given as X_FILE, the path of a file that holds it.")
        }
        return lines.joined(separator: "\n")
    }

    private static func absence(of key: any AnySettingKey) -> String {
        var notes: [String] = []
        if key.isRequired {
            notes.append("required")
        } else if let text = key.defaultText {
            notes.append("default \(text)")
        } else {
            notes.append("optional")
        }
        if key.isSecret { notes.append("secret") }
        return "(\(notes.joined(separator: ", ")))"
    }
}
