// `checkctl webhooks send`: makes the sandbox sign and send one.

import Basics
import HTTPClient
import JSON
import PlaidAPI
import ServiceKit

enum WebhookCommands {
    private static let userID = CommandParameter<String>.option("user-id", .text, help: "a user of the sandbox's")
    private static let code = CommandParameter<String>.option(
        "code",
        .word(
            ["USER_CHECK_REPORT_READY", "USER_CHECK_REPORT_FAILED", "CHECK_REPORT_READY", "CHECK_REPORT_FAILED"],
            placeholder: "code"
        ),
        default: "USER_CHECK_REPORT_READY",
        help: "the webhook's code"
    )
    private static let url = CommandParameter<String>.option(
        "url",
        .url,
        help: "where it is sent; PLAID_WEBHOOK_URL when not given"
    ).optional

    static let send = Command(
        "webhooks send",
        summary: "has the sandbox sign and send one webhook",
        parameters: [userID, code, url],
        settings: Setting.plaid + [Setting.plaidWebhookURL]
    ) { invocation in
        guard invocation.settings.plaidEnvironment == .sandbox else {
            throw ProgramFailure(.usage, "only a sandbox sends webhooks on demand; PLAID_ENV is production")
        }
        guard let target = invocation.arguments[url] ?? invocation.settings[Setting.plaidWebhookURL] else {
            throw ProgramFailure(.usage, "no target: give --url or set PLAID_WEBHOOK_URL")
        }
        let http = try HTTPClient(settings: invocation.settings.plaidHTTPClient(maxInFlight: 1))
        defer { http.close(grace: .zero) }
        let plaid = invocation.settings.plaidClient(http)
        let user = UserReference(webhookUserID: invocation.arguments[userID])
        guard let user else {
            throw ProgramFailure(.usage, "requests do not take that id; name the user by its usr_… id or its token's")
        }
        do throws(PlaidFailure) {
            try await plaid.fireWebhook(
                code: invocation.arguments[code],
                user: user,
                url: target,
                deadline: invocation.soon(.seconds(20))
            )
        } catch {
            throw failure(error)
        }
        invocation.output.print([("sent", .text(invocation.arguments[code])), ("to", .text(target))])
    }

    /// Nothing answered, or the sandbox said no: an unknown user, a URL it does not take, wrong credentials.
    private static func failure(_ error: PlaidFailure) -> ProgramFailure {
        guard error.status != nil else {
            return ProgramFailure(.unavailable, "the sandbox cannot be reached, see PLAID_BASE_URL: \(error.message)")
        }
        return ProgramFailure(.usage, "the sandbox did not send it: \(error.message)")
    }
}
