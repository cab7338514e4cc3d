// One request that waits for its answer, named by value: nothing of the connection is retained outside the loop.

import Basics

/// Where an answer is handed in.
protocol ExchangeDesk: AnyObject, Sendable {
    func complete(slot: Int, serial: UInt64, with response: Response) -> Bool
}

/// The right to answer one request, from any thread, once.
package struct Exchange: Sendable, Hashable {
    /// Unique in its server: never used again for another request.
    package let serial: UInt64
    let slot: Int
    private let desk: any ExchangeDesk

    init(slot: Int, serial: UInt64, desk: any ExchangeDesk) {
        self.slot = slot
        self.serial = serial
        self.desk = desk
    }

    /// Answers the request. Never blocks; wakes the loop.
    /// - Returns: True for the one caller whose answer is sent. False when the timeout, another caller or the end of
    ///   the server came first; the server counts these as late.
    @discardableResult
    package func complete(_ response: Response) -> Bool {
        desk.complete(slot: slot, serial: serial, with: response)
    }

    package static func == (left: Exchange, right: Exchange) -> Bool {
        left.serial == right.serial && left.desk === right.desk
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(serial) }

    /// An exchange without a server, for tests of services: the first answer goes to `receive`.
    package static func detached(serial: UInt64 = 1, _ receive: @escaping @Sendable (Response) -> Void) -> Exchange {
        Exchange(slot: 0, serial: serial, desk: DetachedDesk(receive))
    }
}

private final class DetachedDesk: ExchangeDesk {
    private let isOpen = Locked(true)
    private let receive: @Sendable (Response) -> Void

    init(_ receive: @escaping @Sendable (Response) -> Void) { self.receive = receive }

    func complete(slot: Int, serial: UInt64, with response: Response) -> Bool {
        let first = isOpen.withLock { isOpen in
            defer { isOpen = false }
            return isOpen
        }
        if first { receive(response) }
        return first
    }
}
