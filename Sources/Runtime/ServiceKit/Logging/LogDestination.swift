// Where log lines go: one format, one level, one descriptor; a line is one write under a lock.

package import Basics

/// Renders lines and hands each to a sink whole.
package final class LogDestination: Sendable {
    /// Takes one rendered line with its newline. Called under a lock, so that lines never mix; must not log.
    package typealias Sink = @Sendable (_ line: [UInt8]) -> Void

    package let level: Logger.Level
    private let renderer: LogLineRenderer
    private let clock: WallClock
    private let sink: Sink
    /// Held while a line is written. The sink is not its content: a closure that is reached through a generic box is
    /// wrapped anew at every access and put back wrapped, until its call no longer fits on any stack.
    private let turn = Locked(())

    /// - Parameter service: `service.name` of every line.
    package init(
        format: LogFormat,
        level: Logger.Level,
        service: String,
        clock: WallClock = .system,
        sink: @escaping Sink
    ) {
        self.level = level
        self.clock = clock
        renderer = LogLineRenderer(format: format, service: service)
        self.sink = sink
    }

    /// Lines to standard error, leaving standard output to what a program prints for its user.
    package convenience init(format: LogFormat, level: Logger.Level, service: String) {
        self.init(format: format, level: level, service: service) { line in
            OutputDescriptor.standardError.write(line)
        }
    }

    func write(_ level: Logger.Level, label: String, message: String, metadata: Logger.Metadata) {
        let line = renderer.line(
            time: clock.now(),
            level: level,
            label: label,
            message: message,
            metadata: metadata
        )
        // The one call-out under a lock of this module: it is the write that the lock is there for.
        turn.withLock { _ in sink(line) }
    }
}

extension LogDestination {
    /// The destination that a program's settings ask for.
    package convenience init(settings: Settings, service: String) {
        self.init(
            format: settings[Setting.logFormat],
            level: settings[Setting.logLevel],
            service: settings[Setting.otelServiceName] ?? service
        )
    }

    /// For what must be said before the settings are known to be good: JSON unless LOG_FORMAT plainly asks for text.
    static func beforeSettings(_ environment: EnvironmentVariables, service: String) -> LogDestination {
        LogDestination(format: environment["LOG_FORMAT"] == "text" ? .text : .json, level: .info, service: service)
    }
}
