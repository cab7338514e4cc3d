import Basics
import JSON
import ServiceKit
import Testing

/// Collects lines instead of writing them.
final class LogCapture: Sendable {
    private let lines = Locked<[[UInt8]]>([])

    func logger(
        _ format: LogFormat = .json,
        level: Logger.Level = .info,
        clock: WallClock = .system
    ) -> Logger {
        let destination = LogDestination(format: format, level: level, service: "tests", clock: clock) { [lines] line in
            lines.withLock { $0.append(line) }
        }
        return Logger(label: "test", destination: destination)
    }

    var texts: [String] { lines.withLock { $0 }.map { String(decoding: $0, as: UTF8.self) } }

    /// Each line as the object that another reader of JSON sees.
    func objects() throws -> [[String: JSONValue]] {
        try lines.withLock { $0 }.map { line in
            let members = try #require(try JSON.parse(line).objectValue)
            #expect(Set(members.map(\.key)).count == members.count, "a key stands twice")
            return Dictionary(members.map { ($0.key, $0.value) }) { first, _ in first }
        }
    }
}

@Suite struct LoggerTests {
    private let capture = LogCapture()

    @Test func `a line is one JSON object with time, level, message and dotted keys`() throws {
        let clock = ManualClock(wall: try #require(Timestamp(rfc3339: "2026-03-04T05:06:07.089Z")))
        var logger = capture.logger(clock: clock.wall)
        logger[metadataKey: "kafka.topic"] = "t"
        logger.info("stored", metadata: ["webhook.id": "w-1", "count": .stringConvertible(3)])
        #expect(
            capture.texts == [
                #"{"time":"2026-03-04T05:06:07.089000Z","level":"info","message":"stored","logger":"test","#
                    + #""service.name":"tests","count":3,"kafka.topic":"t","webhook.id":"w-1"}"# + "\n"
            ]
        )
    }

    @Test func `the thousandth line is written from the same depth of the stack as the first`() {
        let depths = Locked<[Int]>([])
        let destination = LogDestination(format: .json, level: .info, service: "tests") { _ in
            var here = 0
            withUnsafePointer(to: &here) { place in depths.withLock { $0.append(Int(bitPattern: place)) } }
        }
        let logger = Logger(label: "test", destination: destination)
        for _ in 0..<1_000 { logger.info("a line") }
        let seen = depths.withLock { $0 }
        #expect(seen.count == 1_000)
        #expect(Set(seen).count == 1)
    }

    static let hostile = [
        "\"", "\\", "\n{\"level\":\"critical\"}", "\r\n", "\t", "\u{0}", "\u{1B}[31m", "\u{7F}", "\u{85}", "\u{2028}",
        "ünïcödé", "👩‍👩‍👧", "</script>", "%s%n", "a\u{301}", "\u{FEFF}", "\u{FFFF}", "}", "\",\"level\":\"debug",
    ]

    @Test(arguments: hostile, [LogFormat.json, .text])
    func `hostile text stays on its line`(_ text: String, _ format: LogFormat) throws {
        var logger = capture.logger(format).labelled(text)
        logger[metadataKey: text] = .string(text)
        logger.info(Logger.Message(stringLiteral: text), metadata: ["nested": ["k": [.string(text)]]])
        let line = try #require(capture.texts.first)
        #expect(capture.texts.count == 1)
        #expect(line.utf8.filter { $0 == UInt8(ascii: "\n") }.count == 1 && line.hasSuffix("\n"))
        #expect(!line.dropLast().unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F })
        guard format == .json else {
            #expect(!line.dropLast().unicodeScalars.contains { (0x80...0x9F).contains($0.value) || $0.value == 0x2028 })
            return
        }
        let object = try #require(try capture.objects().first)
        #expect(object["message"] == .string(text))
        #expect(object[text] == .string(text))
        #expect(object["logger"] == .string(text))
        #expect(object["nested"] == ["k": [.string(text)]])
        #expect(object["level"] == .string("info"))
    }

    @Test(arguments: Logger.Level.allCases)
    func `lines below the level are neither written nor evaluated`(_ level: Logger.Level) {
        let logger = capture.logger(level: level)
        let evaluated = Locked(0)
        for other in Logger.Level.allCases {
            logger.log(
                level: other,
                {
                    evaluated.withLock { $0 += 1 }
                    return "x"
                }()
            )
        }
        let expected = Logger.Level.allCases.filter { $0 >= level }.count
        #expect(capture.texts.count == expected)
        #expect(evaluated.withLock { $0 } == expected)
    }

