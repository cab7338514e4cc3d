// The synchronous main of every long-running program: settings, wiring, signals, end.

import Basics
import Cryptography
import Glibc

/// A long-running executable.
package enum Program {
    /// The version that `--version`, logs and metrics show.
    package static let version = "1.0.0"

    /// Runs the program and never returns. Call from `main.swift`, on the main thread, before any other thread exists.
    ///
    /// The main thread blocks signals, so that all threads made later do, builds the program, and then waits for
    /// signals: SIGTERM and SIGINT stop, a second one ends at once, SIGHUP reloads. An async main could not do this:
    /// it parks the main thread with an empty signal mask, where a SIGTERM kills.
    ///
    /// - Parameters:
    ///   - settings: The keys this program reads, without those that every service reads (``Setting/service``).
    ///   - build: Makes the parts and adds them to the context. Runs on the main thread, before there is any other
    ///     thread; libraries with a global initialisation get theirs first thing here. ``ProgramFailure`` and
    ///     ``ConfigurationError`` thrown here end the program with their codes.
    package static func run(
        name: String,
        summary: String,
        settings keys: [any AnySettingKey],
        arguments: [String] = CommandLine.arguments,
        build: (ProgramContext) throws -> Void
    ) -> Never {
        ProcessSetup.tuneAllocator()
        ProcessSetup.claimSignals()
        let keys = Setting.unique(keys + Setting.service)
        let environment = EnvironmentVariables.current()
        let end = ProcessEnd(environment: environment)

        switch ProgramArguments.parse(Array(arguments.dropFirst())) {
        case .run: break
        case .help:
            OutputDescriptor.standardOutput.write(Array(help(name, summary, keys).utf8))
            end.exit(.success)
        case .version:
            OutputDescriptor.standardOutput.write(Array("\(name) \(version)\n".utf8))
            end.exit(.success)
        case .unknown(let argument):
            let line = "\(name): unknown argument \(argument); settings come from the environment, see --help\n"
            OutputDescriptor.standardError.write(Array(line.utf8))
            end.exit(.usage)
        }

        var logger = Logger(label: "program", destination: .beforeSettings(environment, service: name))
        do {
            let source = try SettingSource(environment: environment)
            let settings = try Settings(keys, from: source)
            logger = Logger(label: "program", destination: LogDestination(settings: settings, service: name))
            for name in settings.unknownNames {
                logger.warning("CONFIG_FILE has a name that no program knows", metadata: ["setting": .string(name)])
            }
            try OpenFileNeed(settings).ensure()
            try CryptographyLibrary.start()
            let health = Health()
            let lifecycle = Lifecycle(
                grace: settings[Setting.shutdownGrace],
                logger: logger.labelled("lifecycle"),
                health: health,
                onStopping: { ProcessSetup.wakeMainThread() }
            )
            let metrics = MetricsRegistry()
            lifecycle.add(try admin(settings, health, metrics, logger.labelled("admin")).component)
            let context = ProgramContext(
                name: name,
                settings: settings,
                logger: logger,
                logHash: LogHash(key: settings[Setting.logHashKey]),
                metrics: metrics,
                health: health,
                lifecycle: lifecycle
            )
            ProcessMetrics.register(in: metrics)
            registerIdentity(name, health, metrics)
            try build(context)
            end.exit(SignalLoop(lifecycle: lifecycle, logger: logger, end: end).run())
        } catch {
            let failure = ProgramFailure(reporting: error)
            end.exit(refusing: failure.code, failure.message, logger)
        }
    }

    private static func help(_ name: String, _ summary: String, _ keys: [any AnySettingKey]) -> String {
        """
        \(name) — \(summary)

        Usage: \(name) [--help] [--version]

        \(SettingsHelp.text(keys))

        SIGTERM and SIGINT stop within SHUTDOWN_GRACE, a second one at once; SIGHUP reads the TLS files again.
        Exit codes: 0 clean stop, 64 usage, 69 a port is taken, 70 internal error or the grace ended with work in hand,
        78 configuration.

        """
    }

    private static func admin(
        _ settings: Settings,
        _ health: Health,
        _ metrics: MetricsRegistry,
        _ logger: Logger
    ) throws -> AdminServer {
        do {
            return try AdminServer(
                host: settings[Setting.adminHost],
                port: settings[Setting.adminPort],
                health: health,
                metrics: metrics,
                logger: logger
            )
        } catch {
            throw ListenerFailure.translated(error, host: Setting.adminHost, port: Setting.adminPort)
        }
    }

    static func registerIdentity(_ name: String, _ health: Health, _ metrics: MetricsRegistry) {
        metrics.gauge("check_pipeline_ready", help: "Whether the program is ready: 1 or 0.") {
            health.readiness().isPassing ? 1 : 0
        }
        metrics.gauge(
            "check_pipeline_build_info",
            help: "Always 1; the labels say what runs.",
            labels: [("service_name", name), ("version", version)]
        ).record(1)
    }
}

/// What the arguments of a long-running program ask for.
enum ProgramArguments: Equatable {
    case run, help, version
    case unknown(String)

    /// - Parameter arguments: Without the program's own name.
    static func parse(_ arguments: [String]) -> ProgramArguments {
        guard let first = arguments.first else { return .run }
        if first == "--help" || first == "-h" { return .help }
        if first == "--version", arguments.count == 1 { return .version }
        return .unknown(LineText.visible(first))
    }
}

/// Waits for signals on the main thread while the lifecycle runs on its own.
struct SignalLoop {
    let lifecycle: Lifecycle
    let logger: Logger
    let end: ProcessEnd

    func run() -> ExitCode {
        let result = Locked<ExitCode?>(nil)
        let thread = WorkerThread(name: "lifecycle") { [lifecycle] in
            let code = lifecycle.run()
            result.withLock { $0 = code }
            ProcessSetup.wakeMainThread()
        }
        while true {
            switch ProcessSetup.waitForSignal(until: lifecycle.graceEnd ?? .distantFuture) {
            case .terminate: stop("SIGTERM")
            case .interrupt: stop("SIGINT")
            case .hangUp: lifecycle.requestReload()
            case .wake:
                guard let code = result.withLock({ $0 }) else { continue }
                thread.join()
                logger.info("stopped", metadata: ["exit.code": .stringConvertible(Int(code.rawValue))])
                return code
            case nil:
                logger.critical(
                    "the grace ended with work in hand",
                    metadata: ["component": .string(lifecycle.nowStopping ?? "starting")]
                )
                end.exit(.internalError)
            }
        }
    }

    private func stop(_ signal: String) {
        if lifecycle.requestStop(signal) { return }
        logger.critical("a second signal ends the program at once", metadata: ["signal": .string(signal)])
        end.exit(.internalError)
    }
}

/// How the process ends: without exit handlers, since OpenSSL's frees locks that running threads still use; except
/// where a coverage run waits for its data, which an exit handler writes.
struct ProcessEnd: Sendable {
    private let runsExitHandlers: Bool

    init(environment: EnvironmentVariables) { runsExitHandlers = environment["LLVM_PROFILE_FILE"] != nil }

    func exit(_ code: ExitCode) -> Never {
        if runsExitHandlers { Glibc.exit(code.rawValue) }
        ProcessSetup.exitNow(code.rawValue)
    }

    func exit(refusing code: ExitCode, _ message: String, _ logger: Logger) -> Never {
        logger.critical("\(message)", metadata: ["exit.code": .stringConvertible(Int(code.rawValue))])
        exit(code)
    }
}
