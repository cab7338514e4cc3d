import Basics
import Glibc
import TestSupport
import Testing

@Suite struct FileContentsTests {
    private let folder = TemporaryFolder("files")

    @Test(arguments: [0, 1, 16_383, 16_384, 16_385, 100_000])
    func `reads files of any size up to the limit`(_ size: Int) throws {
        let text = String(repeating: "x", count: size)
        let file = folder.write(text, to: "file")
        #expect(try FileContents.read(file, limit: size) == Array(text.utf8))
        if size > 0 {
            #expect(throws: FileReadError.tooLarge(limit: size - 1)) { try FileContents.read(file, limit: size - 1) }
        }
    }

    @Test func `tells a missing file from a folder and from an endless one`() {
        #expect(throws: FileReadError.system(errno: ENOENT)) { try FileContents.read("\(folder.path)/none", limit: 1) }
        #expect(throws: FileReadError.notARegularFile) { try FileContents.read(folder.path, limit: 1) }
        #expect(throws: FileReadError.tooLarge(limit: 1000)) { try FileContents.read("/dev/zero", limit: 1000) }
    }
}

@Suite struct OutputDescriptorTests {
    /// A pipe that is full does not lose the rest, even when somebody made it non-blocking.
    @Test(arguments: [false, true])
    func `writes everything through a slow pipe`(_ isNonBlocking: Bool) throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        defer { close(reader) }
        if isNonBlocking { _ = fcntl(writer, F_SETFL, fcntl(writer, F_GETFL) | O_NONBLOCK) }
        let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
        let thread = WorkerThread(name: "writer") {
            #expect(OutputDescriptor(writer).write(content))
            close(writer)
        }
        var received: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 10_000)
        while true {
            let count = read(reader, &chunk, chunk.count)
            guard count > 0 else { break }
            received += chunk[..<count]
        }
        thread.join()
        #expect(received == content)
    }

    @Test func `a pipe is no terminal, and a bad descriptor is told`() {
        #expect(OutputDescriptor(-1).terminalColumns == nil)
        #expect(!OutputDescriptor(-1).write([1]))
    }
}

@Suite struct EnvironmentVariablesTests {
    @Test func `shows this process's variables`() {
        let current = EnvironmentVariables.current()
        #expect(current["PATH"] == ProcessEnvironment.value("PATH"))
        #expect(current["CHECK_PIPELINE_NO_SUCH_NAME"] == nil)
    }
}

@Suite struct ProcessFactsTests {
    @Test func `the kernel's figures are plausible`() throws {
        let before = ProcessFacts.processorSeconds
        #expect(before.user > 0)
        #expect(try #require(ProcessFacts.virtualBytes) > (try #require(ProcessSetup.residentBytes)))
        #expect(ProcessFacts.openFileLimit > ProcessSetup.openFileCount)
    }
}
