// A request body while it arrives, and the memory that large ones share.

import Basics
import Glibc
import Synchronization

/// Memory of all large bodies together, taken as buffers grow and given back when the last user lets a body go.
final class LargeBodyBudget: Sendable {
    private let limit: Int
    private let used = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    var inUse: Int { used.load(ordering: .relaxed) }

    func take(_ count: Int) -> Bool {
        let (_, after) = used.add(count, ordering: .relaxed)
        if after <= limit { return true }
        used.subtract(count, ordering: .relaxed)
        return false
    }

    func give(_ count: Int) { used.subtract(count, ordering: .relaxed) }
}

/// Grows as bytes come: a claimed length reserves no more than a small body's size.
final class BodyBuffer {
    private let budget: LargeBodyBudget
    /// Up to this capacity no budget is asked.
    private let smallBytes: Int
    private var base: UnsafeMutableRawPointer?
    private var count = 0
    private var capacity = 0
    /// What the budget has lent.
    private var reserved = 0

    init(budget: LargeBodyBudget, smallBytes: Int) {
        self.budget = budget
        self.smallBytes = smallBytes
    }

    deinit { discard() }

    /// - Parameters:
    ///   - claimed: The declared length, to get small bodies into one allocation of their size; nil when unknown.
    ///   - limit: No body is longer.
    /// - Returns: False when the budget is full (or memory is); what was there is given up.
    func append(_ bytes: UnsafeRawBufferPointer, claimed: Int?, limit: Int) -> Bool {
        let needed = count + bytes.count
        if needed > capacity, !grow(to: needed, claimed: claimed, limit: limit) {
            discard()
            return false
        }
        if let base, let source = bytes.baseAddress, !bytes.isEmpty {
            memcpy(base + count, source, bytes.count)
            count = needed
        }
        return true
    }

    private func grow(to needed: Int, claimed: Int?, limit: Int) -> Bool {
        var wanted = max(needed, capacity * 2, min(claimed ?? 1_024, smallBytes))
        wanted = max(needed, min(wanted, claimed ?? limit))
        if wanted > smallBytes {
            guard budget.take(wanted - reserved) else { return false }
            reserved = wanted
        }
        guard let grown = realloc(base, wanted + Bytes.ownPadding) else { return false }
        base = grown
        capacity = wanted
        return true
    }

    /// Hands the body over; the buffer is empty afterwards.
    func finish() -> Bytes {
        guard let base, count > 0 else {
            discard()
            return .empty
        }
        memset(base + count, 0, Bytes.ownPadding)
        let (length, lent) = (count, reserved)
        self.base = nil
        (count, capacity, reserved) = (0, 0, 0)
        if lent == 0 {
            return Bytes(adopting: base, count: length, readablePadding: Bytes.ownPadding) { free($0) }
        }
        return Bytes(adopting: base, count: length, readablePadding: Bytes.ownPadding) { [budget] memory in
            free(memory)
            budget.give(lent)
        }
    }

    func discard() {
        free(base)
        base = nil
        if reserved > 0 { budget.give(reserved) }
        (count, capacity, reserved) = (0, 0, 0)
    }
}
