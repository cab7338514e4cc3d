// The answer table of the receiver, as values: what is answered, and under which name it is counted.

import HTTPServer
import PlaidAPI

/// What becomes of one webhook.
enum Answer: Hashable, Sendable {
    /// The broker has it.
    case stored
    /// Not a webhook that could be processed, however often it came: 400.
    case unusable(Unusable)
    /// Not proven to be Plaid's: 401, one body for all of them.
    case forged(BadReason)
    /// Cannot be decided or stored now: 429 with `Retry-After`.
    case later(Postponement)

    enum Unusable: String, CaseIterable, Sendable {
        case notJSON = "not_json"
        case missingField = "missing_field"
        case repeatedField = "repeated_field"
        case fieldType = "field_type"
        case fieldTooLong = "field_too_long"
        case otherEnvironment = "other_environment"

        init(_ refusal: WebhookRefusal) {
            switch refusal {
            case .notJSON: self = .notJSON
            case .missing: self = .missingField
            case .notAString: self = .fieldType
            case .repeated: self = .repeatedField
            case .tooLong: self = .fieldTooLong
            }
        }
    }

    enum Postponement: String, CaseIterable, Sendable {
        case kafka
        case kafkaTimeout = "kafka_timeout"
        case keyService = "key_service"
        case keyTimeout = "key_timeout"
        case lookupBudget = "lookup_budget"
        case clock
        case crypto
        case draining

        init(_ reason: UndecidedReason) {
            switch reason {
            case .clock: self = .clock
            case .key: self = .keyService
            case .library: self = .crypto
            }
        }
    }
}

/// The responses, made once: shared, never changed.
enum Responses {
    static let stored = Response.empty(200)
    static let unusable = Response.text(400, "The body is not a webhook of this environment.\n")
    static let forged = Response.text(401, "The webhook is not verified.\n")
    static let notFound = Response.empty(404)
    static let wrongMedia = Response.empty(415)

    static func wrongMethod(allow: String) -> Response { Response.empty(405).adding("Allow", allow) }
}
