// Plaid's error object, as answers and webhooks carry it.

package import JSON

/// A `PlaidError`. Types and codes are for decisions; the messages are for people and may change or be empty.
package struct PlaidErrorBody: Hashable, Sendable {
    package let errorType: String
    package let errorCode: String
    package let errorMessage: String?
    package let requestID: String?
    /// In webhooks only.
    package let status: Int?
    /// In causes, and in the errors of repairable Items.
    package let itemID: String?
    package let causes: [PlaidErrorBody]

    package init(
        errorType: String,
        errorCode: String,
        errorMessage: String? = nil,
        requestID: String? = nil,
        status: Int? = nil,
        itemID: String? = nil,
        causes: [PlaidErrorBody] = []
    ) {
        self.errorType = errorType
        self.errorCode = errorCode
        self.errorMessage = errorMessage
        self.requestID = requestID
        self.status = status
        self.itemID = itemID
        self.causes = causes
    }

    /// Nil unless type and code are there and look like names: they go into logs and labels of tables.
    package init?(_ json: JSONValue) { self.init(json, depth: 0) }

    private init?(_ json: JSONValue, depth: Int) {
        guard let type = PlaidName.checked(json["error_type"]?.stringValue),
            let code = PlaidName.checked(json["error_code"]?.stringValue)
        else { return nil }
        errorType = type
        errorCode = code
        errorMessage = json["error_message"]?.stringValue
        requestID = PlaidName.checked(json["request_id"]?.stringValue)
        status = json["status"]?.intValue.map { Int($0) }
        itemID = json["item_id"]?.stringValue
        let inner = depth == 0 ? json["causes"]?.arrayValue ?? [] : []
        causes = inner.compactMap { PlaidErrorBody($0, depth: 1) }
    }
}

extension PlaidErrorBody: CustomStringConvertible, CustomReflectable {
    /// Type and code: the message is Plaid's free text and may quote what was sent, an Item's id names a person's bank.
    package var description: String { "\(errorType) \(errorCode)" }
    package var customMirror: Mirror { Mirror(self, children: ["error": description]) }
}

/// Names that Plaid chose (types, codes, request ids) before they are shown to anybody.
enum PlaidName {
    private static let mostBytes = 128

    /// The text when it is 1…128 letters, digits, `_`, `-` or `.`; else nil.
    static func checked(_ text: String?) -> String? {
        guard let text, (1...mostBytes).contains(text.utf8.count), text.utf8.allSatisfy(isAllowed) else { return nil }
        return text
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default:
            false
        }
    }
}
