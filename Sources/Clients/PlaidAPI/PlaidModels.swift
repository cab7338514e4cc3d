// What calls take and give, beside reports and keys. Unknown fields are ignored, unknown values kept as text.

package import Basics
import JSON

/// A report as read: its bytes, and what was learnt on the way.
package struct FetchedReport: Sendable {
    /// Exactly as received. While it lives its room in the client's budget is taken.
    package let body: Bytes
    package let facts: ReportFacts
    package let requestID: String?
    /// How often the transport sent the request again by itself.
    package let silentRepeats: Int
    package let elapsed: Duration
}

/// What `/cra/check_report/create` is asked for.
package struct ReportOrder: Sendable {
    package var user: UserReference
    /// Where Plaid sends the result.
    package var webhook: String
    /// 180…731.
    package var daysRequested: Int
    /// At most 184; the report fails when less history is there. Nil: no demand.
    package var daysRequired: Int?
    /// `consumer_report_permissible_purpose`.
    package var permissiblePurpose: String
    /// Echoed in report bodies.
    package var clientReportID: String?
    /// Plaid's product names; generated before READY.
    package var products: [String]

    package init(
        user: UserReference,
        webhook: String,
        daysRequested: Int,
        daysRequired: Int? = nil,
        permissiblePurpose: String,
        clientReportID: String? = nil,
        products: [String]
    ) {
        self.user = user
        self.webhook = webhook
        self.daysRequested = daysRequested
        self.daysRequired = daysRequired
        self.permissiblePurpose = permissiblePurpose
        self.clientReportID = clientReportID
        self.products = products
    }

    func write(to writer: inout JSONWriter) {
        writer.field(user.field.name, user.field.value)
        writer.field("webhook", webhook)
        writer.field("days_requested", daysRequested)
        if let daysRequired { writer.field("days_required", daysRequired) }
        writer.field("consumer_report_permissible_purpose", permissiblePurpose)
        writer.field("client_report_id", ifPresent: clientReportID)
        if !products.isEmpty {
            writer.array("products") { writer in for product in products { writer.value(product) } }
        }
        if products.contains(ReportProduct.incomeInsights.rawValue) {
            writer.object("income_insights") { $0.field("income_insights_version", "II2") }
        }
    }
}

/// A user just made. `userToken` is there for legacy clients only, and then `userID` appears in webhooks only.
package struct CreatedUser: Sendable {
    package let userID: String
    package let userToken: Secret?
    package let requestID: String?

    init?(_ json: JSONValue) {
        guard let id = json["user_id"]?.stringValue, !id.isEmpty else { return nil }
        userID = id
        userToken = json["user_token"]?.stringValue.map { Secret($0) }
        requestID = PlaidName.checked(json["request_id"]?.stringValue)
    }
}

package struct PlaidItem: Hashable, Sendable {
    package let itemID: String
    package let institutionID: String?
    package let institutionName: String?
    /// What stops the Item, if anything does.
    package let error: PlaidErrorBody?

    init?(_ json: JSONValue) {
        guard let id = json["item_id"]?.stringValue, !id.isEmpty else { return nil }
        itemID = id
        institutionID = json["institution_id"]?.stringValue
        institutionName = json["institution_name"]?.stringValue
        error = json["error"].flatMap(PlaidErrorBody.init)
    }
}

package struct PlaidAccount: Hashable, Sendable {
    package let accountID: String
    package let name: String?
    package let mask: String?
    package let type: String?
    package let subtype: String?

    init?(_ json: JSONValue) {
        guard let id = json["account_id"]?.stringValue, !id.isEmpty else { return nil }
        accountID = id
        name = json["name"]?.stringValue
        mask = json["mask"]?.stringValue
        type = json["type"]?.stringValue
        subtype = json["subtype"]?.stringValue
    }
}

package struct ItemAccounts: Hashable, Sendable {
    package let item: PlaidItem?
    package let accounts: [PlaidAccount]

    init?(_ json: JSONValue) {
        guard let list = json["accounts"]?.arrayValue else { return nil }
        accounts = list.compactMap(PlaidAccount.init)
        item = json["item"].flatMap(PlaidItem.init)
    }
}
