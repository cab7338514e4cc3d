// The bytes of reports: made when asked for, kept while there is room, made again when not.

import Basics
import Cryptography
import PlaidAPI

/// Report bodies under one byte bound; the oldest leave first. Making one takes the calling thread up to a few hundred
/// milliseconds at 12 MB.
final class ReportBodies: Sendable {
    struct Body: Sendable {
        let bytes: Bytes
        let sha256: String
    }

    private struct Key: Hashable { let userID: String, generation: Int, product: ReportProduct }
    private struct Shelf {
        var bodies: [Key: Body] = [:]
        var order: [Key] = []
        var byteCount = 0
    }

    private let shelf = Locked(Shelf())
    private let capacity: Int

    /// - Parameter capacity: Bytes kept at most.
    init(capacity: Int = 32 * 1_024 * 1_024) { self.capacity = capacity }

    func body(_ plan: ReportPlan, _ product: ReportProduct) -> Body {
        let key = Key(userID: plan.userID, generation: plan.generation, product: product)
        if let kept = shelf.withLock({ $0.bodies[key] }) { return kept }
        let array =
            switch product {
            case .baseReport: BaseReport.bytes(plan)
            case .incomeInsights: IncomeInsights.bytes(plan)
            case .partnerInsights: PartnerInsights.bytes(plan)
            }
        let made = Body(bytes: Bytes(array), sha256: SHA256.hash(array).hex)
        keep(made, key)
        return made
    }

    private func keep(_ body: Body, _ key: Key) {
        guard body.bytes.count <= capacity else { return }
        shelf.withLock { shelf in
            guard shelf.bodies.updateValue(body, forKey: key) == nil else { return }
            shelf.order.append(key)
            shelf.byteCount += body.bytes.count
            while shelf.byteCount > capacity, let oldest = shelf.order.first {
                shelf.order.removeFirst()
                shelf.byteCount -= shelf.bodies.removeValue(forKey: oldest)?.bytes.count ?? 0
            }
        }
    }

    var byteCount: Int { shelf.withLock { $0.byteCount } }
}
