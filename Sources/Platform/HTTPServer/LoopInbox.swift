// The only thing that other threads share with the loop: answers on their way to it, and commands.

import Basics

/// One answer that won its request.
struct Completion: Sendable {
    let slot: Int
    let serial: UInt64
    let response: Response
}

enum LoopCommand: Sendable {
    case drain
    case stop
    /// Opened at the end of a whole turn that began after this was posted.
    case turn(Latch)
}

/// Tickets: which request of which slot may still be answered. Whoever redeems a ticket first has won, so that answers
/// and the timeout need no other arbiter, and at most one answer per connection is ever on its way.
struct Tickets {
    /// By slot: the serial number of the request whose ticket is out; 0 when none is.
    private var serials: [UInt64] = []

    mutating func issue(_ serial: UInt64, slot: Int) {
        while serials.count <= slot { serials.append(0) }
        serials[slot] = serial
    }

    /// True for the first caller only.
    mutating func redeem(_ serial: UInt64, slot: Int) -> Bool {
        guard slot < serials.count, serials[slot] == serial, serial != 0 else { return false }
        serials[slot] = 0
        return true
    }
}

final class LoopInbox: ExchangeDesk {
    private struct State {
        var tickets = Tickets()
        /// At most one per connection.
        var completions: [Completion] = []
        var commands: [LoopCommand] = []
        var isSignalled = false
        var late = 0

        /// Whether the loop must be woken: only the first entry after it looked does so.
        mutating func signals() -> Bool {
            defer { isSignalled = true }
            return !isSignalled
        }
    }
    private let state = Locked(State())
    let wake = EventDescriptor()

    // MARK: Any thread

    func complete(slot: Int, serial: UInt64, with response: Response) -> Bool {
        let (won, mustWake) = state.withLock { state -> (Bool, Bool) in
            guard state.tickets.redeem(serial, slot: slot) else {
                state.late += 1
                return (false, false)
            }
            state.completions.append(Completion(slot: slot, serial: serial, response: response))
            return (true, state.signals())
        }
        if mustWake { wake.signal() }
        return won
    }

    func post(_ command: LoopCommand) {
        let mustWake = state.withLock { state in
            state.commands.append(command)
            return state.signals()
        }
        if mustWake { wake.signal() }
    }

    var lateCompletions: Int { state.withLock { $0.late } }

    // MARK: The loop's thread

    func issue(_ serial: UInt64, slot: Int) { state.withLock { $0.tickets.issue(serial, slot: slot) } }

    /// Takes a ticket back: for the timeout, or when the service answered at once.
    /// - Returns: False when an answer has won already and is on its way.
    func withdraw(_ serial: UInt64, slot: Int) -> Bool {
        state.withLock { $0.tickets.redeem(serial, slot: slot) }
    }

    /// Swaps everything that waits into the two empty buffers.
    func take(_ completions: inout [Completion], _ commands: inout [LoopCommand]) {
        wake.drain()
        state.withLock { state in
            state.isSignalled = false
            swap(&state.completions, &completions)
            swap(&state.commands, &commands)
        }
    }
}
