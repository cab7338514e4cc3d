import Basics
import JSON
import Testing

@testable import ServiceKit

private let userID = CommandParameter<String>.option("user-id", .text, help: "the user")
private let partitions = CommandParameter<Int>.option("partitions", .integer(1...100), default: "12", help: "how many")
private let client = CommandParameter<String>.option("client-user-id", .text, help: "the lender's id").optional
private let user = CommandParameter<String>.argument("USER", .text, help: "the user")
private let ids = CommandParameter<[Int]>.rest("ID", .integer(1...1000), help: "dead letters")
private let wait = CommandFlag("wait", help: "wait for the end")

private let table = CommandTable(
    program: "checkctl",
    summary: "the operator's command line",
    commands: [
        Command("migrate", summary: "apply the schema", settings: Setting.database + [Setting.logLevel]) { _ in },
        Command("topics apply", summary: "make missing topics", parameters: [partitions]) { _ in },
        Command("users add", summary: "add a user", parameters: [userID, client], flags: [wait]) { _ in },
        Command("users list", summary: "list users") { _ in },
        Command("trace", summary: "one user's story", parameters: [user]) { _ in },
        Command("dead-letters replay", summary: "replay", parameters: [ids]) { _ in },
    ]
)

private func parse(_ line: String) throws -> (Command, ParsedArguments) {
    guard case .run(let command, let arguments) = try table.parse(line.split(separator: " ").map(String.init)) else {
        throw UsageError("not a command: \(line)")
    }
    return (command, arguments)
}

@Suite struct CommandTableTests {
    @Test func `finds the command and reads its options in any order`() throws {
        for line in [
            "users add --user-id U --wait --client-user-id C", "users add --wait --client-user-id=C --user-id=U",
        ] {
            let (command, arguments) = try parse(line)
            #expect(command.name == "users add")
            #expect(arguments[userID] == "U")
            #expect(arguments[client] == "C")
            #expect(arguments[wait])
            #expect(arguments[CommandTable.output] == .table)
        }
    }

    @Test func `absent options have their default or nil`() throws {
        #expect(try parse("topics apply").1[partitions] == 12)
        #expect(try parse("topics apply --partitions 3").1[partitions] == 3)
        let (_, arguments) = try parse("users add --user-id U")
        #expect(arguments[client] == nil)
        #expect(!arguments[wait])
    }

    @Test func `takes words, all remaining words, and words after two dashes`() throws {
        #expect(try parse("trace usr_1").1[user] == "usr_1")
        #expect(try parse("trace --output json usr_1").1[user] == "usr_1")
        #expect(try parse("trace --output json usr_1").1[CommandTable.output] == .json)
        #expect(try parse("dead-letters replay 1 2 3").1[ids] == [1, 2, 3])
        #expect(try parse("trace -- --odd").1[user] == "--odd")
        #expect(try parse("users add --user-id=--odd").1[userID] == "--odd")
    }

