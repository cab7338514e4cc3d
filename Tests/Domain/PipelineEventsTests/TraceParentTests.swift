import Basics
import PipelineEvents
import Testing

@Suite struct TraceParentTests {
    private static let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @Test func `reads and writes the standard's own example`() throws {
        let parent = try #require(TraceParent(parsing: Self.text))
        #expect(parent.traceID == 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736)
        #expect(parent.spanID == 0x00f0_67aa_0ba9_02b7)
        #expect(parent.isSampled)
        #expect(parent.rendered == Self.text)
    }

    @Test(arguments: [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
    ])
    func `refuses what the format forbids`(_ text: String) {
        #expect(TraceParent(parsing: text) == nil)
    }

    @Test(arguments: [
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
    ])
    func `reads the first four fields of a later version`(_ text: String) {
        #expect(TraceParent(parsing: text)?.rendered == Self.text)
    }

    @Test func `a child keeps the trace and flags under a new span`() throws {
        var random = SeededGenerator(seed: 7)
        let parent = try #require(TraceParent(parsing: Self.text))
        let child = parent.child(using: &random)
        #expect(child.traceID == parent.traceID)
        #expect(child.flags == parent.flags)
        #expect(child.spanID != parent.spanID)
        #expect(TraceParent(parsing: child.rendered) == child)
    }

    @Test func `a new trace renders to a text of 55 characters that reads back`() {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<200 {
            let new = TraceParent(startingWith: &random)
            #expect(new.rendered.utf8.count == 55)
            #expect(TraceParent(parsing: new.rendered) == new)
            #expect(!new.isSampled)
        }
    }

    @Test func `cannot be made of zero ids`() {
        #expect(TraceParent(traceID: 0, spanID: 1, flags: 0) == nil)
        #expect(TraceParent(traceID: 1, spanID: 0, flags: 0) == nil)
        #expect(TraceParent(traceID: 1, spanID: 1, flags: 0) != nil)
    }
}
