// The library below.

import CMicrohttpd

package enum HTTPServerLibrary {
    /// The version of libmicrohttpd in use, as it names itself. The wrapper's rules were checked against 0.9.75.
    package static var version: String { String(cString: cmhd_version()) }
}