    @Test func `each method writes its level`() throws {
        let logger = capture.logger(level: .trace)
        logger.trace("x")
        logger.debug("x")
        logger.info("x")
        logger.notice("x")
        logger.warning("x")
        logger.error("x")
        logger.critical("x")
        #expect(try capture.objects().map { $0["level"] } == Logger.Level.allCases.map { .string($0.rawValue) })
    }

    @Test func `numbers and booleans keep their type, other values are text`() throws {
        capture.logger().info(
            "x",
            metadata: [
                "int": .stringConvertible(-7), "unsigned": .stringConvertible(UInt64.max),
                "double": .stringConvertible(0.5),
                "nan": .stringConvertible(Double.nan), "bool": .stringConvertible(true),
                "secret": .stringConvertible(Secret("hidden")), "dictionary": ["a": ["b": "c"]],
            ]
        )
        let object = try #require(try capture.objects().first)
        #expect(object["int"] == -7)
        #expect(object["double"] == 0.5)
        #expect(object["nan"] == .string("nan"))
        #expect(object["bool"] == .bool(true))
        #expect(object["secret"] == .string("<redacted>"))
        #expect(object["dictionary"] == ["a": ["b": "c"]])
        #expect(capture.texts.first?.contains("\"unsigned\":18446744073709551615") == true)
    }

    @Test func `metadata cannot pose as our own keys`() throws {
        capture.logger().info("true", metadata: ["level": "critical", "metadata.level": "own", "message": "forged"])
        let object = try #require(try capture.objects().first)
        #expect(object["level"] == .string("info"))
        #expect(object["message"] == .string("true"))
        #expect(object["metadata.level"] == .string("own"))
        #expect(object["metadata.metadata.level"] == .string("critical"))
        #expect(object["metadata.message"] == .string("forged"))
    }

    @Test(arguments: [LogFormat.json, .text])
    func `a line is bounded`(_ format: LogFormat) throws {
        let long = String(repeating: "é", count: 100_000)
        var deep: Logger.MetadataValue = .string("end")
        for _ in 0..<50 { deep = .array([deep]) }
        var metadata: Logger.Metadata = ["deep": deep, "wide": .array(Array(repeating: .string(long), count: 1000))]
        for index in 0..<1000 { metadata["key.\(index)"] = .string(long) }
        capture.logger(format).info(Logger.Message(stringLiteral: long), metadata: metadata)
        let line = try #require(capture.texts.first)
        #expect(line.utf8.count < 40_000)
        if format == .json {
            let object = try #require(try capture.objects().first)
            #expect(object["log.truncated"] == .bool(true))
            #expect(object["message"] == .string(String(repeating: "é", count: 1024) + "…"))
        } else {
            #expect(line.contains("log.truncated=true"))
        }
    }

    @Test func `text is for people`() throws {
        let clock = ManualClock(wall: try #require(Timestamp(rfc3339: "2026-03-04T05:06:07Z")))
        capture.logger(.text, clock: clock.wall).warning(
            "slow broker",
            metadata: ["a": "plain", "b": "two words", "c": #"say "hi""#, "d": ""]
        )
        #expect(
            capture.texts == [
                #"2026-03-04T05:06:07.000Z warning  [test] slow broker a=plain b="two words" c="say \"hi\"" d="""#
                    + "\n"
            ]
        )
    }

    @Test func `a copy keeps its own metadata and level`() throws {
        let logger = capture.logger()
        var copy = logger.labelled("other")
        copy[metadataKey: "id"] = "1"
        copy.logLevel = .error
        logger.info("first")
        copy.info("never")
        copy.error("second")
        let objects = try capture.objects()
        #expect(objects.count == 2)
        #expect(objects[0]["id"] == nil)
        #expect(objects[1]["id"] == .string("1"))
        #expect(objects[1]["logger"] == .string("other"))
    }

    @Test func `lines of many writers do not mix`() async throws {
        let logger = capture.logger()
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for _ in 0..<200 { logger.info("x", metadata: ["w": .stringConvertible(writer)]) }
                }
            }
        }
        #expect(try capture.objects().count == 1600)
    }
}

@Suite struct LogHashTests {
    private let key = Secret(bytes: Array(repeating: 7, count: 32))

    @Test func `equal keys give equal tokens, other keys and ids others`() {
        let hash = LogHash(key: key)
        #expect(hash("usr_1") == LogHash(key: key)("usr_1"))
        #expect(hash("usr_1") != hash("usr_2"))
        #expect(hash("usr_1") != LogHash(key: nil)("usr_1"))
        #expect(LogHash(key: nil)("usr_1") != LogHash(key: nil)("usr_1"))
    }

    @Test func `is HMAC-SHA-256 in 16 digits`() {
        // openssl: printf usr_1 | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf '07%.0s' $(seq 32))
        #expect(LogHash(key: key)("usr_1") == "5b9a7d61bed92a34")
    }
}
