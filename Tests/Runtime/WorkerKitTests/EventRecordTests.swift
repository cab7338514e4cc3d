import Basics
import Kafka
import Testing
import WorkerKit

@Suite struct EventRecordTests {
    private let time = Timestamp(rfc3339: "2026-03-01T10:00:00.250Z") ?? Timestamp(seconds: 0)

    @Test func `the newest receipt covers, the latest deadline counts, in order of arrival`() {
        func event(_ offset: Int64, _ seconds: Int) -> EventRecord {
            let record = ConsumerRecord(
                topic: "t",
                partition: 0,
                offset: offset,
                timestamp: time + .seconds(seconds),
                key: nil,
                value: .empty,
                headers: []
            )
            return EventRecord(record: record, receivedAt: time + .seconds(seconds), lifetime: .seconds(10))
        }
        let work = LaneWork(first: event(0, 5), others: [event(1, 9), event(2, 9), event(3, 1)])
        #expect(work.events.map(\.coordinates.offset) == [0, 1, 2, 3])
        #expect(work.newest.coordinates.offset == 2, "of equals the one that came last")
        #expect(work.deadline == time + .seconds(19))
    }
}
