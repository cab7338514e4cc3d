import Basics
import Testing

@Suite struct BytesTests {
    @Test func `memory of others is given back once, when the last user lets go`() {
        let released = Locked(0)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 1)
        memory.initializeMemory(as: UInt8.self, repeating: 7, count: 8)
        var bytes: Bytes? = Bytes(adopting: memory, count: 5, readablePadding: 3) { pointer in
            pointer.deallocate()
            released.withLock { $0 += 1 }
        }
        var second = bytes
        bytes = nil
        #expect(released.withLock { $0 } == 0)
        #expect(second?.array == [7, 7, 7, 7, 7])
        second = nil
        #expect(released.withLock { $0 } == 1)
    }

    @Test func `own copies are padded with zeros`() {
        let bytes = Bytes([1, 2, 3])
        #expect(bytes.readablePadding == 64)
        let after = bytes.withUnsafeBytes { $0.baseAddress!.loadUnaligned(fromByteOffset: 3, as: UInt64.self) }
        #expect(after == 0)
    }

    @Test func `equality is by content`() {
        #expect(Bytes([1, 2]) == Bytes([1, 2]))
        #expect(Bytes([1, 2]) != Bytes([1, 3]))
        #expect(Bytes.empty == Bytes([]))
    }

    @Test func `text is validated, never repaired`() {
        #expect(Bytes(utf8: "zażółć").string() == "zażółć")
        #expect(Bytes([0xFF, 0x41]).string() == nil)
        #expect(Bytes([0xED, 0xA0, 0x80]).string() == nil)
    }

    @Test func `descriptions show no content`() {
        #expect("\(Bytes(utf8: "123-45-6789"))" == "11 bytes")
        let secret = Secret("access-sandbox-1")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!"\(secret) \(String(reflecting: secret)) \(dumped)".contains("access"))
        #expect(secret.reveal() == "access-sandbox-1")
    }
}
