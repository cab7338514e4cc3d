// Random change with a seed: the part of fuzzing that knows nothing of what it changes, and how much of it is done.

import Basics
import TestSupport

enum FuzzEffort {
    /// Inputs of one run over all targets: 20,000 with every test run, a million with the long ones, or what
    /// `CHECK_PIPELINE_FUZZ_INPUTS` says.
    static let inputs: Int =
        ProcessEnvironment.value("CHECK_PIPELINE_FUZZ_INPUTS").flatMap { Int($0) }
        ?? (ProcessEnvironment.value("CHECK_PIPELINE_LONG_TESTS") == nil ? 20_000 : 1_000_000)

    static let seeds: [UInt64] = [1, 2, 3, 4]

    /// The number of rounds of one seed of one target.
    static func rounds(share: Double) -> Int { Int(Double(inputs) * share) / seeds.count }
}

/// One to five changes of a few bytes each.
func mutated(_ bytes: [UInt8], snippets: [[UInt8]], _ random: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...5, using: &random) {
        let at = Int.random(in: 0...bytes.count, using: &random)
        let end = min(bytes.count, at + Int.random(in: 1...16, using: &random))
        switch Int.random(in: 0..<8, using: &random) {
        case 0: bytes.insert(.random(in: 0...255, using: &random), at: at)
        case 1 where at < bytes.count: bytes[at] = .random(in: 0...255, using: &random)
        case 2 where at < bytes.count: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 3: bytes.removeSubrange(at..<end)
        case 4: bytes.insert(contentsOf: bytes[at..<end], at: at)
        case 5: bytes.removeSubrange(at...)
        default: bytes.insert(contentsOf: snippets.randomElement(using: &random) ?? [], at: at)
        }
    }
    return bytes
}

extension SeededGenerator {
    /// True once in `many`.
    mutating func once(in many: Int) -> Bool { Int.random(in: 0..<many, using: &self) == 0 }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: elements.indices, using: &self)]
    }
}
