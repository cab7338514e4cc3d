import Testing

@testable import Kafka

@Suite struct KafkaErrorTests {
    @Test func `no code stands in two rows`() {
        let raws = KafkaErrorTable.rows.flatMap { $0.rawCodes }
        #expect(Set(raws).count == raws.count)
    }

    @Test func `every row is what its codes become`() {
        for (code, isRetriable, rawCodes) in KafkaErrorTable.rows {
            for rawCode in rawCodes {
                let error = KafkaError(rawCode: rawCode)
                #expect(error.code == code && error.isRetriable == isRetriable, "\(error.name)")
                #expect(error.rawCode == rawCode && !error.name.isEmpty && !error.message.isEmpty)
            }
        }
    }

    @Test(arguments: [Int32(12_345), -7, 88])
    func `an unknown code pauses and condemns nothing`(_ raw: Int32) {
        let error = KafkaError(rawCode: raw)
        #expect(error.isRetriable && !error.isFatal)
    }

    @Test func `a fatal error is not retriable, but a message of a replaced handle is`() {
        let fatal = KafkaError(rawCode: 45, isFatal: true, mayBeStored: true)
        #expect(fatal.isFatal && !fatal.isRetriable && fatal.code == .fatal)
        let message = fatal.ofReplacedHandle()
        #expect(!message.isFatal && message.isRetriable && message.mayBeStored && message.code == .cancelled)
        let large = KafkaError(rawCode: 10).ofReplacedHandle()
        #expect(large.code == .messageTooLarge && !large.isRetriable)
    }
}
