// A queue over one array: appended at the end, taken from the front, amortised constant time.

/// First in, first out, with a way back in at the front.
struct Fifo<Element: Sendable>: Sendable {
    private var storage: [Element?] = []
    private var head = 0

    var count: Int { storage.count - head }
    var isEmpty: Bool { head == storage.count }

    init() {}

    mutating func append(_ element: Element) {
        storage.append(element)
    }

    mutating func popFirst() -> Element? {
        guard head < storage.count else { return nil }
        let element = storage[head]
        storage[head] = nil
        head += 1
        if head >= 32, head * 2 >= storage.count {
            storage.removeFirst(head)
            head = 0
        }
        return element
    }

    /// Puts elements back before all others, in the order given.
    mutating func prepend(_ elements: [Element]) {
        storage.replaceSubrange(0..<head, with: elements.map(Optional.some))
        head = 0
    }

    /// Keeps what satisfies the condition and returns the rest, both in order.
    mutating func extract(_ isExtracted: (Element) -> Bool) -> [Element] {
        var extracted: [Element] = []
        var kept: [Element?] = []
        for case let element? in storage[head...] {
            if isExtracted(element) { extracted.append(element) } else { kept.append(element) }
        }
        storage = kept
        head = 0
        return extracted
    }

    func contains(where condition: (Element) -> Bool) -> Bool {
        storage[head...].contains { $0.map(condition) ?? false }
    }

    var elements: [Element] { storage[head...].compactMap(\.self) }

    var first: Element? { head < storage.count ? storage[head] : nil }
}
