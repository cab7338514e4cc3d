// The private server that other tests stand on.

import Basics
import TestSupport
import Testing

@Suite struct PostgresServerTests {
    @Test func `keeps its data over a restart and a crash`() async throws {
        let server = try await PostgresServer.start()
        try await server.sql("create table kept (n int); insert into kept values (1)")
        try await server.restart()
        try await server.sql("insert into kept values (2)")
        try await server.crash()
        try await server.startAgain()
        #expect(try await server.sql("select n from kept order by n") == ["1", "2"])
        try await server.stop()
    }

    @Test func `gives every test a schema of its own`() async throws {
        let server = try await PostgresServer.shared()
        let first = try await server.freshSchema()
        let second = try await server.freshSchema()
        #expect(first != second)
    }
}
