import Cryptography
import ReportStore
import TestSupport
import Testing

@Suite struct MigrationFilesTests {
    private static func folder(_ files: [String]) -> TemporaryFolder {
        let folder = TemporaryFolder("migrations")
        for file in files { _ = folder.write("select 1;\n", to: file) }
        return folder
    }

    @Test func `the project's own files are numbered up to the version the code needs`() throws {
        let migrations = try MigrationFiles.load(from: SchemaFolder.path)
        #expect(migrations.map(\.version) == Array(1...SchemaVersion.required))
    }

    @Test func `reads files by number whatever the order of the directory`() throws {
        let folder = Self.folder(["0003_c.sql", "0001_a.sql", "0002_b_and_more.sql", "notes.txt"])
        let migrations = try MigrationFiles.load(from: folder.path)
        #expect(migrations.map(\.version) == [1, 2, 3])
        #expect(migrations.map(\.name) == ["a", "b_and_more", "c"])
        #expect(migrations[0].sql == "select 1;\n")
        #expect(migrations[0].checksum == SHA256.hash(Array("select 1;\n".utf8)))
    }

    @Test(arguments: [
        (["0001_a.sql", "0003_c.sql"], MigrationFileError.missing(version: 2)),
        (["0002_a.sql"], .missing(version: 1)),
        (["0001_a.sql", "0001_b.sql"], .duplicate(version: 1)),
        (["0001_a.sql", "2_b.sql"], .misnamed("2_b.sql")),
        (["0001a.sql"], .misnamed("0001a.sql")),
        (["0001_.sql"], .misnamed("0001_.sql")),
        (["0000_a.sql"], .misnamed("0000_a.sql")),
        (["+001_a.sql"], .misnamed("+001_a.sql")),
        ([".sql"], .misnamed(".sql")),
    ])
    func `refuses a set that is not in order`(_ files: [String], _ error: MigrationFileError) {
        let folder = Self.folder(files)
        #expect(throws: error) { try MigrationFiles.load(from: folder.path) }
    }

    @Test func `refuses a directory without migrations, and one that is not there`() throws {
        let folder = Self.folder(["readme.md"])
        #expect(throws: MigrationFileError.empty(directory: folder.path)) {
            try MigrationFiles.load(from: folder.path)
        }
        #expect(throws: MigrationFileError.self) { try MigrationFiles.load(from: folder.path + "/none") }
    }
}
