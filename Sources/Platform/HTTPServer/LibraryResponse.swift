// Answers in the library's own form, made once where they repeat.

import Basics
import CMicrohttpd

/// Owns one response of the library. Queueing takes a reference of its own, so this may go before it is sent.
final class LibraryResponse {
    let pointer: OpaquePointer

    private init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { cmhd_response_destroy(pointer) }

    /// Nil when a header field cannot be sent, or memory is out.
    static func make(_ response: Response, closing: Bool) -> LibraryResponse? {
        let whole: OpaquePointer?
        if case .promising(let count) = response.breakOff, count > response.content.count {
            whole = brokenBody(of: response.content, promising: count)
        } else {
            whole = body(of: response.content)
        }
        guard let pointer = whole else { return nil }
        let made = LibraryResponse(pointer)
        if closing, !cmhd_response_add(pointer, "Connection", "close") { return nil }
        for (name, value) in response.headers {
            guard isSendable(name, value), cmhd_response_add(pointer, name, value) else { return nil }
        }
        return made
    }

    private static func body(of content: Response.Content) -> OpaquePointer? {
        switch content {
        case .none: return cmhd_response_borrowing("", 0)
        case .array(let array): return array.withUnsafeBytes { cmhd_response_copying($0.baseAddress, $0.count) }
        case .bytes(let bytes):
            // The pointer stays good as long as the owner lives, which the library now decides.
            let owner = Unmanaged.passRetained(bytes)
            let made = bytes.withUnsafeBytes { raw in
                cmhd_response_owning(raw.baseAddress, raw.count, releaseBytes, owner.toOpaque())
            }
            if made == nil { owner.release() }
            return made
        }
    }

    private static func brokenBody(of content: Response.Content, promising count: Int) -> OpaquePointer? {
        let bytes: Bytes =
            switch content {
            case .none: .empty
            case .array(let array): Bytes(array)
            case .bytes(let bytes): bytes
            }
        let owner = Unmanaged.passRetained(bytes)
        let made = bytes.withUnsafeBytes { raw in
            cmhd_response_breaking(raw.baseAddress, raw.count, UInt64(count), releaseBytes, owner.toOpaque())
        }
        if made == nil { owner.release() }
        return made
    }

    /// What a C string would cut short, or what would end the field, never gets that far. Framing is the server's.
    private static func isSendable(_ name: String, _ value: String) -> Bool {
        let reserved = ["connection", "content-length", "transfer-encoding"]
        return !name.isEmpty && !value.isEmpty && !reserved.contains(Text.lowercased(name.utf8))
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
            && value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}

private func releaseBytes(_ owner: UnsafeMutableRawPointer?) {
    if let owner { Unmanaged<Bytes>.fromOpaque(owner).release() }
}

/// The answers without a body that come again and again: by far the most of a webhook receiver.
struct ResponseCache {
    private struct Key: Hashable {
        let fields: [String]
        let closing: Bool
    }
    /// More different ones are made anew each time.
    static let capacity = 64
    private var plain: LibraryResponse?
    private var plainClosing: LibraryResponse?
    private var others: [Key: LibraryResponse] = [:]

    mutating func response(for response: Response, closing: Bool) -> LibraryResponse? {
        guard case .none = response.content, response.breakOff == nil else { return .make(response, closing: closing) }
        if response.headers.isEmpty {
            if closing {
                if plainClosing == nil { plainClosing = .make(response, closing: true) }
                return plainClosing
            }
            if plain == nil { plain = .make(response, closing: false) }
            return plain
        }
        let key = Key(fields: response.headers.flatMap { [$0.0, $0.1] }, closing: closing)
        if let known = others[key] { return known }
        let made = LibraryResponse.make(response, closing: closing)
        if others.count < Self.capacity { others[key] = made }
        return made
    }

    /// Before the daemon stops.
    mutating func clear() { self = ResponseCache() }
}
