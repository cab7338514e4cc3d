// Link and Layer sessions: no browser here, so the sandbox plays the user, who connects one bank and is done.

import Basics
import JSON
import PlaidAPI

/// A session that will be played.
struct LinkSession: Sendable {
    let linkToken: String
    let sessionID: String
    let webhook: String
    let user: UserFields?
    let products: [String]
    /// Begun when the session has ended.
    let report: ReportRequest?
    /// Plaid Layer: the public token stands for the profile.
    let isLayer: Bool
}

extension Sandbox {
    var linkEndpoints: [Endpoint] {
        [
            Endpoint("/link/token/create", RequestShapes.linkTokenCreate) { [self] in try createLinkToken($0) },
            Endpoint("/session/token/create", RequestShapes.sessionTokenCreate) { [self] in
                try createSessionToken($0)
            },
        ]
    }

    static let linkTokenLifetime = Duration.seconds(4 * 3_600)

    private func createLinkToken(_ call: Call) throws(PlaidRefusal) -> Answer {
        let products = call.body["products"]?.stringArrayValue ?? []
        let isConsumerReport = products.contains { $0.hasPrefix("cra_") }
        guard isConsumerReport == (call.text("consumer_report_permissible_purpose") != nil) else {
            if isConsumerReport { throw .missingFields(["consumer_report_permissible_purpose"]) }
            throw .invalidField("consumer_report_permissible_purpose", "is for consumer report products only")
        }
        let reference = try call.optionalUser()
        guard reference != nil || call.body["user"]?.objectValue != nil else { throw .missingFields(["user_id"]) }
        let session = try makeSession(call, reference, products: products, isLayer: false)
        return .object(call) { writer in
            writer.field("link_token", session.linkToken)
            writer.field("expiration", (wallClock.now() + Self.linkTokenLifetime).rfc3339(fractionDigits: 0))
            if case .id(let id)? = reference { writer.field("user_id", id) }
        }
    }

    private func createSessionToken(_ call: Call) throws(PlaidRefusal) -> Answer {
        let inner = call.body["user"]?["user_id"]?.stringValue
        let reference = try call.optionalUser() ?? inner.map { .id($0) }
        let session = try makeSession(call, reference, products: ["transactions"], isLayer: true)
        return .object(call) { writer in
            writer.object("link") { writer in
                writer.field("link_token", session.linkToken)
                writer.field("expiration", (wallClock.now() + Self.linkTokenLifetime).rfc3339(fractionDigits: 0))
                if case .id(let id)? = reference { writer.field("user_id", id) }
            }
        }
    }

    private func makeSession(
        _ call: Call,
        _ reference: UserFields?,
        products: [String],
        isLayer: Bool
    ) throws(PlaidRefusal) -> LinkSession {
        let options = call.body["cra_options"]
        let webhook = call.text("webhook")
        let (number, identifiers) = try world.withLock { world throws(PlaidRefusal) in
            if let reference { _ = try world.user(reference) }
            return (world.nextSession(reference), world.identifiers)
        }
        var report: ReportRequest?
        if let webhook, reference != nil, products.contains(where: { $0.hasPrefix("cra_") }) {
            report = ReportRequest(
                webhook: webhook,
                daysRequested: Int(options?["days_requested"]?.intValue ?? 365),
                clientReportID: options?["client_report_id"]?.stringValue,
                products: ReportRequest.ordered(products.filter { $0.hasPrefix("cra_") })
            )
        }
        let session = LinkSession(
            linkToken: "link-sandbox-" + identifiers.uuid("link-token", number),
            sessionID: identifiers.uuid("link-session", number),
            webhook: webhook ?? "",
            user: reference,
            products: products,
            report: report,
            isLayer: isLayer
        )
        // Without a webhook nobody would hear of it: then nothing is played.
        if webhook != nil {
            let delay = generationDelay(identifiers.number("session-delay", number))
            timers.schedule(at: clock.now() + delay) { [weak self] in self?.play(session) }
        }
        return session
    }

