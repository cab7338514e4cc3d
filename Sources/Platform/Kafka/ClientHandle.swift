// Shared owner of one librdkafka handle: who may call into it, and when it may be destroyed.

import Basics
import CKafka

/// One `rd_kafka_t`, called by any thread through ``use(_:)`` and destroyed by its owner thread.
///
/// Sendable because, in the words of librdkafka's introduction, "the API is completely thread-safe: any API function
/// may be called from any application thread at any time". What it does not allow is a call after
/// `rd_kafka_destroy`, which the gate prevents.
final class ClientHandle: @unchecked Sendable {
    private struct Gate {
        var users = 0
        var isClosing = false
    }
    private let pointer: OpaquePointer
    private let gate = Locked(Gate())
    /// Opens when the gate is closed and the last user has left.
    private let empty = Latch()

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    /// Lends the handle to a call that ends before ``destroy(flags:)`` does its work; nil once that has begun.
    func use<Result>(_ body: (OpaquePointer) -> Result) -> Result? {
        let isOpen = gate.withLock { gate in
            if gate.isClosing { return false }
            gate.users += 1
            return true
        }
        guard isOpen else { return nil }
        defer {
            let isLast = gate.withLock { gate in
                gate.users -= 1
                return gate.isClosing && gate.users == 0
            }
            if isLast { empty.open() }
        }
        return body(pointer)
    }

    /// For the owner thread alone, which is the one that destroys.
    var unguarded: OpaquePointer { pointer }

    /// Refuses new users, waits for those inside, then runs `before` and destroys. Blocks as long as librdkafka's threads need.
    ///
    /// Every message, event, queue and topic of the handle must be gone by then, else librdkafka waits for ever.
    func destroy(flags: Int32 = 0, before: () -> Void = {}) {
        let isEmpty = gate.withLock { gate in
            gate.isClosing = true
            return gate.users == 0
        }
        if !isEmpty { _ = empty.wait(until: .distantFuture) }
        before()
        rd_kafka_destroy_flags(pointer, flags)
    }
}
