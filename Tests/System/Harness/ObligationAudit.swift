// Holds what the receiver promised against what lies in the topics.

import Basics
import Cryptography
import Kafka
import PipelineEvents
import PlaidAPI

struct ObligationAudit: CustomStringConvertible {
    /// Distinct webhooks, forged ones too.
    let webhooks: Int
    let attempts: [ObligationAttempt]
    private(set) var records = 0
    /// Records beyond the first of a webhook.
    private(set) var doubles = 0
    /// Records whose webhook was never answered with 200 under the record's own token: late ones, lost answers.
    private(set) var unpromised = 0
    /// Every broken promise in words; empty is the point of the exercise.
    private(set) var faults: [String] = []

    init(_ attempts: [ObligationAttempt], _ found: [String: [ConsumerRecord]], topics: Topics) {
        self.attempts = attempts
        let byNumber = Dictionary(grouping: attempts, by: \.number)
        webhooks = byNumber.count
        var numberOfBody: [[UInt8]: Int] = [:]
        for number in byNumber.keys { numberOfBody[ObligedWebhook(number).body] = number }
        var tokensFound: Set<String> = []
        var found = found
        for (topic, list) in found {
            for record in list {
                records += 1
                guard let number = numberOfBody[record.value.array] else {
                    faults.append("\(record.topicPartition)@\(record.offset) was never sent")
                    continue
                }
                let webhook = ObligedWebhook(number)
                guard let token = record.header("plaid-verification"),
                    let attempt = byNumber[number]?.first(where: { $0.token == token })
                else {
                    faults.append("\(record.topicPartition)@\(record.offset) carries a token that was never sent")
                    continue
                }
                tokensFound.insert(token)
                if attempt.status != 200 { unpromised += 1 }
                if webhook.kind == .forged { faults.append("the forged \(number) is in \(topic)") }
                if topic != webhook.topic(in: topics) { faults.append("\(number) is in \(topic)") }
                if record.keyText != webhook.key { faults.append("\(number) has the key \(record.keyText ?? "none")") }
                let unlike = Self.unlikeExpected(record, webhook, attempt)
                if !unlike.isEmpty { faults.append("\(number) has other headers: \(unlike)") }
            }
        }
        found = found.filter { !$0.value.isEmpty }
        let numbers = Set(found.values.joined().compactMap { numberOfBody[$0.value.array] })
        doubles = records - numbers.count
        for attempt in attempts where attempt.status == 200 && !tokensFound.contains(attempt.token) {
            faults.append("\(attempt.number) was answered with 200 and is in no topic")
        }
        for attempt in attempts {
            let expected: Set<Int?> =
                ObligedWebhook(attempt.number).kind == .forged ? [401, 429, nil] : [200, 429, nil]
            if !expected.contains(attempt.status) {
                faults.append("\(attempt.number) was answered with \(attempt.status ?? 0)")
            }
            if attempt.status == 429 && attempt.retryAfter == nil { faults.append("\(attempt.number): no Retry-After") }
        }
    }

    private static func unlikeExpected(
        _ record: ConsumerRecord,
        _ webhook: ObligedWebhook,
        _ attempt: ObligationAttempt
    ) -> [String] {
        let receivedAt = record.header("received-at") ?? ""
        let expected = [
            "ce_specversion": "1.0",
            "ce_id": EventIdentity.webhook(
                environment: .sandbox,
                bodyDigest: SHA256.hash(webhook.body),
                issuedAt: attempt.issuedAt
            ),
            "ce_type": webhook.type, "ce_source": "/plaid/sandbox/webhooks", "ce_subject": webhook.key,
            "ce_time": receivedAt, "content-type": "application/json", "plaid-verification": attempt.token,
            "received-at": receivedAt,
        ]
        var unlike = expected.filter { record.header($0.key) != $0.value }.map(\.key)
        if record.headers.count != expected.count { unlike.append("\(record.headers.count) of them") }
        let age = Timestamp(rfc3339: receivedAt).map { $0 - Timestamp(secondsSinceEpoch: attempt.issuedAt) }
        if age == nil || !(Duration.zero...Duration.seconds(60)).contains(age ?? .zero) { unlike.append("received-at") }
        return unlike
    }

    func count(_ status: Int?) -> Int { attempts.count { $0.status == status } }

    /// Of whole requests that got an answer.
    var slowest: Duration { attempts.filter { $0.status != nil }.map(\.took).max() ?? .zero }

    var description: String {
        """
        \(webhooks) webhooks sent \(attempts.count) times: 200 \(count(200)), 429 \(count(429)), 401 \(count(401)), \
        no answer \(count(nil)), other \(attempts.count { ![200, 429, 401, nil].contains($0.status) }); \
        found \(records) records, doubles \(doubles), without a 200 of their own \(unpromised); \
        slowest answer \(slowest.inMilliseconds) ms
        """
    }
}
