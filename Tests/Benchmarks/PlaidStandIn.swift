// Plaid as the benchmarks need it: one verification key, and 60 KB reports after 200 ms. Far cheaper than the sandbox, so
// that it takes little of the two cores the programs are measured on.

import Basics
import Cryptography
import HTTPServer
import JSON

final class PlaidStandIn: Sendable {
    static let keyID = "benchmark-key"
    private let server: HTTPServer
    private let key: ES256PrivateKey

    /// - Parameter reportDelay: How long a report takes until it is answered.
    init(reportDelay: Duration) throws {
        let key = try ES256PrivateKey()
        self.key = key
        let jwk: JSONValue = [
            "key": [
                "alg": "ES256", "crv": "P-256", "kty": "EC", "use": "sig", "kid": .string(Self.keyID),
                "x": .string(Base64URL.encode(key.publicX)), "y": .string(Base64URL.encode(key.publicY)),
                "created_at": 1_790_000_000, "expired_at": nil,
            ],
            "request_id": "benchmark",
        ]
        let keyAnswer = Response.json(200, jwk.serialized())
        var limits = HTTPServer.Limits()
        limits.maxWaiting = 8_192
        limits.maxConnections = 8_192
        let reports = ["base_report", "income_insights", "partner_insights"].map { product in
            Route(
                .post,
                "/cra/check_report/\(product)/get",
                handler: .async { request in
                    try? await TimerQueue.shared.sleep(for: reportDelay)
                    return .json(200, Self.report(of: request.body))
                }
            )
        }
        let routes =
            [Route(.post, "/webhook_verification_key/get", handler: .immediate { _ in keyAnswer })] + reports
        server = try HTTPServer(
            host: "127.0.0.1",
            port: 0,
            limits: limits,
            service: Router(routes: routes, maxAsync: 8_192),
            name: "plaid"
        )
        server.start()
    }

    var url: String { "http://127.0.0.1:\(server.port)" }
    func stop() { server.stop() }

    /// `Plaid-Verification` of a body, issued now.
    func token(for body: [UInt8]) throws -> String {
        let header = Base64URL.encode(Array("{\"alg\":\"ES256\",\"kid\":\"\(Self.keyID)\",\"typ\":\"JWT\"}".utf8))
        let issuedAt = WallClock.system.now().seconds
        let claims = "{\"iat\":\(issuedAt),\"request_body_sha256\":\"\(SHA256.hash(body).hex)\"}"
        let signed = "\(header).\(Base64URL.encode(Array(claims.utf8)))"
        return "\(signed).\(Base64URL.encode(try key.sign(digest: SHA256.hash(Array(signed.utf8)))))"
    }

    /// 60 KB in a base report's shape, with the user's name in the report's id.
    private static func report(of request: Bytes) -> [UInt8] {
        let user = (try? JSON.parse(request))?["user_id"]?.stringValue ?? "nobody"
        var bytes = Array("{\"report\":{\"report_id\":\"r-\(user)\",".utf8)
        bytes.append(contentsOf: filler)
        return bytes
    }

    private static let filler: [UInt8] = {
        var random = SeededGenerator(seed: 60)
        var text = "\"date_generated\":\"2026-11-20T03:04:05.123456789Z\",\"generated_time\":\"2026-11-20T03:04:05Z\","
        text += "\"days_requested\":365,\"client_report_id\":null,\"income_streams\":[],\"items\":["
        var count = 0
        while text.utf8.count < 60_000 {
            if count > 0 { text += "," }
            count += 1
            let amount = Int.random(in: 100...999_999, using: &random)
            text +=
                "{\"transaction_id\":\"\(Hex.encode((0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }))\","
            text +=
                "\"amount\":\(amount / 100).\(amount % 90 + 10),\"iso_currency_code\":\"USD\",\"date\":\"2026-10-\(count % 28 + 1)\","
            text += "\"original_description\":\"STORE \(amount) DAYTON OH\",\"pending\":false,\"merchant_name\":null}"
        }
        return Array((text + "]},\"warnings\":[],\"request_id\":\"benchmark\"}").utf8)
    }()
}
