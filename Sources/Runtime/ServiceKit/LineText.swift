// Text from outside made safe to print on one line of a terminal or a log.

enum LineText {
    /// Control characters, which could forge a line or drive a terminal, become visible escapes.
    static func visible(_ text: String) -> String {
        if isPrintable(text) { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case let scalar where !isPrintable(String(scalar)): result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The longest beginning of at most `limit` bytes, by whole scalars, marked with `…` when something is missing.
    static func cut(_ text: String, limit: Int) -> String {
        guard text.utf8.count > limit else { return text }
        var end = text.utf8.index(text.utf8.startIndex, offsetBy: limit)
        while String.Index(end, within: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
        return String(text[..<end]) + "…"
    }
}