    /// The user connects a bank; the session's webhook goes out, and the report begins where one was asked for.
    private func play(_ session: LinkSession) {
        let now = wallClock.now()
        let expires = clock.now() + settings.publicTokenLifetime
        guard let institution = Institution.all["ins_109508"] else { return }
        let made = try? world.withLock { world throws(PlaidRefusal) in
            let user = try session.user.map { reference throws(PlaidRefusal) in try world.user(reference) }
            let item = try world.createItem(
                of: user,
                institution: institution,
                products: session.products,
                webhook: session.webhook,
                overrideUsername: "user_good",
                now: now,
                publicTokenExpires: expires
            )
            return (item: item, userID: user?.id, identifiers: world.identifiers)
        }
        guard let made else { return }
        let token =
            session.isLayer
            ? "profile-sandbox-" + made.identifiers.uuid("profile-token", session.sessionID) : made.item.publicToken
        var writer = JSONWriter(pretty: true)
        writer.object { writer in
            writer.field("environment", "sandbox")
            writer.field("link_session_id", session.sessionID)
            writer.field("link_token", session.linkToken)
            writer.array("public_tokens") { writer in writer.value(token) }
            writer.field("status", "SUCCESS")
            writer.field("user_id", ifPresent: made.userID)
            writer.field("webhook_code", "SESSION_FINISHED")
            writer.field("webhook_type", "LINK")
        }
        let outgoing = OutgoingWebhook(
            code: "SESSION_FINISHED",
            userID: made.userID ?? "",
            generation: nil,
            url: session.webhook,
            body: writer.bytes
        )
        _ = send(outgoing)
        if let user = session.user, let report = session.report { try? startGeneration(user, report) }
    }
}

extension RequestShapes {
    static let linkTokenCreate: [Field] =
        user + [
            Field("client_name", .text(1...100), required: true),
            Field("language", .text(2...5), required: true),
            Field("country_codes", .array(of: .text(2...2), atLeast: 1), required: true),
            Field("user", .object(linkUser)),
            Field("webhook", .url),
            Field("consumer_report_permissible_purpose", .word(purposes)),
            Field("cra_options", .nullable(.object(craOptions))),
            Field("products", .nullable(.array(of: product))),
            Field("required_if_supported_products", .nullable(.array(of: product))),
            Field("optional_products", .nullable(.array(of: product))),
            Field("additional_consented_products", .nullable(.array(of: product))),
            Field("enable_multi_item_link", .flag), Field("cra_enabled", .flag),
            Field("financekit_supported", .flag),
            Field("access_token", .nullable(.text())), Field("access_tokens", .nullable(.array(of: .text()))),
            Field("link_customization_name", .text()), Field("appearance_mode", .text()),
            Field("redirect_uri", .text()), Field("android_package_name", .text()), Field("institution_id", .text()),
            Field("third_party_user_token", .text(1...256)),
        ]
        + [
            "institution_data", "card_switch", "account_filters", "eu_config", "payment_configuration",
            "payment_initiation", "employment", "income_verification", "base_report", "credit_partner_insights",
            "auth", "transfer", "update", "identity_verification", "statements", "investments", "investments_auth",
            "hosted_link", "transactions", "cashflow_report", "identity", "cra_report_parameter",
        ].map { Field($0, .nullable(.anyObject)) }

    private static let linkUser: [Field] = [
        Field("client_user_id", .text(1...128), required: true), Field("legal_name", .text()),
        Field("name", .nullable(.anyObject)), Field("phone_number", .nullable(.text())),
        Field("phone_number_verified_time", .nullable(.text())), Field("email_address", .nullable(.text())),
        Field("email_address_verified_time", .nullable(.text())), Field("ssn", .text()),
        Field("date_of_birth", .nullable(.date)), Field("address", .nullable(.anyObject)),
        Field("id_number", .nullable(.anyObject)),
    ]
    private static let craOptions: [Field] = [
        Field("days_requested", .integer(1...731), required: true), Field("days_required", .integer(1...184)),
        Field("client_report_id", .nullable(.text(0...500))), Field("include_investments", .nullable(.flag)),
        Field("partner_insights", .nullable(.anyObject)), Field("base_report", .nullable(.anyObject)),
        Field("cashflow_insights", .nullable(.anyObject)), Field("lend_score", .nullable(.anyObject)),
        Field("network_insights", .nullable(.anyObject)), Field("income_insights", .nullable(.anyObject)),
    ]

    static let sessionTokenCreate: [Field] =
        [
            Field("user_id", .text(1...256)),
            Field("template_id", .text(1...256), required: true),
            Field(
                "user",
                .object([
                    Field("client_user_id", .text(1...128), required: true), Field("user_id", .text(1...256)),
                ])
            ),
            Field("redirect_uri", .text()), Field("android_package_name", .text()), Field("webhook", .url),
        ]
}
