// Where a record stood in the broker: what remains to name it by when it carries no headers of ours.

package import Basics

/// Coordinates and broker time of one record.
package struct RecordOrigin: Hashable, Sendable {
    package var topic: String
    package var partition: Int32
    package var offset: Int64
    /// The record's Kafka timestamp, milliseconds precise.
    package var timestamp: Timestamp

    package init(topic: String, partition: Int32, offset: Int64, timestamp: Timestamp) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
    }

    /// A stable stand-in for `ce_id`: the coordinates never change while the topic lives.
    package var eventID: String { "\(topic)/\(partition)/\(offset)" }
}
