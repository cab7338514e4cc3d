// What a webhook of the CHECK_REPORT family says about the reports of its user.

package import Basics
import JSON

package enum CheckReportSignal: Hashable, Sendable {
    /// At least one product was made. `successful` nil: the webhook does not say which; an empty list says no more.
    case ready(successful: [String]?, failed: [String]?)
    /// Nothing was made. The products that were tried; empty: every product of the request.
    case failed([String])
    /// Items of a legacy user could not be brought to Check.
    case upgradeFailed
    /// Not a code of this family, or one made since: counted and passed.
    case unknown

    /// Reads type, code and product lists; a list that is none counts as absent, entries that are no text are left out.
    package static func decode(_ body: Bytes) throws(WebhookRefusal) -> CheckReportSignal {
        let webhook = try Webhook.decode(body)
        guard webhook.type == "CHECK_REPORT" else { return .unknown }
        let json: JSONValue
        do throws(JSONRefusal) {
            json = try JSON.parse(body)
        } catch {
            throw .notJSON(error)
        }
        switch webhook.code {
        case "USER_CHECK_REPORT_READY", "CHECK_REPORT_READY":
            return .ready(
                successful: products(json["successful_products"]),
                failed: products(json["failed_products"])
            )
        case "USER_CHECK_REPORT_FAILED", "CHECK_REPORT_FAILED":
            return .failed(products(json["failed_products"]) ?? [])
        case "UPGRADE_FAILED":
            return .upgradeFailed
        default:
            return .unknown
        }
    }

    private static func products(_ json: JSONValue?) -> [String]? {
        json?.arrayValue?.compactMap(\.stringValue)
    }
}
