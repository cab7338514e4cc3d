// Memory for answers' bodies, bounded in bytes over all clients that share the budget.

import Basics

/// Room for bodies. A body of known length gets all of its room before its first byte is kept, so that no two
/// half-read bodies can wait for each other; one of unknown length grows in steps. Room is free again when the
/// body's last holder lets go. Waiting is in order of arrival, so a large body cannot be starved by small ones.
///
/// The bound may be passed by one body at a time: one larger than the whole budget proceeds alone, and the oldest
/// growing one goes on when nothing but growing ones holds room, since then nobody else would ever give any back.
package final class BodyBudget: Sendable {
    package let limit: Int
    private let state = Locked(BudgetState())

    package init(limit: Int) { self.limit = max(0, limit) }

    /// Bytes held or promised now.
    package var used: Int { state.withLock { $0.used } }
    /// Bodies that wait for room.
    package var waiting: Int { state.withLock { $0.waiting } }

    /// A place in the budget for one body. `grows`: its length is not known.
    func ticket(grows: Bool) -> BudgetTicket {
        let id = state.withLock { $0.admit(grows: grows) }
        return BudgetTicket(id: id, budget: self)
    }

    /// Raises a ticket's room to `total` bytes; false when it must wait, in which case `onGrant` is called once,
    /// on any thread and under no lock, when the room has been given.
    func reserve(_ id: UInt64, total: Int, onGrant: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { $0.reserve(id, total: total, limit: limit, onGrant: onGrant) }
    }

    func settle(_ id: UInt64, at total: Int) {
        let granted = state.withLock { $0.settle(id, at: total, limit: limit) }
        for notify in granted { notify() }
    }

    func leave(_ id: UInt64) {
        let granted = state.withLock { $0.leave(id, limit: limit) }
        for notify in granted { notify() }
    }
}

/// One body's place; gives everything back when its last holder lets go.
final class BudgetTicket: Sendable {
    private let id: UInt64
    private let budget: BodyBudget

    init(id: UInt64, budget: BodyBudget) {
        self.id = id
        self.budget = budget
    }

    deinit { budget.leave(id) }

    func reserve(total: Int, onGrant: @escaping @Sendable () -> Void) -> Bool {
        budget.reserve(id, total: total, onGrant: onGrant)
    }

    /// The body is whole and has `count` bytes.
    func settle(count: Int) { budget.settle(id, at: count) }
}

/// The rules, without lock or waiting. Every change returns the grants it led to.
struct BudgetState {
    typealias Grant = @Sendable () -> Void

    private struct Holder {
        var held = 0
        /// Its length is not known and more of it may come.
        var grows: Bool
    }
    private struct Waiter {
        let id: UInt64
        let total: Int
        let onGrant: Grant
    }

    private(set) var used = 0
    /// The part of `used` that will be given back without any further reservation.
    private var settled = 0
    private var holders: [UInt64: Holder] = [:]
    /// Growing bodies that hold or ask for room, oldest first.
    private var growing: [UInt64] = []
    /// In order of arrival.
    private var queue: [Waiter] = []
    private var lastID: UInt64 = 0

    var waiting: Int { queue.count }

    mutating func admit(grows: Bool) -> UInt64 {
        lastID += 1
        holders[lastID] = Holder(grows: grows)
        return lastID
    }

    /// True when the ticket now holds `total` bytes; else `onGrant` is returned by a later change.
    mutating func reserve(_ id: UInt64, total: Int, limit: Int, onGrant: @escaping Grant) -> Bool {
        guard let holder = holders[id] else { return false }
        if total <= holder.held { return true }
        if holder.grows, !growing.contains(id) { growing.append(id) }
        if (queue.isEmpty && fits(id, total: total, limit: limit)) || mayPass(id) {
            grant(id, total: total)
            return true
        }
        queue.append(Waiter(id: id, total: total, onGrant: onGrant))
        return false
    }

    /// The body is whole: it keeps `total` and grows no more.
    mutating func settle(_ id: UInt64, at total: Int, limit: Int) -> [Grant] {
        guard var holder = holders[id] else { return [] }
        let kept = min(holder.held, total)
        used -= holder.held - kept
        settled += holder.grows ? kept : kept - holder.held
        holder = Holder(held: kept, grows: false)
        holders[id] = holder
        growing.removeAll { $0 == id }
        return grantWaiting(limit: limit)
    }

    mutating func leave(_ id: UInt64, limit: Int) -> [Grant] {
        guard let holder = holders.removeValue(forKey: id) else { return [] }
        used -= holder.held
        if !holder.grows { settled -= holder.held }
        growing.removeAll { $0 == id }
        queue.removeAll { $0.id == id }
        return grantWaiting(limit: limit)
    }

    /// Within the limit, or alone.
    private func fits(_ id: UInt64, total: Int, limit: Int) -> Bool {
        let others = used - (holders[id]?.held ?? 0)
        return others == 0 || others + total <= limit
    }

    /// Without this one's going on, those that hold room would wait for each other.
    private func mayPass(_ id: UInt64) -> Bool { settled == 0 && growing.first == id }

    private mutating func grant(_ id: UInt64, total: Int) {
        guard var holder = holders[id] else { return }
        used += total - holder.held
        if !holder.grows { settled += total - holder.held }
        holder.held = total
        holders[id] = holder
    }

    private mutating func grantWaiting(limit: Int) -> [Grant] {
        var granted: [Grant] = []
        while let next = queue.first, fits(next.id, total: next.total, limit: limit) {
            queue.removeFirst()
            grant(next.id, total: next.total)
            granted.append(next.onGrant)
        }
        if let oldest = growing.first, mayPass(oldest), let index = queue.firstIndex(where: { $0.id == oldest }) {
            let waiter = queue.remove(at: index)
            grant(waiter.id, total: waiter.total)
            granted.append(waiter.onGrant)
        }
        return granted
    }
}
