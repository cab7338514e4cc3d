// The formats that only our own variables use: key rings, rate limits, products, API keys.

import Basics
import Cryptography
import PlaidAPI

/// One ceiling of `PLAID_RATE_LIMITS`: at most `count` calls of `endpoint` in each `interval`, all replicas together.
package struct PlaidRateLimit: Sendable, Equatable {
    package static let endpoints = [
        "base_report", "income_insights", "partner_insights", "pdf", "create", "user_items", "accounts",
        "processor_token",
    ]

    package let endpoint: String
    package let count: Int
    package let interval: Duration

    package init(endpoint: String, count: Int, interval: Duration) {
        self.endpoint = endpoint
        self.count = count
        self.interval = interval
    }
}

/// One entry of `API_KEYS`: who, and the SHA-256 of the key that lets them in.
package struct APIKeyHash: Sendable, Equatable {
    package let name: String
    /// 32 bytes.
    package let sha256: [UInt8]
}

package enum LogFormat: String, Sendable, CaseIterable { case json, text }

extension ValueFormat where Value == [PlaidRateLimit] {
    static var rateLimits: ValueFormat {
        let accepted =
            "name=count/unit separated by commas, such as base_report=1000/min; unit s, min or h, each name once, of "
            + PlaidRateLimit.endpoints.joined(separator: " ")
        return ValueFormat("limits", accepted: accepted) { text in
            var limits: [PlaidRateLimit] = []
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                guard let limit = rateLimit(trimmed(part)) else { return nil }
                guard !limits.contains(where: { $0.endpoint == limit.endpoint }) else { return nil }
                limits.append(limit)
            }
            return limits
        }
    }

    private static func rateLimit(_ text: String) -> PlaidRateLimit? {
        guard let equals = text.firstIndex(of: "="), let slash = text.firstIndex(of: "/"), equals < slash else {
            return nil
        }
        let units: [String: Duration] = ["s": .seconds(1), "min": .seconds(60), "h": .seconds(3600)]
        let name = String(text[..<equals])
        guard PlaidRateLimit.endpoints.contains(name),
            let count = parseDigits(text[text.index(after: equals)..<slash]), (1...1_000_000).contains(count),
            let interval = units[String(text[text.index(after: slash)...])]
        else { return nil }
        return PlaidRateLimit(endpoint: name, count: count, interval: interval)
    }
}

extension ValueFormat where Value == KeyRing {
    static var encryptionKeys: ValueFormat {
        let accepted = "id:base64-of-32-bytes[,id:…], each id once, 1 to 32 of letters, digits, '.', '-' and '_'"
        return ValueFormat("keys", accepted: accepted) { try? KeyRing(parsing: Secret($0)) }
    }
}

extension ValueFormat where Value == Secret {
    /// Base64 of exactly 32 bytes; the value is the decoded key.
    static var base64Key: ValueFormat {
        ValueFormat("base64", accepted: "the base64 of 32 bytes (openssl rand -base64 32)") { text in
            guard let bytes = Base64.decode(text), bytes.count == 32 else { return nil }
            return Secret(bytes: bytes)
        }
    }
}

extension ValueFormat where Value == [APIKeyHash] {
    static var apiKeys: ValueFormat {
        ValueFormat("keys", accepted: "name:sha256-hex-of-key[,…], each name once, letters, digits, - and _") { text in
            var keys: [APIKeyHash] = []
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                guard let colon = part.firstIndex(of: ":") else { return nil }
                let name = String(part[..<colon])
                guard isIdentifier(name), !keys.contains(where: { $0.name == name }),
                    let hash = Hex.decode(part[part.index(after: colon)...]), hash.count == 32
                else { return nil }
                keys.append(APIKeyHash(name: name, sha256: hash))
            }
            return keys
        }
    }
}

extension ValueFormat where Value == String {
    /// A prefix of topics and groups: what Kafka allows in a topic name, short enough to leave room for the name.
    static var topicPrefix: ValueFormat {
        ValueFormat("prefix", accepted: "at most 128 letters, digits, '.', '_' and '-'") { text in
            let allowed = text.utf8.allSatisfy { isLetterOrDigit($0) || "._-".utf8.contains($0) }
            return allowed && text.utf8.count <= 128 ? text : nil
        }
    }

    /// `host:port[,host:port]`, as librdkafka's `bootstrap.servers`.
    static var bootstrapServers: ValueFormat {
        ValueFormat("host:port,…", accepted: "host:port[,host:port…]") { text in
            let isEntry = { (entry: Substring) in
                guard let colon = entry.lastIndex(of: ":"), colon != entry.startIndex else { return false }
                guard let port = parseDigits(entry[entry.index(after: colon)...]) else { return false }
                let host = entry[..<colon].utf8
                return (1...65535).contains(port)
                    && host.allSatisfy { isLetterOrDigit($0) || "-._:[]".utf8.contains($0) }
            }
            let entries = text.split(separator: ",", omittingEmptySubsequences: false)
            return entries.allSatisfy(isEntry) && text.utf8.count <= 4096 ? text : nil
        }
    }

    /// A product of Plaid Check by Plaid's own name.
    static var reportProduct: ValueFormat {
        word(
            [
                "cra_base_report", "cra_income_insights", "cra_partner_insights", "cra_network_insights",
                "cra_cashflow_insights", "cra_lend_score", "cra_monitoring", "cra_plaid_credit_score",
            ],
            placeholder: "product"
        )
    }

    /// Plaid's `consumer_report_permissible_purpose`.
    static var permissiblePurpose: ValueFormat {
        word(
            [
                "ACCOUNT_REVIEW_CREDIT", "ACCOUNT_REVIEW_NON_CREDIT", "EXTENSION_OF_CREDIT",
                "LEGITIMATE_BUSINESS_NEED_TENANT_SCREENING", "LEGITIMATE_BUSINESS_NEED_OTHER",
                "WRITTEN_INSTRUCTION_PREQUALIFICATION", "WRITTEN_INSTRUCTION_OTHER",
                "ELIGIBILITY_FOR_GOVT_BENEFITS",
            ],
            placeholder: "purpose"
        )
    }
}

extension ValueFormat where Value == PlaidEnvironment {
    static var plaidEnvironment: ValueFormat {
        let words = PlaidEnvironment.allCases.map(\.rawValue)
        return ValueFormat(words.joined(separator: "|"), accepted: "one of \(words.joined(separator: ", "))") {
            PlaidEnvironment(rawValue: $0)
        }
    }
}

extension ValueFormat where Value == Logger.Level {
    static var logLevel: ValueFormat {
        let words = Logger.Level.allCases.map(\.rawValue)
        return ValueFormat("level", accepted: "one of \(words.joined(separator: ", "))") { Logger.Level(rawValue: $0) }
    }
}

extension ValueFormat where Value == LogFormat {
    static var logFormat: ValueFormat {
        ValueFormat("json|text", accepted: "json or text") { LogFormat(rawValue: $0) }
    }
}

/// 1 to 64 letters, digits, `-` and `_`.
private func isIdentifier(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
        && text.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
}
