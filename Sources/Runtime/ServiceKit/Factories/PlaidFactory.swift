// Plaid from our settings: which one, as whom, and through which client.

import Basics
package import HTTPClient
package import PlaidAPI

extension Settings {
    package var plaidEnvironment: PlaidEnvironment { self[Setting.plaidEnvironment] }

    /// `PLAID_BASE_URL`, or the host of `PLAID_ENV`; without a slash at its end.
    package var plaidBaseURL: String { self[Setting.plaidBaseURL] ?? plaidEnvironment.baseURL }

    package var plaidCredentials: PlaidCredentials {
        PlaidCredentials(clientID: self[Setting.plaidClientID], secret: self[Setting.plaidSecret])
    }

    /// Settings of an HTTP client for calls to Plaid.
    ///
    /// - Parameters:
    ///   - maxInFlight: Calls at once.
    ///   - bodyBudget: The bound of `MAX_IN_FLIGHT_BYTES`, for programs that fetch reports.
    package func plaidHTTPClient(maxInFlight: Int, bodyBudget: BodyBudget? = nil) -> HTTPClientSettings {
        HTTPClientSettings(
            maxInFlight: maxInFlight,
            allowsPlainHTTP: plaidBaseURL.hasPrefix("http://"),
            bodyBudget: bodyBudget,
            userAgent: "check-pipeline/\(Program.version)"
        )
    }

    package func plaidClient(_ http: any PlaidTransport) -> PlaidClient {
        PlaidClient(http: http, baseURL: plaidBaseURL, credentials: plaidCredentials)
    }
}
