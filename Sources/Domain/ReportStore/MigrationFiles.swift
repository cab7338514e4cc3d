// The numbered files of `schemas/postgres`, read and checked before anything touches a database.

import Basics
package import Cryptography
import Glibc

/// One migration: `NNNN_name.sql`.
package struct Migration: Hashable, Sendable {
    /// From 1, without gaps.
    package let version: Int
    package let name: String
    package let sql: String
    /// Of the file's bytes: a file that was applied once must never change.
    package let checksum: SHA256Digest

    /// - Parameter sql: The file's text. It runs as one transaction, so it must not begin or end one itself.
    package init(version: Int, name: String, sql: String) {
        self.version = version
        self.name = name
        self.sql = sql
        checksum = SHA256.hash(Array(sql.utf8))
    }
}

package enum MigrationFileError: Error, Hashable, Sendable, CustomStringConvertible {
    case unreadable(path: String, reason: String)
    /// A `.sql` file whose name is not four digits, an underscore, a word and `.sql`.
    case misnamed(String)
    case duplicate(version: Int)
    case missing(version: Int)
    case empty(directory: String)

    package var description: String {
        switch self {
        case .unreadable(let path, let reason): "\(path): \(reason)"
        case .misnamed(let file): "\(file) is not named NNNN_name.sql"
        case .duplicate(let version): "two migrations have the number \(version)"
        case .missing(let version): "migration \(version) is missing"
        case .empty(let directory): "\(directory) holds no migrations"
        }
    }
}

package enum MigrationFiles {
    /// One file at most; ours have a few kilobytes.
    package static let maxFileBytes = 1024 * 1024

    /// Reads every `.sql` file of a directory, in order of version. Other files are passed over. Blocks on the disk.
    package static func load(from directory: String) throws(MigrationFileError) -> [Migration] {
        var migrations: [Migration] = []
        for file in try names(in: directory) where file.hasSuffix(".sql") {
            guard let (version, name) = parse(file) else { throw .misnamed(file) }
            let path = directory + "/" + file
            let bytes: [UInt8]
            do { bytes = try FileContents.read(path, limit: maxFileBytes) } catch {
                throw .unreadable(path: path, reason: "\(error)")
            }
            guard let sql = String(validating: bytes, as: UTF8.self) else {
                throw .unreadable(path: path, reason: "not UTF-8")
            }
            migrations.append(Migration(version: version, name: name, sql: sql))
        }
        guard !migrations.isEmpty else { throw .empty(directory: directory) }
        return try ordered(migrations)
    }

    /// Sorts by version and refuses gaps and doubles.
    static func ordered(_ migrations: [Migration]) throws(MigrationFileError) -> [Migration] {
        let sorted = migrations.sorted { $0.version < $1.version }
        for (index, migration) in sorted.enumerated() where migration.version != index + 1 {
            if migration.version == index { throw .duplicate(version: index) }
            throw .missing(version: index + 1)
        }
        return sorted
    }

    private static func parse(_ file: String) -> (version: Int, name: String)? {
        let stem = file.dropLast(".sql".count)
        let digits = stem.prefix(4)
        let name = stem.dropFirst(5)
        guard digits.utf8.count == 4, digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let version = Int(digits), version > 0,
            stem.dropFirst(4).first == "_", !name.isEmpty
        else { return nil }
        return (version, String(name))
    }

    private static func names(in directory: String) throws(MigrationFileError) -> [String] {
        guard let listing = unsafe opendir(directory) else {
            throw .unreadable(path: directory, reason: "cannot be listed (errno \(errno))")
        }
        defer { unsafe closedir(listing) }
        var names: [String] = []
        while let entry = unsafe readdir(listing) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            names.append(name)
        }
        return names
    }
}
