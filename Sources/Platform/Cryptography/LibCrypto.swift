// The seam to the C shim: small forwarding functions, so that the other files read as Swift.

import CCrypto

enum LibCrypto {
    static var version: String { String(cString: ccrypto_version()) }

    static func start() -> Bool { ccrypto_start() == 1 }

    /// The library's words for an error code. They name functions and reasons, never data.
    static func text(of code: UInt) -> String {
        guard code != 0 else { return "no reason given" }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            ccrypto_error_text(code, buffer.baseAddress, buffer.count)
            return String(cString: buffer.baseAddress!)
        }
    }

    /// Thirty-two bytes written by the shim, as an array.
    static func array(count: Int, filledBy fill: (UnsafeMutablePointer<UInt8>) -> Int32) -> [UInt8]? {
        var result: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            buffer.initialize(repeating: 0)
            if let base = buffer.baseAddress { result = fill(base) }
            initialized = count
        }
        return result == 1 ? bytes : nil
    }
}
