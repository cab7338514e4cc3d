// The program: what it reads, what it is made of.

import Basics
import HTTPClient
import HTTPServer
import JSON
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

    private static func log(_ step: WebhookStep, _ logger: Logger) {
        let metadata: Logger.Metadata = [
            "webhook.serial": .stringConvertible(step.serial), "webhook.code": .string(step.code),
            "webhook.attempt": .stringConvertible(step.attempt),
            "webhook.answer": .string(step.answer.text),
        ]
        switch step.next {
        case .done: logger.debug("a webhook was acknowledged", metadata: metadata)
        case .again: logger.info("a webhook was not acknowledged and will be sent again", metadata: metadata)
        case .lost: logger.warning("a webhook is lost", metadata: metadata)
        }
    }

    fileprivate static let faultsFileLimit = 1_024 * 1_024

    private static func build(_ context: ProgramContext) throws {
        let settings = context.settings
        let http = try context.addHTTPClient(
            "receiver",
            HTTPClientSettings(maxInFlight: WebhookSender.mostInFlight, allowsPlainHTTP: true, userAgent: "Plaid")
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
            http: http,
            observe: { [logger = context.logger.labelled("webhooks")] in log($0, logger) }
        )
        if let file = settings[Setting.sandboxFaultsFile] { try sandbox.loadFaults(file) }
        context.add(component: "webhooks", stop: { _ in sandbox.sender.stop() })
        try context.addPublicListener(service: sandbox.router())
    }
}

extension Sandbox {
    /// `SANDBOX_FAULTS_FILE`, read once at the start.
    fileprivate func loadFaults(_ path: String) throws(ConfigurationError) {
        let name = Setting.sandboxFaultsFile.name
        let bytes: [UInt8]
        do {
            bytes = try FileContents.read(path, limit: SandboxProgram.faultsFileLimit)
        } catch {
            throw ConfigurationError(name, error.description)
        }
        guard let json = try? JSON.parse(bytes) else { throw ConfigurationError(name, "is not JSON") }
        do {
            let rules = try FaultRules.parse(json)
            faults.withLock { $0.replace(rules) }
        } catch {
            throw ConfigurationError(name, error.message)
        }
    }
}
