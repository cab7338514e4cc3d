// Documents and what RFC 8259 says of them, in the spirit of the public parser test suites: one trap each.

import JSON

struct Sample: Sendable, CustomStringConvertible {
    let name: String
    let bytes: [UInt8]

    init(_ name: String, _ text: String) {
        self.name = name
        bytes = Array(text.utf8)
    }

    init(_ name: String, bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }

    var description: String { name }
}

enum Corpus {
    /// Lawful, and readable by the parser.
    static let accepted: [Sample] = [
        Sample("null alone", "null"),
        Sample("true alone", "true"),
        Sample("false alone", "false"),
        Sample("string alone", #""text""#),
        Sample("empty string", #""""#),
        Sample("zero", "0"),
        Sample("minus zero", "-0"),
        Sample("minus zero with fraction", "-0.0"),
        Sample("integer", "[123]"),
        Sample("largest signed", "[9223372036854775807]"),
        Sample("smallest signed", "[-9223372036854775808]"),
        Sample("largest unsigned", "[18446744073709551615]"),
        Sample("fraction", "[123.456789]"),
        Sample("exponent", "[1e22]"),
        Sample("exponent with plus", "[1E+2]"),
        Sample("exponent with minus", "[1e-2]"),
        Sample("fraction and exponent", "[123.456e78]"),
        Sample("zero exponent", "[0e1]"),
        Sample("many digits of fraction", "[0.1234567890123456789012345678901234567890]"),
        Sample("underflow to zero", "[123e-10000000]"),
        Sample("double close to zero", "[-0.000000000000000000000000000000000000000000000000000001]"),
        Sample("empty array", "[]"),
        Sample("empty object", "{}"),
        Sample("array of empties", "[[],{},\"\"]"),
        Sample("space around everything", " \t\r\n[ 1 ,\n2 ]\r\n"),
        Sample("leading space before a scalar", " 1"),
        Sample("trailing line end", "{\"a\":1}\n"),
        Sample("duplicate names", #"{"a":1,"a":2}"#),
        Sample("empty name", #"{"":0}"#),
        Sample("escaped NUL in a name", #"{"a\u0000b":1}"#),
        Sample("every short escape", #"["\"\\\/\b\f\n\r\t"]"#),
        Sample("unicode escape", #"["\u0041\u00e9\u20AC"]"#),
        Sample("surrogate pair", #"["\ud83d\ude00"]"#),
        Sample("surrogate pair in capitals", #"["\uD83D\uDE00"]"#),
        Sample("escaped backslash before u", #"["\\u0000"]"#),
        Sample("noncharacter escape", #"["\uFFFF"]"#),
        Sample("raw DEL", "[\"\u{7f}\"]"),
        Sample("two bytes of UTF-8", "[\"é\"]"),
        Sample("three bytes of UTF-8", "[\"€\"]"),
        Sample("four bytes of UTF-8", "[\"😀\"]"),
        Sample("last code point", bytes: Array("[\"".utf8) + [0xF4, 0x8F, 0xBF, 0xBF] + Array("\"]".utf8)),
        Sample("line separators unescaped", "[\"\u{2028}\u{2029}\"]"),
        Sample("slash unescaped", #"["/"]"#),
        Sample("comment inside a string", #"["a/*b*/c"]"#),
        Sample("nested", #"{"a":{"b":[{"c":null}]}}"#),
        Sample("200 levels", String(repeating: "[", count: 200) + String(repeating: "]", count: 200)),
    ]

    /// Lawful, and not readable by the parser.
    static let unreadable: [Sample] = [
        Sample("lone high surrogate", #"["\ud83d"]"#),
        Sample("lone low surrogate", #"["\ude00"]"#),
        Sample("high surrogate twice", #"["\ud83d\ud83d"]"#),
        Sample("high surrogate before another escape", #"["\ud83d\u0041"]"#),
        Sample("high surrogate before a short escape", #"["\ud83d\n"]"#),
        Sample("high surrogate at the end", #"["a\ud83d"]"#),
        Sample("reversed pair", #"["\ude00\ud83d"]"#),
        Sample("lone surrogate in a name", #"{"\ud83d":1}"#),
        Sample("2 to the 64", "[18446744073709551616]"),
        Sample("one below the smallest signed", "[-9223372036854775809]"),
        Sample("a hundred digits", "[" + String(repeating: "9", count: 100) + "]"),
        Sample("beyond a double", "[1e400]"),
        Sample("far beyond a double", "[-1E+99999]"),
        Sample("surrogate and number", #"{"a":"\udfff","b":1e999,"c":[1]}"#),
    ]

    /// No JSON.
    static let refused: [Sample] = [
        Sample("nothing", ""),
        Sample("only space", " \n"),
        Sample("byte order mark", bytes: [0xEF, 0xBB, 0xBF] + Array("{}".utf8)),
        Sample("UTF-16", bytes: [0x7B, 0, 0x7D, 0]),
        Sample("half of a document", #"{"a":"#),
        Sample("cut in a string", #"{"a":"b"#),
        Sample("cut after an escape", #"["\"#),
        Sample("open array", "[1"),
        Sample("open object", #"{"a":1"#),
        Sample("only a bracket", "["),
        Sample("closed twice", "[]]"),
        Sample("closed by the other", "[1}"),
        Sample("two documents", "{}{}"),
        Sample("two scalars", "1 2"),
        Sample("trailing comma in array", "[1,]"),
        Sample("trailing comma in object", #"{"a":1,}"#),
        Sample("leading comma", "[,1]"),
        Sample("double comma", "[1,,2]"),
        Sample("missing comma", "[1 2]"),
        Sample("colon in array", "[1:2]"),
        Sample("missing colon", #"{"a" 1}"#),
        Sample("double colon", #"{"a"::1}"#),
        Sample("missing value", #"{"a":}"#),
        Sample("missing name", "{:1}"),
        Sample("name without quotes", "{a:1}"),
        Sample("name in single quotes", "{'a':1}"),
        Sample("number as name", "{1:1}"),
        Sample("single quotes", "['a']"),
        Sample("comment", "[1/**/]"),
        Sample("line comment", "[1] // x"),
        Sample("capital literal", "[True]"),
        Sample("cut literal", "[nul]"),
        Sample("long literal", "[nulll]"),
        Sample("NaN", "[NaN]"),
        Sample("infinity", "[Infinity]"),
        Sample("minus infinity", "[-Infinity]"),
        Sample("minus alone", "[-]"),
        Sample("plus sign", "[+1]"),
        Sample("double minus", "[--1]"),
        Sample("leading zero", "[01]"),
        Sample("minus and leading zero", "[-01]"),
        Sample("no digit after the point", "[1.]"),
        Sample("no digit before the point", "[.5]"),
        Sample("two points", "[1.2.3]"),
        Sample("no digit in the exponent", "[1e]"),
        Sample("only a sign in the exponent", "[1e+]"),
        Sample("two exponents", "[1e2e3]"),
        Sample("hexadecimal number", "[0x1F]"),
        Sample("underscore in number", "[1_000]"),
        Sample("letter after number", "[1a]"),
        Sample("number and NUL", bytes: Array("123".utf8) + [0]),
        Sample("full-width digit", "[１]"),
        Sample("invalid escape", #"["\x41"]"#),
        Sample("escaped single quote", #"["\'"]"#),
        Sample("short unicode escape", #"["\u00A"]"#),
        Sample("unicode escape without digits", #"["\uZZZZ"]"#),
        Sample("capital U", #"["\U0041"]"#),
        Sample("surrogate then a broken escape", #"["\ud83d\uZZZZ"]"#),
        Sample("escaped line end", "[\"a\\\nb\"]"),
        Sample("raw line end in a string", "[\"a\nb\"]"),
        Sample("raw tab in a string", "[\"\t\"]"),
        Sample("raw NUL in a string", bytes: Array("[\"a".utf8) + [0] + Array("\"]".utf8)),
        Sample("raw NUL outside", bytes: Array("[1,".utf8) + [0] + Array("2]".utf8)),
        Sample("form feed as space", "[\u{0C}1]"),
        Sample("no-break space", "[\u{A0}1]"),
        Sample("lone continuation byte", bytes: Array("[\"".utf8) + [0x80] + Array("\"]".utf8)),
        Sample("cut sequence", bytes: Array("[\"".utf8) + [0xE2, 0x82] + Array("\"]".utf8)),
        Sample("overlong slash", bytes: Array("[\"".utf8) + [0xC0, 0xAF] + Array("\"]".utf8)),
        Sample("overlong NUL", bytes: Array("[\"".utf8) + [0xE0, 0x80, 0x80] + Array("\"]".utf8)),
        Sample("surrogate in UTF-8", bytes: Array("[\"".utf8) + [0xED, 0xA0, 0x80] + Array("\"]".utf8)),
        Sample("beyond the last code point", bytes: Array("[\"".utf8) + [0xF4, 0x90, 0x80, 0x80] + Array("\"]".utf8)),
        Sample("byte FF", bytes: Array("[\"".utf8) + [0xFF] + Array("\"]".utf8)),
        Sample("bad byte outside a string", bytes: Array("[1".utf8) + [0xE9] + Array("]".utf8)),
        Sample("HTML", "<html><body>502 Bad Gateway</body></html>"),
        Sample("unreadable number and no end", #"{"a":1e400,"b":[1"#),
        Sample("unreadable string and a broken number", #"{"a":"\ud83d","b":1.2.3}"#),
        Sample("unreadable number and trailing text", "[1e400]x"),
    ]

    /// A document shaped like Plaid's report, with every kind of value.
    static let report = """
        {"report":{"report_id":"rB7kQ1zMxT","date_generated":"2026-11-20T03:04:05.123456789Z","days_requested":365,\
        "client_report_id":"loan-88231-r2","items":[{"item_id":"kV3m","accounts":[{"mask":null,"balances":\
        {"available":812.4,"current":-830.15,"limit":1e2},"transactions":[{"pending":false,"amount":0}]}]}]},\
        "warnings":[{"warning_type":"BASE_REPORT_WARNING","warning_code":"IDENTITY_UNAVAILABLE","cause":null}],\
        "request_id":"bQ3"}
        """
}
