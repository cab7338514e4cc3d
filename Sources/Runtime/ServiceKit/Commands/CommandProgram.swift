// The synchronous main of a command-line program: parse, read settings, run one command, end with a code.

package import Basics
import Cryptography

/// What a running command works with.
package struct CommandInvocation: Sendable {
    package let arguments: ParsedArguments
    package let settings: Settings
    package let output: CommandOutput
    package let logger: Logger
    package let logHash: LogHash

    package init(
        arguments: ParsedArguments,
        settings: Settings,
        output: CommandOutput,
        logger: Logger,
        logHash: LogHash
    ) {
        self.arguments = arguments
        self.settings = settings
        self.output = output
        self.logger = logger
        self.logHash = logHash
    }

    package subscript<Value>(parameter: CommandParameter<Value>) -> Value { arguments[parameter] }
    package subscript(flag: CommandFlag) -> Bool { arguments[flag] }
    package subscript<Value>(key: SettingKey<Value>) -> Value { settings[key] }

    /// A secret from a file, or one line of standard input, not shown while it is typed.
    ///
    /// - Parameters:
    ///   - prompt: Written to standard error on a terminal.
    ///   - file: The path of a file that holds it; nil reads standard input.
    /// - Returns: Nil for an empty line, an empty file or the end of the input.
    package func readSecret(prompt: String, file: String? = nil) async throws -> Secret? {
        let bytes: [UInt8]
        if let file {
            do {
                bytes = try FileContents.read(file, limit: SettingSource.secretFileLimit)
            } catch {
                throw UsageError("the file with the secret cannot be read: \(error)")
            }
        } else {
            if StandardInput.isTerminal { OutputDescriptor.standardError.write(Array("\(prompt): ".utf8)) }
            let line = Promise<[UInt8]?>()
            // Ends with its line, or with the process: a read of a terminal cannot be called back.
            _ = WorkerThread(name: "standard-input") { line.resolve(.success(StandardInput.readSecretLine())) }
            bytes = try await line.value { StandardInput.showTyping() } ?? []
            if StandardInput.isTerminal { OutputDescriptor.standardError.write([UInt8(ascii: "\n")]) }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw UsageError("the secret is not UTF-8 text")
        }
        let value = trimmed(text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).first ?? "")
        return value.isEmpty ? nil : Secret(value)
    }
}

/// A command-line program.
package enum CommandProgram {
    /// How long a command may take to end after SIGINT or SIGTERM.
    static let cancelGrace = Duration.seconds(5)

    /// Runs the command that the arguments name, and never returns.
    ///
    /// Call from `main.swift`, on the main thread, before any other thread exists. SIGINT and SIGTERM cancel the
    /// command's task; a second one ends the process at once.
    ///
    /// - Parameter prepare: Runs before the command, on the main thread, while there is no other thread: for
    ///   libraries with a global initialisation.
    package static func run(
        _ table: CommandTable,
        arguments: [String] = CommandLine.arguments,
        prepare: () throws -> Void = {}
    ) -> Never {
        ProcessSetup.tuneAllocator()
        ProcessSetup.claimSignals()
        let environment = EnvironmentVariables.current()
        let end = ProcessEnd(environment: environment)
        let failure: ProgramFailure?
        do {
            switch try table.parse(Array(arguments.dropFirst())) {
            case .help(let text):
                OutputDescriptor.standardOutput.write(Array(text.utf8))
                failure = nil
            case .version:
                OutputDescriptor.standardOutput.write(Array("\(table.program) \(Program.version)\n".utf8))
                failure = nil
            case .run(let command, let parsed):
                try CryptographyLibrary.start()
                let source = try SettingSource(environment: environment)
                let settings = try Settings(Setting.unique(command.settings + Setting.commandLogging), from: source)
                try prepare()
                let invocation = CommandInvocation(
                    arguments: parsed,
                    settings: settings,
                    output: CommandOutput(format: parsed[CommandTable.output]),
                    logger: Logger(
                        label: table.program,
                        destination: LogDestination(settings: settings, service: table.program)
                    ),
                    logHash: LogHash(key: settings[Setting.logHashKey])
                )
                failure = run(command, invocation, end)
            }
        } catch {
            failure = ProgramFailure(reporting: error)
        }
        guard let failure else { end.exit(.success) }
        OutputDescriptor.standardError.write(Array("\(table.program): \(failure.message)\n".utf8))
        end.exit(failure.code)
    }

    /// Runs the command as a task and waits for its end or for signals, on the main thread.
    private static func run(_ command: Command, _ invocation: CommandInvocation, _ end: ProcessEnd) -> ProgramFailure? {
        let result = Locked<Result<Void, any Error>?>(nil)
        // Ends with the command; the process ends right after it, or after the grace that follows a signal.
        let task = Task.detached {
            let outcome: Result<Void, any Error>
            do {
                outcome = .success(try await command.run(invocation))
            } catch {
                outcome = .failure(error)
            }
            result.withLock { $0 = outcome }
            ProcessSetup.wakeMainThread()
        }
        var deadline = MonotonicInstant.distantFuture
        while true {
            switch ProcessSetup.waitForSignal(until: deadline) {
            case .terminate, .interrupt:
                StandardInput.showTyping()
                guard deadline == .distantFuture else { end.exit(.internalError) }
                deadline = MonotonicClock.system.now() + cancelGrace
                task.cancel()
            case .hangUp: continue
            case .wake:
                switch result.withLock({ $0 }) {
                case .success: return nil
                case .failure(let error): return ProgramFailure(reporting: error)
                case nil: continue
                }
            case nil: return ProgramFailure(.internalError, "interrupted; the command did not end in time")
            }
        }
    }
}
