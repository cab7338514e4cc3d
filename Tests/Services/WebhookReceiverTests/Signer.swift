// Signs webhooks as Plaid does, and keeps one that Plaid's sandbox signed in 2021.

import Basics
import Cryptography

struct Signer {
    let pair: ES256PrivateKey
    let keyID: String

    init(keyID: String = "kid-1") throws {
        pair = try ES256PrivateKey()
        self.keyID = keyID
    }

    func token(_ body: [UInt8], issuedAt: Timestamp) throws -> String {
        try token(header: header, payload: payload(body, issuedAt: issuedAt))
    }

    var header: String { #"{"alg":"ES256","kid":"\#(keyID)","typ":"JWT"}"# }

    func payload(_ body: [UInt8], issuedAt: Timestamp) -> String {
        #"{"iat":\#(issuedAt.seconds),"request_body_sha256":"\#(SHA256.hash(body).hex)"}"#
    }

    func token(header: String, payload: String) throws -> String {
        let signed = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(payload.utf8))
        return signed + "." + Base64URL.encode(try pair.sign(digest: SHA256.hash(Array(signed.utf8))))
    }
}

enum Genuine {
    static let body = Array(
        """
        {
          "error": null,
          "item_id": "xVDbz8kaZRf69Nd18x81I3y83kZaxEF688545",
          "new_transactions": 0,
          "webhook_code": "DEFAULT_UPDATE",
          "webhook_type": "TRANSACTIONS"
        }
        """.utf8
    )
    static let keyID = "6c5516e1-92dc-479e-a8ff-5a51992e0001"
    static let x = "35lvC8uz2QrWpQJ3TUH8t9o9DURMp7ydU518RKDl20k"
    static let y = "I8BuXB2bvxelzJAd7OKhd-ZwjCst05Fx47Mb_0ugros"
    static let issuedAt = Timestamp(secondsSinceEpoch: 1_612_186_627)
    static let token =
        "eyJhbGciOiJFUzI1NiIsImtpZCI6IjZjNTUxNmUxLTkyZGMtNDc5ZS1hOGZmLTVhNTE5OTJlMDAwMSIsInR5cCI6IkpXVCJ9."
        + "eyJpYXQiOjE2MTIxODY2MjcsInJlcXVlc3RfYm9keV9zaGEyNTYiOiJjNDM3NDE5NjRlOWIxNzNkN2JjMWU4NDBhMjFjZTFhZDI2"
        + "Y2ZhMjdjMWEzNzliYmE4Y2I1ZjU3MTVhYWRlNDBhIn0"
        + ".7YVXrBFA9Wr-u7eWoPjRxoWW7M5hiNunZYJXpLuFoA6fTop8RBgybDRtNbtIa6W0X2Gvqg8dtb2uaMcHzHI9WQ"
}
