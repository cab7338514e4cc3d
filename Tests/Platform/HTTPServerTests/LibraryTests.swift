// That the library in use is one the wrapper's rules were checked against.

import HTTPServer
import Testing

@Suite struct HTTPServerLibraryTests {
    @Test func `names the version of the library in use`() {
        #expect(HTTPServerLibrary.version.hasPrefix("0.9."))
    }
}
