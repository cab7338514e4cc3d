// A webhook's body, as far as routing needs it. Unknown types, codes and fields are all taken.

package import Basics
package import JSON

/// Why a genuine webhook's body is refused.
package enum WebhookRefusal: Error, Hashable, Sendable {
    case notJSON(JSONRefusal)
    case missing(field: String)
    case notAString(field: String)
    case repeated(field: String)
    case tooLong(field: String)

    /// A label for counters.
    package var name: String {
        switch self {
        case .notJSON: "not_json"
        case .missing: "missing_field"
        case .notAString: "not_a_string"
        case .repeated: "repeated_field"
        case .tooLong: "too_long_field"
        }
    }
}

/// The routing fields of a webhook.
package struct Webhook: Hashable, Sendable {
    package let type: String
    package let code: String
    package let userID: String?
    package let itemID: String?
    package let linkToken: String?
    package let environment: String?

    /// Fields become keys and headers of records.
    package static let mostFieldBytes = 1_024

    private static let fields = [
        "webhook_type", "webhook_code", "user_id", "item_id", "link_token", "environment",
    ]
    private static let names = NameList(fields)

    /// Reads the routing fields; the whole body is checked to be JSON.
    ///
    /// Each field must stand at most once and be a string. Type and code must be there and not empty; of the others
    /// an absent, null or empty one is nil.
    package static func decode(_ body: Bytes) throws(WebhookRefusal) -> Webhook {
        let found: [RoutingField]
        do throws(JSONRefusal) {
            found = try JSON.routingFields(body, names)
        } catch {
            throw .notJSON(error)
        }
        return Webhook(
            type: try required(0, found),
            code: try required(1, found),
            userID: try optional(2, found),
            itemID: try optional(3, found),
            linkToken: try optional(4, found),
            environment: try optional(5, found)
        )
    }

    /// False when the webhook names another environment; most name ours, some none.
    package func belongs(to ours: PlaidEnvironment) -> Bool {
        environment.map { $0 == ours.rawValue } ?? true
    }

    private static func required(_ place: Int, _ found: [RoutingField]) throws(WebhookRefusal) -> String {
        guard let value = try optional(place, found) else { throw .missing(field: fields[place]) }
        return value
    }

    private static func optional(_ place: Int, _ found: [RoutingField]) throws(WebhookRefusal) -> String? {
        switch found[place] {
        case .absent, .other(.null): return nil
        case .string(let text):
            guard text.utf8.count <= mostFieldBytes else { throw .tooLong(field: fields[place]) }
            return text.isEmpty ? nil : text
        case .other: throw .notAString(field: fields[place])
        case .repeated: throw .repeated(field: fields[place])
        }
    }
}
