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
///
/// A large body lies in pages of its own, of which only those written to are resident. They go back to the system
/// with the body, whatever lies around them; on the heap, hundreds of half-grown bodies would leave holes instead.
final class BodyBuffer {
    /// The budget is asked for this much at a time.
    private static let step = 64 * 1_024

    private let budget: LargeBodyBudget
    /// Up to this capacity no budget is asked.
    private let smallBytes: Int
    private var base: UnsafeMutableRawPointer?
    private var count = 0
    private var capacity = 0
    /// What the budget has lent.
    private var reserved = 0
    /// Address space of a large body; 0 while the bytes are on the heap.
    private var mapped = 0

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
        let most = max(needed, min(claimed ?? limit, limit))
        if needed > smallBytes { return growLarge(to: needed, most: most) }
        let wanted = min(max(needed, capacity * 2, min(claimed ?? 1_024, smallBytes)), smallBytes, most)
        guard let grown = realloc(base, wanted + Bytes.ownPadding) else { return false }
        base = grown
        capacity = wanted
        return true
    }

    private func growLarge(to needed: Int, most: Int) -> Bool {
        let wanted = min((needed + Self.step - 1) / Self.step * Self.step, most)
        guard budget.take(wanted - reserved) else { return false }
        reserved = wanted
        if mapped == 0 {
            let size = most + Bytes.ownPadding
            let kind = MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE)
            guard let pages = mmap(nil, size, PROT_READ | PROT_WRITE, kind, -1, 0), pages != MAP_FAILED else {
                return false
            }
            if let base { memcpy(pages, base, count) }
            free(base)
            base = pages
            mapped = size
        }
        // No body grows beyond what it claimed or may have; if one did, it would not fit.
        guard needed + Bytes.ownPadding <= mapped else { return false }
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
        let (length, lent, mapped) = (count, reserved, mapped)
        self.base = nil
        forget()
        if mapped == 0 {
            return Bytes(adopting: base, count: length, readablePadding: Bytes.ownPadding) { free($0) }
        }
        return Bytes(adopting: base, count: length, readablePadding: Bytes.ownPadding) { [budget] memory in
            munmap(memory, mapped)
            budget.give(lent)
        }
    }

    func discard() {
        if let base, mapped > 0 { munmap(base, mapped) } else { free(base) }
        base = nil
        if reserved > 0 { budget.give(reserved) }
        forget()
    }

    private func forget() { (count, capacity, reserved, mapped) = (0, 0, 0, 0) }
}
