// Plaid's paths and what answers them.

import Basics
import JSON
import PlaidAPI

extension Sandbox {
    var endpoints: [Endpoint] {
        [
            Endpoint("/user/create", RequestShapes.userCreate) { [self] in try createUser($0) },
            Endpoint("/user/items/get", RequestShapes.user) { [self] in try userItems($0) },
            Endpoint("/sandbox/public_token/create", RequestShapes.publicTokenCreate) { [self] in
                try createPublicToken($0)
            },
            Endpoint(
                "/item/public_token/exchange",
                [Field("public_token", .text(1...256), required: true)]
            ) { [self] in try exchangePublicToken($0) },
            Endpoint("/accounts/get", RequestShapes.accountsGet) { [self] in try accounts($0) },
            Endpoint("/cra/check_report/create", RequestShapes.reportCreate) { [self] in try createReport($0) },
            Endpoint(ReportProduct.baseReport.path, RequestShapes.baseReportGet) { [self] in
                try report($0, .baseReport)
            },
            Endpoint(ReportProduct.incomeInsights.path, RequestShapes.incomeInsightsGet) { [self] in
                try report($0, .incomeInsights)
            },
            Endpoint(ReportProduct.partnerInsights.path, RequestShapes.partnerInsightsGet) { [self] in
                try report($0, .partnerInsights)
            },
            Endpoint(
                "/webhook_verification_key/get",
                [Field("key_id", .text(1...256), required: true)]
            ) { [self] in try verificationKey($0) },
            Endpoint("/sandbox/user/fire_webhook", RequestShapes.fireWebhook) { [self] in try fireWebhook($0) },
        ]
    }

    // MARK: users

    private func createUser(_ call: Call) throws(PlaidRefusal) -> Answer {
        let legacy = call.body["consumer_report_user_identity"].flatMap { $0.isNull ? nil : $0 }
        let current = call.body["identity"].flatMap { $0.isNull ? nil : $0 }
        if legacy != nil, current != nil {
            throw .invalidField("consumer_report_user_identity", "cannot be given together with identity")
        }
        let name = PersonName(
            given: legacy?["first_name"]?.stringValue ?? current?["name"]?["given_name"]?.stringValue ?? "Robin",
            family: legacy?["last_name"]?.stringValue ?? current?["name"]?["family_name"]?.stringValue ?? "Vance"
        )
        let clientUserID = call.text("client_user_id") ?? ""
        let now = wallClock.now()
        let made = try world.withLock { world throws(PlaidRefusal) in
            try world.createUser(
                clientUserID: clientUserID,
                family: legacy == nil ? .current : .legacy,
                name: name,
                now: now
            )
        }
        return .object(call, status: made.isNew ? 201 : 200) { writer in
            writer.field("user_id", made.user.id)
            writer.field("user_token", ifPresent: made.user.token)
        }
    }

    private func userItems(_ call: Call) throws(PlaidRefusal) -> Answer {
        let reference = try call.user()
        let items = try world.withLock { world throws(PlaidRefusal) in world.items(of: try world.user(reference)) }
        return .object(call) { writer in
            writer.array("items") { writer in items.forEach { Self.write($0, &writer) } }
        }
    }

    // MARK: Items

    private func createPublicToken(_ call: Call) throws(PlaidRefusal) -> Answer {
        guard let institution = Institution.all[call.text("institution_id") ?? ""] else {
            throw .invalidInput("INVALID_INSTITUTION", "invalid institution_id provided")
        }
        let reference = try call.optionalUser()
        let options = call.body["options"]
        let now = wallClock.now()
        let expires = clock.now() + settings.publicTokenLifetime
        let item = try world.withLock { world throws(PlaidRefusal) in
            var user: SandboxWorld.User?
            if let reference { user = try world.user(reference) }
            return try world.createItem(
                of: user,
                institution: institution,
                products: call.body["initial_products"]?.stringArrayValue ?? [],
                webhook: options?["webhook"]?.stringValue ?? "",
                overrideUsername: options?["override_username"]?.stringValue ?? "user_good",
                now: now,
                publicTokenExpires: expires
            )
        }
        return .object(call) { writer in writer.field("public_token", item.publicToken) }
    }

    private func exchangePublicToken(_ call: Call) throws(PlaidRefusal) -> Answer {
        let now = clock.now()
        let token = call.text("public_token") ?? ""
        let item = try world.withLock { world throws(PlaidRefusal) in
            try world.exchange(publicToken: token, now: now)
        }
        return .object(call) { writer in
            writer.field("access_token", item.accessToken)
            writer.field("item_id", item.id)
        }
    }

