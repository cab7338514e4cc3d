// Progress of long work: one line that is redrawn on a terminal, plain lines now and then off one.

package import Basics

/// Decides what to show and when; no I/O.
struct ProgressState: Sendable {
    /// On a terminal a redraw at most this often.
    static let redrawEvery = Duration.milliseconds(100)
    /// Off a terminal a line at most this often.
    static let lineEvery = Duration.seconds(10)

    let what: String
    let total: Int
    /// Nil off a terminal.
    let columns: Int?
    private var last: MonotonicInstant?

    init(what: String, total: Int, columns: Int?) {
        self.what = what
        self.total = total
        self.columns = columns
    }

    /// What to write now, or nil.
    mutating func update(_ done: Int, now: MonotonicInstant, isEnd: Bool = false) -> String? {
        let pause = columns == nil ? Self.lineEvery : Self.redrawEvery
        if !isEnd, let last, now - last < pause { return nil }
        last = now
        let share = total > 0 ? min(100, done * 100 / total) : 100
        let text = "\(LineText.visible(what)) \(done)/\(total) \(share)%"
        guard let columns else { return "\(text)\n" }
        let width = min(30, columns - text.count - 4)
        let bar = width > 0 ? " [" + String(repeating: "#", count: width * share / 100).padded(to: width) + "]" : ""
        return "\r" + String((text + bar).prefix(max(1, columns - 1))) + "\u{1B}[K" + (isEnd ? "\n" : "")
    }
}

/// Shows the progress of one piece of work on standard error. From any thread.
package final class ProgressLine: Sendable {
    private let state: Locked<ProgressState>
    private let clock: MonotonicClock
    private let write: @Sendable (String) -> Void

    /// - Parameter columns: The terminal's width; nil writes plain lines.
    package init(
        what: String,
        total: Int,
        columns: Int? = ProgressLine.terminalColumns,
        clock: MonotonicClock = .system,
        write: @escaping @Sendable (String) -> Void = { OutputDescriptor.standardError.write(Array($0.utf8)) }
    ) {
        state = Locked(ProgressState(what: what, total: total, columns: columns))
        self.clock = clock
        self.write = write
    }

    /// The width of the terminal on standard error; nil when there is none, or one that cannot redraw.
    package static var terminalColumns: Int? {
        EnvironmentVariables.current()["TERM"] == "dumb" ? nil : OutputDescriptor.standardError.terminalColumns
    }

    package func advance(to done: Int) { show(done, isEnd: false) }

    /// The last state, always shown. Call it also when the work ended early.
    package func finish(at done: Int) { show(done, isEnd: true) }

    private func show(_ done: Int, isEnd: Bool) {
        let now = clock.now()
        if let text = state.withLock({ $0.update(done, now: now, isEnd: isEnd) }) { write(text) }
    }
}
