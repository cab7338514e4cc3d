import Cryptography
import PipelineEvents
import PlaidAPI
import Testing

@Suite struct EventIdentityTests {
    private let body = SHA256.hash(Array("body".utf8))

    /// Computed with `printf '7:webhook7:sandbox64:<hash>10:1795230000' | sha256sum`, outside Swift.
    @Test func `hashes a webhook's environment, body and token time as documented`() {
        let id = EventIdentity.webhook(environment: .sandbox, bodyDigest: body, issuedAt: 1_795_230_000)
        #expect(id == "5bba30958f1f5686d8fbdeab20324199")
    }

    @Test func `hashes a report's environment, product and id as documented`() {
        let id = EventIdentity.report(environment: .production, product: "cra_base_report", reportID: "rB7kQ1zMxT")
        #expect(id == "34f12e0064dfd89110b3147d63ebd37f")
    }

    @Test func `differs when any part of a webhook differs`() {
        let ids = [
            EventIdentity.webhook(environment: .sandbox, bodyDigest: body, issuedAt: 1),
            EventIdentity.webhook(environment: .production, bodyDigest: body, issuedAt: 1),
            EventIdentity.webhook(environment: .sandbox, bodyDigest: SHA256.hash([]), issuedAt: 1),
            EventIdentity.webhook(environment: .sandbox, bodyDigest: body, issuedAt: 2),
        ]
        #expect(Set(ids).count == ids.count)
    }

    @Test func `keeps parts apart that would read the same when joined`() {
        let pairs = [("ab", "c"), ("a", "bc"), ("ab", "c:"), ("ab:c", ""), ("", "ab:c:"), ("ab1:c", "")]
        let ids = pairs.map { EventIdentity.report(environment: .sandbox, product: $0.0, reportID: $0.1) }
        #expect(Set(ids).count == pairs.count)
    }

    @Test func `tells lifecycle events apart by kind, product and cause`() {
        let ids = LifecycleEvent.Kind.allCases.flatMap { kind in
            [nil, "cra_base_report"].flatMap { product in
                ["a", "b"].map { cause in
                    EventIdentity.lifecycle(
                        environment: .sandbox,
                        kind: kind,
                        userID: "usr_1",
                        product: product,
                        cause: cause
                    )
                }
            }
        }
        #expect(Set(ids).count == 16)
    }
}
