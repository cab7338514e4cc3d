// `/_sandbox/…`: what tests and developers turn while it runs. No credentials: this is nobody's Plaid.

import Basics
import HTTPServer
import JSON
import PlaidAPI

extension Sandbox {
    static let leverBodyLimit = 1_024 * 1_024

    var leverRoutes: [Route] {
        [
            lever(.get, "/_sandbox/faults") { [self] _ in .json(200, faultsJSON()) },
            lever(.put, "/_sandbox/faults") { [self] request in
                let rules = try FaultRules.parse(try Self.json(request))
                faults.withLock { $0.replace(rules) }
                return .json(200, faultsJSON())
            },
            lever(.delete, "/_sandbox/faults") { [self] _ in
                faults.withLock { $0.replace([]) }
                return .json(200, faultsJSON())
            },
            lever(.get, "/_sandbox/truth") { [self] request in
                .json(200, truth(userID: request.head.queryValue("user_id")))
            },
            lever(.post, "/_sandbox/keys/rotate") { [self] in try rotateKeys($0) },
            lever(.post, "/_sandbox/webhooks") { [self] in try sendWebhooks($0) },
            lever(.get, "/_sandbox/reports") { [self] _ in .json(200, reportsJSON()) },
            lever(.put, "/_sandbox/reports") { [self] in try setReports($0) },
        ]
    }

    private func lever(
        _ method: HTTPMethod,
        _ path: String,
        _ answer: @escaping @Sendable (Request) throws -> Response
    ) -> Route {
        Route(
            method,
            path,
            bodyLimit: Self.leverBodyLimit,
            handler: .async { request in
                do {
                    return try answer(request)
                } catch {
                    let refusal = error as? PlaidRefusal ?? .internalError("\(error)")
                    return .json(refusal.status, refusal.body(requestID: "lever"))
                }
            }
        )
    }

    /// An empty body is an empty object.
    private static func json(_ request: Request) throws(PlaidRefusal) -> JSONValue {
        if request.body.isEmpty { return .object([]) }
        guard let json = try? JSON.parse(request.body) else { throw .invalidBody }
        return json
    }

    private func faultsJSON() -> [UInt8] {
        var writer = JSONWriter(pretty: true)
        faults.withLock { $0.write(&writer) }
        return writer.bytes
    }

    func truth(userID: String?) -> [UInt8] {
        let users = world.withLock { world in
            userID.map { id in [world.users[id]].compactMap(\.self) } ?? world.userOrder.compactMap { world.users[$0] }
        }
        let deliveries = sender.deliveries().filter { userID == nil || $0.userID == userID }
        let truth = Truth(
            users: users,
            deliveries: deliveries,
            seed: settings.seed,
            speed: settings.speed,
            now: clock.now()
        )
        return truth.json()
    }

    // MARK: keys

    private func rotateKeys(_ request: Request) throws -> Response {
        let json = try Self.json(request)
        try FieldShape.check(json, [Field("expire_older", .flag)])
        let now = wallClock.now()
        let (made, all) = try keys.withLock { keys in
            try keys.rotate(now: now, expiresOlder: json["expire_older"]?.boolValue ?? false)
            return (keys.current, keys.keys)
        }
        var writer = JSONWriter(pretty: true)
        writer.object { writer in
            writer.field("key_id", made.id)
            writer.array("keys") { writer in
                for key in all {
                    writer.object { writer in
                        writer.field("key_id", key.id)
                        writer.field("expired", key.expiredAt != nil)
                    }
                }
            }
        }
        return .json(200, writer.bytes)
    }

    // MARK: webhooks

    private static let webhookFields: [Field] = [
        Field("user_id", .text(1...256)),
        Field("code", .word(RequestShapes.reportCodes + ["both"])),
        Field("copies", .integer(1...1_000)),
        Field("url", .url),
        Field("body", .anyObject),
    ]

    /// Sends a report webhook again, several times, under one code or both; or any body that is given, signed.
    private func sendWebhooks(_ request: Request) throws -> Response {
        let json = try Self.json(request)
        try FieldShape.check(json, Self.webhookFields)
        let copies = Int(json["copies"]?.intValue ?? 1)
        let url = json["url"]?.stringValue
        var serials: [Int] = []
        if let body = json["body"] {
            guard let url else { throw PlaidRefusal.missingFields(["url"]) }
            let outgoing = OutgoingWebhook(
                code: body["webhook_code"]?.stringValue ?? "",
                userID: body["user_id"]?.stringValue ?? "",
                generation: nil,
                url: url,
                body: body.serialized(pretty: true)
            )
            for _ in 0..<copies { if let serial = send(outgoing) { serials.append(serial) } }
        } else {
            serials = try resend(json, copies: copies, url: url)
        }
        var writer = JSONWriter(pretty: true)
        writer.object { writer in
            writer.array("serials") { writer in serials.forEach { writer.value($0) } }
        }
        return .json(200, writer.bytes)
    }

    private func resend(_ json: JSONValue, copies: Int, url: String?) throws(PlaidRefusal) -> [Int] {
        guard let id = json["user_id"]?.stringValue else { throw .missingFields(["user_id"]) }
        guard let user = world.withLock({ $0.users[id] }) else { throw .userNotFound }
        guard let target = url ?? user.generations.last?.webhook else { throw .missingFields(["url"]) }
        let own = user.family == .current ? "USER_CHECK_REPORT_READY" : "CHECK_REPORT_READY"
        let wanted = json["code"]?.stringValue ?? own
        let codes = wanted == "both" ? ["USER_CHECK_REPORT_READY", "CHECK_REPORT_READY"] : [wanted]
        var serials: [Int] = []
        for _ in 0..<copies {
            for code in codes {
                let webhook = ReportWebhook.fired(code: code, for: user)
                let generation = user.generations.last?.plan.generation
                if let serial = send(webhook, generation: generation, to: target) { serials.append(serial) }
            }
        }
        return serials
    }

    // MARK: reports

    private func reportsJSON() -> [UInt8] {
        var writer = JSONWriter(pretty: true)
        writer.object { writer in
            writer.name("bytes")
            if let bytes = world.withLock({ $0.defaultReportBytes }) { writer.value(bytes) } else { writer.null() }
        }
        return writer.bytes
    }

    /// The size of base reports that are created from now on and whose user wished for none; null: the usual mix.
    private func setReports(_ request: Request) throws -> Response {
        let json = try Self.json(request)
        let sizes = Int64(ReportTraits.sizes.lowerBound)...Int64(ReportTraits.sizes.upperBound)
        try FieldShape.check(json, [Field("bytes", .nullable(.integer(sizes)), required: true)])
        world.withLock { $0.defaultReportBytes = json["bytes"]?.intValue.map(Int.init) }
        return .json(200, reportsJSON())
    }
}
