// The program: what it reads, what it is made of.

import Basics
import HTTPClient
import HTTPServer
import ServiceKit

/// `sandbox`.
package enum SandboxProgram {
    package static func main() -> Never {
        Program.run(
            name: "sandbox",
            summary: "Plaid on this machine: users, Items, consumer reports and signed webhooks; no bank behind it",
            settings: Setting.publicListener + [
                Setting.plaidClientID, Setting.plaidSecret, Setting.sandboxSeed, Setting.sandboxSpeed,
                Setting.sandboxFaultsFile,
            ],
            build: build
        )
    }

    /// Webhooks on their way at once.
    private static let webhooksInFlight = 64

    private static func build(_ context: ProgramContext) throws {
        let settings = context.settings
        let http = try context.addHTTPClient(
            "receiver",
            HTTPClientSettings(maxInFlight: webhooksInFlight, allowsPlainHTTP: true, userAgent: "Plaid")
        )
        let sandbox = try Sandbox(
            settings: SandboxSettings(
                seed: settings[Setting.sandboxSeed],
                speed: settings[Setting.sandboxSpeed],
                credentials: Credentials(
                    clientID: settings[Setting.plaidClientID],
                    secret: settings[Setting.plaidSecret]
                )
            ),
            http: http
        )
        context.add(component: "webhooks", stop: { _ in sandbox.sender.stop() })
        try context.addPublicListener(service: sandbox.router())
    }
}
