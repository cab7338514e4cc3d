// Published test data: RFC 4231, RFC 6979 A.2.5, and a webhook that Plaid's sandbox signed in 2021.

import Basics
import Cryptography

enum RFC6979 {
    static let scalar = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
    static let x = hex("60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6")
    static let y = hex("7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299")
    static let message = Array("sample".utf8)
    static let signature =
        hex("EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716")
        + hex("F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8")
}

enum PlaidVector {
    static let x = base64("35lvC8uz2QrWpQJ3TUH8t9o9DURMp7ydU518RKDl20k")
    static let y = base64("I8BuXB2bvxelzJAd7OKhd-ZwjCst05Fx47Mb_0ugros")
    static let signed = Array(
        ("eyJhbGciOiJFUzI1NiIsImtpZCI6IjZjNTUxNmUxLTkyZGMtNDc5ZS1hOGZmLTVhNTE5OTJlMDAwMSIsInR5cCI6IkpXVCJ9."
            + "eyJpYXQiOjE2MTIxODY2MjcsInJlcXVlc3RfYm9keV9zaGEyNTYiOiJjNDM3NDE5NjRlOWIxNzNkN2JjMWU4NDBhMjFjZTFhZDI2"
            + "Y2ZhMjdjMWEzNzliYmE4Y2I1ZjU3MTVhYWRlNDBhIn0").utf8
    )
    static let signature = base64(
        "7YVXrBFA9Wr-u7eWoPjRxoWW7M5hiNunZYJXpLuFoA6fTop8RBgybDRtNbtIa6W0X2Gvqg8dtb2uaMcHzHI9WQ"
    )
    /// The same token under (r, n − s).
    static let twin = base64(
        "7YVXrBFA9Wr-u7eWoPjRxoWW7M5hiNunZYJXpLuFoA5gsXWCu-fNlMuSykS3lFpLXYVLA5f56MdFUQO7L_Dn-A"
    )
}

/// The order of P-256's base point, and of its field.
enum P256 {
    static let order = hex("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551")
    static let field = hex("FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF")
}

func hex(_ text: String) -> [UInt8] {
    guard let bytes = Hex.decode(text.lowercased()) else { preconditionFailure("not hexadecimal: \(text)") }
    return bytes
}

func base64(_ text: String) -> [UInt8] {
    guard let bytes = Base64URL.decode(text) else { preconditionFailure("not base64url: \(text)") }
    return bytes
}

extension [UInt8] {
    /// A copy with one bit turned over; bit 0 is the lowest of the first byte.
    func flipping(bit: Int) -> [UInt8] {
        var copy = self
        copy[bit / 8] ^= 1 << UInt8(bit % 8)
        return copy
    }

    /// Big-endian addition of a small number, modulo 2^(8·count).
    func adding(_ number: Int) -> [UInt8] {
        var copy = self
        var carry = number
        for index in indices.reversed() {
            let sum = Int(copy[index]) + carry
            copy[index] = UInt8(sum & 0xFF)
            carry = sum >> 8
        }
        return copy
    }
}
