import Kafka
import Testing
import WorkerKit

@Suite struct AdmissionTests {
    private let partitions = (0..<3).map { TopicPartition(topic: "t", partition: $0) }
    private let limits = AdmissionLimits(
        maxInFlight: 2,
        queued: .init(high: 10, low: 4),
        heldBytes: .init(high: 1_000, low: 500),
        perPartition: .init(high: 8, low: 3)
    )

    private func unfinished(_ counts: Int...) -> [TopicPartition: Int] {
        Dictionary(uniqueKeysWithValues: zip(partitions, counts))
    }

    @Test func `everything pauses at the high mark and goes on at the low one`() {
        var admission = Admission(limits: limits)
        func paused(_ queued: Int) -> Int {
            admission.paused(queued: queued, heldBytes: 0, unfinished: unfinished(1, 1, 1)).count
        }
        let seen = [0, 9, 10, 7, 5, 4, 9, 11, 3].map(paused)
        #expect(seen == [0, 0, 3, 3, 3, 0, 0, 3, 0])
    }

    @Test func `bytes in hand pause everything`() {
        var admission = Admission(limits: limits)
        func paused(_ bytes: Int) -> Int {
            admission.paused(queued: 0, heldBytes: bytes, unfinished: unfinished(1, 1, 1)).count
        }
        let seen = [999, 1_000, 501, 500].map(paused)
        #expect(seen == [0, 3, 3, 0])
    }

    @Test func `one crowded partition pauses alone`() {
        var admission = Admission(limits: limits)
        func paused(_ counts: [TopicPartition: Int]) -> Set<TopicPartition> {
            admission.paused(queued: 0, heldBytes: 0, unfinished: counts)
        }
        let seen = [unfinished(8, 7, 0), unfinished(4, 7, 9), unfinished(3, 7, 9)].map(paused)
        #expect(seen == [[partitions[0]], [partitions[0], partitions[2]], [partitions[2]]])
    }

    @Test func `a partition given up while crowded starts anew`() {
        var admission = Admission(limits: limits)
        _ = admission.paused(queued: 0, heldBytes: 0, unfinished: unfinished(8, 0, 0))
        _ = admission.paused(queued: 0, heldBytes: 0, unfinished: [:])
        let again = admission.paused(queued: 0, heldBytes: 0, unfinished: unfinished(5, 0, 0))
        #expect(again.isEmpty)
    }

    @Test func `the book gives each command once`() {
        var book = PauseBook()
        let first = book.change(to: [partitions[0], partitions[1]])
        #expect(Set(first.pause) == [partitions[0], partitions[1]])
        #expect(first.resume.isEmpty)
        let second = book.change(to: [partitions[1], partitions[2]])
        #expect(second.pause == [partitions[2]])
        #expect(second.resume == [partitions[0]])
        let same = book.change(to: [partitions[1], partitions[2]])
        #expect(same.pause.isEmpty && same.resume.isEmpty)
    }

    @Test func `what is given up is neither resumed nor thought paused when it returns`() {
        var book = PauseBook()
        _ = book.change(to: [partitions[0]])
        book.forget([partitions[0]])
        let idle = book.change(to: [])
        #expect(idle.resume.isEmpty)
        let again = book.change(to: [partitions[0]])
        #expect(again.pause == [partitions[0]])
    }
}
