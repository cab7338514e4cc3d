// Plaid on this machine: its state, its clocks, and what happens after a report is asked for.

import Basics
import Cryptography
import HTTPClient
import HTTPServer
import JSON
import PlaidAPI

/// What a sandbox is made with.
struct SandboxSettings: Sendable {
    var seed: UInt64 = 1
    /// From 1 to 10,000.
    var speed: Double = 1
    var credentials: Credentials
    /// Between `create` and READY at speed 1.
    var generationDelay: ClosedRange<Duration> = .milliseconds(1_500) ... .seconds(8)
    var reportLifetime: Duration = .seconds(24 * 3_600)
    var publicTokenLifetime: Duration = .seconds(30 * 60)
}

/// The state behind the endpoints. All methods may be called from any thread.
final class Sandbox: Sendable {
    let settings: SandboxSettings
    let world: Locked<SandboxWorld>
    let keys: Locked<SigningKeys>
    let faults: Locked<FaultRules>
    let bodies: ReportBodies
    let sender: WebhookSender
    let clock: MonotonicClock
    let wallClock: WallClock
    let timers: TimerQueue

    init(
        settings: SandboxSettings,
        http: HTTPClient,
        timers: TimerQueue = .shared,
        clock: MonotonicClock = .system,
        wallClock: WallClock = .system,
        bodies: ReportBodies = ReportBodies(),
        observe: @escaping @Sendable (WebhookStep) -> Void = { _ in }
    ) throws {
        self.settings = settings
        self.clock = clock
        self.wallClock = wallClock
        self.timers = timers
        self.bodies = bodies
        let world = SandboxWorld(seed: settings.seed)
        let keys = Locked(try SigningKeys(identifiers: world.identifiers, now: wallClock.now()))
        self.world = Locked(world)
        faults = Locked(FaultRules(seed: settings.seed))
        self.keys = keys
        sender = WebhookSender(
            http: http,
            timers: timers,
            clock: clock,
            wallClock: wallClock,
            speed: settings.speed,
            observe: observe,
            sign: { body, now in
                // The lock is left before the signing, which takes a tenth of a millisecond.
                let key = keys.withLock { $0.current }
                return try key.token(for: body, issuedAt: now)
            }
        )
    }

    /// A report from `create` to its webhook.
    func startGeneration(_ userID: UserFields, _ order: ReportRequest) throws(PlaidRefusal) {
        let now = clock.now()
        let wallNow = wallClock.now()
        let (generation, family) = try world.withLock { world throws(PlaidRefusal) in
            let user = try world.user(userID)
            let items = world.items(of: user)
            guard !items.isEmpty else { throw PlaidRefusal.noItems }
            let number = user.generations.count + 1
            let identifiers = world.identifiers
            let delay = generationDelay(identifiers.number("delay", "\(user.id)|\(number)"))
            let traits = ReportTraits([user.clientUserID] + items.map(\.overrideUsername))
            let plan = ReportPlan(
                seed: settings.seed,
                userID: user.id,
                generation: number,
                ownerName: .init(
                    full: "\(user.name.given) \(user.name.family)",
                    email: "\(identifiers.token("mail", user.id, length: 10).lowercased())@example.com"
                ),
                items: items.map { item in
                    .init(
                        id: item.id,
                        institution: item.institution,
                        accounts: BankAccount.accounts(of: item.id, identifiers: identifiers)
                    )
                },
                generatedAt: wallNow + delay,
                daysRequested: max(180, order.daysRequested),
                clientReportID: order.clientReportID,
                products: order.products,
                traits: traits,
                baseReportBytes: traits.baseReportBytes ?? world.defaultReportBytes
                    ?? ReportPlan.usualBytes(identifiers.number("size", "\(user.id)|\(number)"))
            )
            let generation = SandboxWorld.Generation(
                plan: plan,
                webhook: order.webhook,
                readyAt: now + delay,
                expiresAt: now + delay + settings.reportLifetime / settings.speed
            )
            try world.addGeneration(generation, to: user.id)
            return (generation, user.family)
        }
        guard !generation.plan.traits.isSilent else { return }
        timers.schedule(at: generation.readyAt) { [weak self] in
            self?.announce(generation.plan, family: family, to: generation.webhook)
        }
    }

    func generationDelay(_ hash: UInt64) -> Duration {
        let range = settings.generationDelay
        let share = Double(hash % 10_000) / 10_000
        return (range.lowerBound + (range.upperBound - range.lowerBound) * share) / settings.speed
    }

    private func announce(_ plan: ReportPlan, family: SandboxWorld.Family, to url: String) {
        send(ReportWebhook.outcome(of: plan, family: family), generation: plan.generation, to: url)
    }

    @discardableResult
    func send(_ webhook: ReportWebhook, generation: Int?, to url: String) -> Int? {
        let outgoing = OutgoingWebhook(
            code: webhook.code,
            userID: webhook.userID,
            generation: generation,
            url: url,
            body: webhook.body
        )
        return send(outgoing)
    }

    /// - Returns: The delivery's serial; nil when no more are remembered, or the sandbox has stopped.
    func send(_ outgoing: OutgoingWebhook) -> Int? {
        sender.send(outgoing, bodySHA256: SHA256.hash(outgoing.body).hex)
    }

    /// The user's newest report: there, or Plaid's reason why not.
    func report(
        of user: SandboxWorld.User,
        _ product: ReportProduct,
        asksForPartner: Bool = false
    ) throws(PlaidRefusal) -> ReportPlan {
        guard let newest = user.generations.last else { throw .reportNotFound }
        let now = clock.now()
        guard now >= newest.readyAt else { throw .productNotReady }
        guard now < newest.expiresAt else { throw .reportExpired }
        let plan = newest.plan
        let name = product.rawValue
        if plan.traits.fails || plan.traits.failedProducts.contains(name) { throw .generationFailed }
        // Partner insights cost money on their own: they exist only where somebody named them.
        if product == .partnerInsights, !plan.products.contains(name), !asksForPartner { throw .reportNotFound }
        return plan
    }
}

/// What `/cra/check_report/create` asks for.
struct ReportRequest: Sendable {
    let webhook: String
    let daysRequested: Int
    let clientReportID: String?
    /// The base report first.
    let products: [String]
}

extension ReportRequest {
    /// The base report, which always comes along, then the others once each in their order.
    static func ordered(_ asked: [String]) -> [String] {
        var products = [ReportProduct.baseReport.rawValue]
        for product in asked where !products.contains(product) { products.append(product) }
        return products
    }
}
