// The loaded configuration: every key a program lists is read and checked before anything starts.

import Basics
import PlaidAPI

/// Typed values of the keys that a program listed.
package struct Settings: Sendable {
    private var values: [String: any LoadedSetting] = [:]
    /// Names in CONFIG_FILE that no program knows.
    package let unknownNames: [String]

    /// Reads and checks all of `keys`, then the rules that tie several together.
    ///
    /// - Throws: ``ConfigurationError`` for the first key that is missing or malformed, in the order of `keys`.
    package init(_ keys: [any AnySettingKey], from source: SettingSource) throws(ConfigurationError) {
        unknownNames = source.unknownNames
        for key in keys {
            values[key.name] = try key.load(try source.text(for: key))
        }
        for rule in SettingRule.all {
            if let error = rule.check(self) { throw error }
        }
    }

    /// Reads `keys` from an environment given as a dictionary.
    package init(
        _ keys: [any AnySettingKey],
        environment: [String: String]
    ) throws(ConfigurationError) {
        try self.init(keys, from: try SettingSource(environment: EnvironmentVariables(environment)))
    }

    /// The value of a key that the program listed in the same form: `x` as `x`, `x.optional` as `x.optional`.
    package subscript<Value>(key: SettingKey<Value>) -> Value {
        guard let loaded = values[key.name] as? Loaded<Value> else {
            preconditionFailure("this program does not list \(key.name) in this form among its settings")
        }
        return loaded.value
    }

    /// The value, or nil when the program does not list the key in this form.
    package func ifListed<Value>(_ key: SettingKey<Value>) -> Value? {
        (values[key.name] as? Loaded<Value>)?.value
    }
}

/// A condition on several settings; holds for programs that list all of them.
struct SettingRule: Sendable {
    let check: @Sendable (Settings) -> ConfigurationError?

    static let all: [SettingRule] = [
        SettingRule { settings in
            guard let base = settings.ifListed(Setting.retryBase), let max = settings.ifListed(Setting.retryMax) else {
                return nil
            }
            return base > max ? ConfigurationError("RETRY_MAX", "is below RETRY_BASE") : nil
        },
        SettingRule { settings in
            guard let certificate = settings.ifListed(Setting.httpTLSCertFile),
                let key = settings.ifListed(Setting.httpTLSKeyFile)
            else { return nil }
            return switch (certificate, key) {
            case (.some, nil): ConfigurationError("HTTP_TLS_KEY_FILE", "is not set, though HTTP_TLS_CERT_FILE is")
            case (nil, .some): ConfigurationError("HTTP_TLS_CERT_FILE", "is not set, though HTTP_TLS_KEY_FILE is")
            default: nil
            }
        },
        SettingRule { settings in
            guard let environment = settings.ifListed(Setting.plaidEnvironment), environment == .production,
                let url = settings.ifListed(Setting.plaidBaseURL) ?? nil
            else { return nil }
            return url.hasPrefix("http://") && !isLoopback(url)
                ? ConfigurationError("PLAID_BASE_URL", "must be https:// when PLAID_ENV is production") : nil
        },
    ]

    /// Whether the URL's host is this machine by name or number: `127.` alone would also fit `127.example`.
    private static func isLoopback(_ url: String) -> Bool {
        let authority = url.drop { $0 != "/" }.drop { $0 == "/" }.prefix { $0 != "/" }
        if authority.hasPrefix("[") { return authority.prefix { $0 != "]" } == "[::1" }
        let host = authority.prefix { $0 != ":" }
        return host == "localhost"
            || (host.hasPrefix("127.") && host.utf8.allSatisfy { isDigit($0) || $0 == UInt8(ascii: ".") })
    }
}
