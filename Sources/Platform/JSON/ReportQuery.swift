// Reading a few facts from a report of up to 64 MB without making a tree of it.

package import Basics
import CSimdjson

/// What to read from a body. Make it once for each kind of body.
package struct ReportQuery: Sendable {
    /// One array to look into.
    package struct Listing: Sendable {
        let path: NameList
        let member: [UInt8]
        let text: [UInt8]

        /// - Parameters:
        ///   - path: Member names from the outermost object to the array.
        ///   - member: Name of the string member of the array's objects.
        ///   - text: The value looked for.
        package init(path: [String], member: String, text: String) {
            self.path = NameList(path)
            self.member = Array(member.utf8)
            self.text = Array(text.utf8)
        }
    }

    let paths: [NameList]
    let listings: [Listing]

    /// - Parameters:
    ///   - paths: Member names from the outermost object to each value wanted.
    ///   - listings: Each is answered by whether an array holds an object with that member.
    package init(paths: [[String]], listings: [Listing] = []) {
        self.paths = paths.map(NameList.init)
        self.listings = listings
    }
}

/// What was found, in the order of the query.
package struct ReportAnswers: Hashable, Sendable {
    package let values: [RoutingField]
    package let listings: [Bool]
    /// False when the JSON operators of a database may fail on the body: it holds U+0000 escapes, lone surrogate
    /// escapes, or numbers outside 64 bits or a double's range. Its grammar is lawful all the same.
    package let isStrict: Bool
}

extension JSON {
    /// Reads facts from a report.
    ///
    /// A lawful body that the parser refuses is read from a mended copy; a wanted string that had to be mended
    /// counts as no string, since two of them could become equal.
    ///
    /// - Throws: ``JSONRefusal``; never ``JSONRefusal/lawfulButUnreadable`` for a lawful body.
    package static func reportFacts(_ body: Bytes, query: ReportQuery) throws(JSONRefusal) -> ReportAnswers {
        try JSONDocument.withParsed(body, mending: true) { document throws(JSONRefusal) in
            var values: [RoutingField] = []
            for path in query.paths { values.append(readable(document.value(at: path), isMended: document.isMended)) }
            var listings: [Bool] = []
            for listing in query.listings {
                listings.append(document.lists(at: listing.path, name: listing.member, text: listing.text))
            }
            let isStrict = !document.isMended && !JSONDocument.hasNULEscape(body)
            return ReportAnswers(values: values, listings: listings, isStrict: isStrict)
        }
    }

    private static func readable(_ field: RoutingField, isMended: Bool) -> RoutingField {
        guard isMended, case .string(let text) = field, text.unicodeScalars.contains("\u{FFFD}") else { return field }
        return .other(.unreadableString)
    }
}