    @Test(arguments: [
        ("", "no command given", "--help"), ("user add", "unknown command user", "did you mean checkctl users?"),
        ("users ad", "unknown command users ad", "did you mean checkctl users add?"),
        ("users destroy", "unknown command users destroy", "add, list"), ("users", "users needs one of", nil),
        ("xyzzy", "unknown command xyzzy", "lists the commands"),
        ("--nonsense=hidden", "unknown option --nonsense", "--help"),
        ("users add --usr-id U", "unknown option --usr-id", "did you mean --user-id?"),
        ("users add --token=hidden", "unknown option --token", "users add --help"),
        ("users add -u hidden", "unknown option -u", nil), ("users add", "--user-id is missing", nil),
        ("users add --user-id", "--user-id needs a value", nil),
        ("users add --user-id --wait", "--user-id needs a value", nil),
        ("users add --user-id U --user-id V", "--user-id is given twice", nil),
        ("users add --user-id U --wait=yes", "--wait takes no value", nil),
        ("users add --user-id U hidden", "takes no further argument", nil),
        ("users add --us U", "unknown option --us", nil),
        ("topics apply --partitions hidden", "--partitions is malformed", nil),
        ("topics apply --partitions 0", "from 1 to 100", nil),
        ("topics apply --output xml", "--output is malformed", nil),
        ("trace", "USER is missing", nil), ("trace a hidden", "takes no further argument", nil),
        ("dead-letters replay", "ID… is missing", nil), ("dead-letters replay 1 x", "ID… is malformed", nil),
    ])
    func `tells what was not understood, with a hint and without values`(
        _ line: String,
        _ problem: String,
        _ hint: String?
    ) throws {
        let error = try #require(throws: UsageError.self) { try parse(line) }
        #expect(error.description.contains(problem))
        if let hint { #expect(try #require(error.hint).contains(hint)) }
        #expect(!"\(error.description) \(error.hint ?? "")".contains("hidden"))
        #expect(ProgramFailure(reporting: error).code == .usage)
    }

    @Test func `help lists the commands, a group's, or one command's options and settings`() throws {
        func help(_ line: String) throws -> String {
            guard case .help(let text) = try table.parse(line.split(separator: " ").map(String.init)) else { return "" }
            return text
        }
        for command in table.commands { #expect(try help("--help").contains(command.summary)) }
        #expect(try help("help") == help("-h"))
        let group = try help("users --help")
        #expect(group.contains("users add") && !group.contains("migrate"))
        let one = try help("users add --help")
        #expect(one.contains("--user-id text"))
        #expect(one.contains("--wait"))
        #expect(try help("help users add") == one)
        #expect(try help("users add --user-id U -h") == one)
        let migrate = try help("migrate --help")
        #expect(migrate.contains("DATABASE_URL"))
        #expect(migrate.split(separator: "\n").filter { $0.contains("LOG_LEVEL=") }.count == 1)
        #expect(try help("topics apply --help").contains("(default 12)"))
        #expect(throws: UsageError.self) { try parse("trace -- --help extra") }
    }

    @Test func `hostile words cannot drive the terminal`() throws {
        let error = try #require(throws: UsageError.self) { try table.parse(["\u{1B}[2J\n"]) }
        #expect(error.description == "unknown command \\u{1b}[2J\\n")
    }

    @Test(arguments: [
        ("add", "add", 0), ("ad", "add", 1), ("lsit", "list", 1), ("", "abc", 3), ("kitten", "sitting", 3),
    ])
    func `spelling distance counts edits and swaps`(_ left: String, _ right: String, _ expected: Int) {
        #expect(Spelling.distance(Array(left), Array(right)) == expected)
    }
}

@Suite struct CommandOutputTests {
    private func printed(_ format: OutputFormat, _ print: (CommandOutput) -> Void) -> String {
        let written = Locked<[UInt8]>([])
        print(CommandOutput(format: format) { bytes in written.withLock { $0 += bytes } })
        return String(decoding: written.withLock { $0 }, as: UTF8.self)
    }

    private var sample: OutputTable {
        var table = OutputTable(columns: ["user_id", "count", "note"])
        table.add([.text("usr_1"), .integer(7), .none])
        table.add([.text("a\u{1B}b\n"), .integer(1234), .text("x")])
        return table
    }

    @Test func `a table is as wide as its data, numbers to the right`() {
        #expect(
            printed(.table) { $0.print(sample) } == """
                USER ID     COUNT  NOTE
                usr_1           7  -
                a\\u{1b}b\\n   1234  x

                """
        )
    }

    @Test func `an empty table is its header, in JSON an empty list`() {
        let empty = OutputTable(columns: ["a", "b"])
        #expect(printed(.table) { $0.print(empty) } == "A  B\n")
        #expect(printed(.json) { $0.print(empty) } == "[]\n")
    }

    @Test func `JSON is an array of objects with the columns' names`() throws {
        let text = printed(.json) { $0.print(sample) }
        #expect(
            try JSON.parse(Array(text.utf8)) == [
                ["user_id": "usr_1", "count": 7, "note": nil],
                ["user_id": "a\u{1B}b\n", "count": 1234, "note": "x"],
            ]
        )
        #expect(printed(.table) { $0.print(["a": [1]] as JSONValue) } == "{\n  \"a\": [\n    1\n  ]\n}\n")
    }

    @Test func `a record is lines or one object`() throws {
        let record: [(String, OutputValue)] = [
            ("id", .text("x")), ("stored", .bool(true)), ("tags", .list([.text("a"), .number(.nan)])),
            ("at", .time(Timestamp(seconds: 1_800_000_000))),
        ]
        #expect(
            printed(.table) { $0.print(record) }
                == "id      x\nstored  yes\ntags    a, nan\nat      2027-01-15T08:00:00Z\n"
        )
        #expect(
            printed(.json) { $0.print(record) }
                == #"{"id":"x","stored":true,"tags":["a",null],"at":"2027-01-15T08:00:00Z"}"# + "\n"
        )
    }
}

@Suite struct ProgressTests {
    private let clock = ManualClock()
    private let written = Locked<[String]>([])

    private func line(_ total: Int, columns: Int?) -> ProgressLine {
        ProgressLine(what: "users", total: total, columns: columns, clock: clock.monotonic) { [written] text in
            written.withLock { $0.append(text) }
        }
    }

    @Test func `off a terminal it is plain lines, one in ten seconds and the last`() {
        let progress = line(200, columns: nil)
        for done in 1...200 {
            progress.advance(to: done)
            clock.advance(by: .milliseconds(100))
        }
        progress.finish(at: 200)
        #expect(written.withLock { $0 } == ["users 1/200 0%\n", "users 101/200 50%\n", "users 200/200 100%\n"])
    }

    @Test(arguments: [20, 80, 5])
    func `on a terminal it redraws one line within its width`(_ columns: Int) {
        let progress = line(1000, columns: columns)
        for done in 1...1000 {
            progress.advance(to: done)
            clock.advance(by: .milliseconds(10))
        }
        progress.finish(at: 1000)
        let texts = written.withLock { $0 }
        #expect(texts.count == 101)
        for text in texts {
            #expect(text.hasPrefix("\r"))
            #expect(text.prefix { $0 != "\u{1B}" }.count <= columns)
        }
        #expect(texts.last?.hasSuffix("\u{1B}[K\n") == true)
        #expect(texts.dropLast().allSatisfy { !$0.contains("\n") })
    }

    @Test func `nothing to do is all done`() {
        line(0, columns: nil).finish(at: 0)
        #expect(written.withLock { $0 } == ["users 0/0 100%\n"])
    }
}
