// Plaid as the settings name it: environment, host, credentials, and the client that calls it.

import Basics
package import HTTPClient
package import PlaidAPI

extension Settings {
    package var plaidEnvironment: PlaidEnvironment {
        // The setting's format admits these two words only.
        PlaidEnvironment(rawValue: self[Setting.plaidEnvironment]) ?? .sandbox
    }

    /// `PLAID_BASE_URL`, else the environment's own host.
    package var plaidBaseURLText: String { self[Setting.plaidBaseURL] ?? plaidEnvironment.baseURL }

    /// The transport's settings: plain HTTP only where the operator named such a URL.
    package func plaidHTTPClient(maxInFlight: Int, bodyBudget: BodyBudget? = nil) -> HTTPClientSettings {
        HTTPClientSettings(
            maxInFlight: maxInFlight,
            allowsPlainHTTP: plaidBaseURLText.hasPrefix("http://"),
            bodyBudget: bodyBudget,
            userAgent: "check-pipeline/\(Program.version)"
        )
    }

    package func plaidClient(_ transport: any PlaidTransport) -> PlaidClient {
        PlaidClient(
            http: transport,
            baseURL: plaidBaseURLText,
            credentials: PlaidCredentials(
                clientID: self[Setting.plaidClientID],
                secret: self[Setting.plaidSecret]
            )
        )
    }
}
