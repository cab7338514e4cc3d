// One call of an endpoint: credentials and fields judged, then handed to its handler.

import Basics
import Cryptography
import HTTPServer
import JSON
import PlaidAPI

/// How a request names a user.
enum UserFields: Sendable {
    case id(String)
    case token(String)
}

/// A request that has passed the checks of its endpoint.
struct Call: Sendable {
    let body: JSONValue
    let requestID: String

    func text(_ name: String) -> String? { body[name]?.stringValue }

    /// The user that the request names; exactly one of `user_id` and `user_token`.
    func user() throws(PlaidRefusal) -> UserFields {
        guard let reference = try optionalUser() else { throw .missingFields(["user_id"]) }
        return reference
    }

    func optionalUser() throws(PlaidRefusal) -> UserFields? {
        switch (text("user_id"), text("user_token")) {
        case (let id?, nil): return .id(id)
        case (nil, let token?): return .token(token)
        case (nil, nil): return nil
        case (_?, _?): throw .invalidField("user_token", "only one of user_id and user_token may be given")
        }
    }
}

/// What an endpoint answers: JSON laid out as Plaid does, or the bytes of a report.
enum Answer: Sendable {
    case json([UInt8], status: Int = 200)
    case report(ReportPlan, ReportProduct, ReportBodies.Body)

    /// An object with `request_id` at its end.
    static func object(_ call: Call, status: Int = 200, _ body: (inout JSONWriter) -> Void) -> Answer {
        var writer = JSONWriter(pretty: true)
        writer.object { writer in
            body(&writer)
            writer.field("request_id", call.requestID)
        }
        return .json(writer.bytes, status: status)
    }
}

/// The credentials of the one client this sandbox knows.
struct Credentials: Sendable {
    let clientID: String
    let secret: Secret

    /// From the headers, or from the body where the headers name none.
    func check(_ head: RequestHead, _ body: JSONValue) throws(PlaidRefusal) {
        guard let id = head.header("plaid-client-id") ?? body["client_id"]?.stringValue else {
            throw .missingFields(["client_id"])
        }
        guard let given = head.header("plaid-secret") ?? body["secret"]?.stringValue else {
            throw .missingFields(["secret"])
        }
        let isRight = constantTimeEqual(Array(id.utf8), Array(clientID.utf8))
        guard constantTimeEqual(Array(given.utf8), secret.bytes), isRight else { throw .invalidAPIKeys }
    }
}

/// One path of Plaid's.
struct Endpoint: Sendable {
    let path: String
    /// The report it reads, for fault rules.
    let product: ReportProduct?
    let fields: [FieldShape.Field]
    let handler: @Sendable (Call) async throws -> Answer

    static let bodyLimit = 256 * 1_024
    static let version = "2020-09-14"
    private static let credentialFields: [FieldShape.Field] = [.init("client_id", .text()), .init("secret", .text())]

    init(
        _ path: String,
        _ fields: [FieldShape.Field],
        _ handler: @escaping @Sendable (Call) async throws -> Answer
    ) {
        self.path = path
        product = ReportProduct.allCases.first { $0.path == path }
        self.fields = fields + Self.credentialFields
        self.handler = handler
    }

    /// Judges the request as Plaid does: body, credentials, version, fields.
    func call(_ request: Request, credentials: Credentials, requestID: String) throws(PlaidRefusal) -> Call {
        guard let body = try? JSON.parse(request.body), body.objectValue != nil else { throw .invalidBody }
        try credentials.check(request.head, body)
        if let version = request.head.header("plaid-version"), version != Self.version {
            throw .invalidRequest("INCOMPATIBLE_API_VERSION", "this endpoint is served in version \(Self.version) only")
        }
        try FieldShape.check(body, fields)
        return Call(body: body, requestID: requestID)
    }
}
