// Names of prepared statements.

import Testing

@testable import Postgres

@Suite struct StatementCacheTests {
    private let insert = "insert into t values ($1, $2)"

    @Test func `a statement keeps its name, and NULL takes the type its place had`() {
        var cache = StatementCache(isEnabled: true)
        let first = cache.plan(SQLStatement(insert, .int8(1), .text("a")))
        #expect(first == .init(name: "s1", isNew: true, types: [TypeOID.int8, TypeOID.text]))
        let again = cache.plan(SQLStatement(insert, .int8(2), .null))
        #expect(again == .init(name: "s1", isNew: false, types: [TypeOID.int8, TypeOID.text]))
        #expect(cache.plan(SQLStatement(insert, .text("x"), .null)).name == "s2")
        #expect(cache.count == 2)
    }

    @Test func `a NULL seen first leaves its type to the server until a value tells`() {
        var cache = StatementCache(isEnabled: true)
        #expect(cache.plan(SQLStatement(insert, .null, .null)).types == [0, 0])
        #expect(cache.plan(SQLStatement(insert, .int8(1), .null)).types == [TypeOID.int8, 0])
        #expect(cache.plan(SQLStatement(insert, .null, .text("a"))).types == [TypeOID.int8, TypeOID.text])
        #expect(cache.plan(SQLStatement(insert, .null, .null)).isNew == false)
    }

    @Test func `what the server lost gets a new name`() {
        var cache = StatementCache(isEnabled: true)
        let name = cache.plan(SQLStatement("select 1")).name
        cache.forgetAll()
        let next = cache.plan(SQLStatement("select 1"))
        #expect(next.isNew && next.name != name)
        if let name = next.name { cache.forget(name) }
        #expect(cache.plan(SQLStatement("select 1")).isNew && cache.count == 1)
    }

    @Test func `off means no name, and a full cache names nothing more`() {
        var off = StatementCache(isEnabled: false)
        #expect(off.plan(SQLStatement("select 1")) == .init(name: nil, isNew: false, types: []))
        var full = StatementCache(isEnabled: true)
        for number in 0..<StatementCache.maxNames { _ = full.plan(SQLStatement("select \(number)")) }
        #expect(full.plan(SQLStatement("select -1")).name == nil)
        #expect(full.plan(SQLStatement("select 0")).name == "s1")
    }
}