    private func accounts(_ call: Call) throws(PlaidRefusal) -> Answer {
        let token = call.text("access_token") ?? ""
        let (item, identifiers) = try world.withLock { world throws(PlaidRefusal) in
            (try world.item(accessToken: token), world.identifiers)
        }
        var accounts = BankAccount.accounts(of: item.id, identifiers: identifiers)
        if let wanted = call.body["options"]?["account_ids"]?.stringArrayValue {
            let known = Set(accounts.map(\.id))
            guard wanted.allSatisfy({ known.contains($0) }) else {
                throw .invalidInput("INVALID_ACCOUNT_ID", "one or more of the account IDs is invalid")
            }
            accounts = accounts.filter { wanted.contains($0.id) }
        }
        return .object(call) { writer in
            writer.array("accounts") { writer in accounts.forEach { Self.write($0, &writer) } }
            writer.name("item")
            Self.write(item, &writer)
        }
    }

    private static func write(_ item: SandboxWorld.Item, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.array("available_products") { _ in }
            writer.array("billed_products") { writer in item.products.forEach { writer.value($0) } }
            writer.name("consent_expiration_time")
            writer.null()
            writer.name("error")
            writer.null()
            writer.field("institution_id", item.institution.id)
            writer.field("institution_name", item.institution.name)
            writer.field("item_id", item.id)
            writer.array("products") { writer in item.products.forEach { writer.value($0) } }
            writer.field("update_type", "background")
            writer.field("webhook", item.webhook)
        }
    }

    private static func write(_ account: BankAccount, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("account_id", account.id)
            writer.object("balances") { writer in
                for (name, mills) in [
                    ("available", account.availableMills), ("current", account.currentMills),
                ] {
                    writer.name(name)
                    if let mills { writer.raw(InsightParts.decimal(mills: mills)) } else { writer.null() }
                }
                writer.field("iso_currency_code", "USD")
                writer.name("limit")
                if let mills = account.limitMills {
                    writer.raw(InsightParts.decimal(mills: mills))
                } else {
                    writer.null()
                }
                writer.name("unofficial_currency_code")
                writer.null()
            }
            writer.field("mask", account.mask)
            writer.field("name", account.name)
            writer.field("official_name", orNull: account.officialName)
            writer.field("subtype", account.subtype)
            writer.field("type", account.type)
        }
    }

    // MARK: reports

    private func createReport(_ call: Call) throws(PlaidRefusal) -> Answer {
        let order = ReportRequest(
            webhook: call.text("webhook") ?? "",
            daysRequested: Int(call.body["days_requested"]?.intValue ?? 365),
            clientReportID: call.text("client_report_id"),
            products: ReportRequest.ordered(call.body["products"]?.stringArrayValue ?? [])
        )
        try startGeneration(try call.user(), order)
        return .object(call) { _ in }
    }

    private func report(_ call: Call, _ product: ReportProduct) throws(PlaidRefusal) -> Answer {
        if call.text("third_party_user_token") != nil { throw .invalidUserToken }
        let reference = try call.user()
        let user = try world.withLock { world throws(PlaidRefusal) in try world.user(reference) }
        let asksForPartner = call.body["partner_insights"]?.objectValue != nil
        let plan = try report(of: user, product, asksForPartner: asksForPartner)
        if let id = call.text("report_id"), id != plan.reportID(product) { throw .reportNotFound }
        if let wanted = call.body["item_ids"]?.stringArrayValue, !wanted.isEmpty {
            let known = Set(plan.items.map(\.id))
            guard wanted.allSatisfy({ known.contains($0) }) else { throw .itemNotFound }
            // Less than the whole report: it is made for this call and is not part of the truth.
            if wanted.count < known.count { return .json(BaseReport.bytes(plan.only(items: Set(wanted)))) }
        }
        return .report(plan, product, bodies.body(plan, product))
    }

    // MARK: webhooks

    private func verificationKey(_ call: Call) throws(PlaidRefusal) -> Answer {
        let id = call.text("key_id") ?? ""
        guard let key = keys.withLock({ $0.key(id: id) }) else { throw .unknownKey }
        return .object(call) { writer in key.write(&writer) }
    }

    private func fireWebhook(_ call: Call) throws(PlaidRefusal) -> Answer {
        let reference = try call.user()
        let user = try world.withLock { world throws(PlaidRefusal) in try world.user(reference) }
        let code = call.text("webhook_code") ?? ""
        let webhook = ReportWebhook.fired(code: code, for: user)
        send(webhook, generation: user.generations.last?.plan.generation, to: call.text("webhook") ?? "")
        return .object(call) { writer in writer.field("webhook_fired", true) }
    }
}

extension ReportWebhook {
    /// One sent by hand: with the products of the user's newest report, where there is one.
    static func fired(code: String, for user: SandboxWorld.User) -> ReportWebhook {
        let plan = user.generations.last?.plan
        let base = [ReportProduct.baseReport.rawValue]
        return code.hasSuffix("READY")
            ? ReportWebhook(
                code: code,
                userID: user.id,
                successful: plan?.successfulProducts ?? base,
                failed: plan?.failedProducts ?? []
            )
            : ReportWebhook(code: code, userID: user.id, successful: nil, failed: plan?.products ?? base)
    }
}
