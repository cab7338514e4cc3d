// The owner of one PGresult, shared by the rows read from it.

import CPostgres

/// Frees its `PGresult` when the last row or body that points into it has gone.
///
/// Sendable because of the manual (libpq, "Behavior in Threaded Programs"): "PGresult objects are normally read-only
/// after creation, and so can be passed around freely between threads." Nothing here changes one.
final class ResultOwner: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { PQclear(pointer) }

    var status: ExecStatusType { PQresultStatus(pointer) }
    var rowCount: Int { Int(PQntuples(pointer)) }
    var columnCount: Int { Int(PQnfields(pointer)) }
    var memoryBytes: Int { PQresultMemorySize(pointer) }

    /// Rows touched by INSERT, UPDATE, DELETE, MERGE or returned by SELECT; 0 for other commands.
    var affectedRows: Int { PQcmdTuples(pointer).flatMap { Int(String(cString: $0)) } ?? 0 }

    /// The command as the server saw it: `COMMIT` of a failed transaction reports `ROLLBACK`.
    var commandTag: String { PQcmdStatus(pointer).map { String(cString: $0) } ?? "" }

    func typeOID(_ column: Int) -> UInt32 { PQftype(pointer, Int32(column)) }

    func columnIndex(named name: String) -> Int? {
        let index = PQfnumber(pointer, quoted(name))
        return index < 0 ? nil : Int(index)
    }

    /// The bytes of a value, pointing into the result; nil for NULL and for places that do not exist.
    func value(row: Int, column: Int) -> UnsafeRawBufferPointer? {
        guard row >= 0, row < rowCount, column >= 0, column < columnCount,
            PQgetisnull(pointer, Int32(row), Int32(column)) == 0
        else { return nil }
        let length = Int(PQgetlength(pointer, Int32(row), Int32(column)))
        return UnsafeRawBufferPointer(start: PQgetvalue(pointer, Int32(row), Int32(column)), count: length)
    }

    /// PQfnumber folds unquoted names to lower case, so names go in quoted.
    private func quoted(_ name: String) -> String {
        "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }
}
