// Which dead letters a command is about: those named by number, or every open one that the filters name.

import Basics
import ReportStore
import ServiceKit

struct DeadLetterChoice {
    /// Rows that one command takes on; more are left to the next.
    static let most = 10_000

    private static let group = CommandParameter<String>.option(
        "group",
        .text,
        help: "only this consumer group's, with its prefix"
    ).optional
    private static let errorType = CommandParameter<String>.option("error-type", .text, help: "only this type").optional
    private static let errorCode = CommandParameter<String>.option("error-code", .text, help: "only this code").optional
    private static let user = CommandParameter<String>.option("user", .text, help: "only records keyed by this id")
        .optional
    private static let since = CommandParameter<Timestamp>.option(
        "since",
        .moment,
        help: "only those that failed then or later"
    ).optional
    static let filters: [any AnyCommandParameter] = [group, errorType, errorCode, user, since]

    private static let limit = CommandParameter<Int>.option(
        "limit",
        .integer(1...most),
        default: String(most),
        help: "with --all: so many at most, the oldest first"
    )
    private static let ids = CommandParameter<[Int]>.rest(
        "ID",
        .integer(1...Int.max),
        help: "the dead letters' numbers"
    )
    .optional
    static let parameters: [any AnyCommandParameter] = filters + [limit, ids]
    static let matching = CommandFlag("all", help: "every open one that the filters name, instead of IDs")

    private let numbers: [Int64]
    private let isByFilter: Bool

    init(_ invocation: CommandInvocation) throws(UsageError) {
        var seen: Set<Int> = []
        numbers = (invocation.arguments[Self.ids] ?? []).filter { seen.insert($0).inserted }.map(Int64.init)
        isByFilter = invocation.arguments[Self.matching]
        if isByFilter, !numbers.isEmpty { throw UsageError("either IDs or --all, not both") }
        if !isByFilter, numbers.isEmpty { throw UsageError("name dead letters by their IDs, or give --all") }
        if !isByFilter, Self.filter(invocation) != DeadLetterFilter() {
            throw UsageError("filters go with --all, not with IDs")
        }
    }

    static func filter(_ invocation: CommandInvocation) -> DeadLetterFilter {
        DeadLetterFilter(
            consumerGroup: invocation.arguments[group],
            errorType: invocation.arguments[errorType],
            errorCode: invocation.arguments[errorCode],
            key: invocation.arguments[user].map { Array($0.utf8) },
            since: invocation.arguments[since]
        )
    }

    /// The chosen ones; by filter the oldest first, as they came.
    func find(_ repository: DeadLetterRepository, _ invocation: CommandInvocation) async throws -> [DeadLetterSummary] {
        isByFilter ? try await matching(repository, invocation) : try await named(repository, invocation)
    }

    private func named(
        _ repository: DeadLetterRepository,
        _ invocation: CommandInvocation
    ) async throws -> [DeadLetterSummary] {
        var chosen: [DeadLetterSummary] = []
        for number in numbers {
            guard let (summary, _) = try await repository.show(id: number, deadline: invocation.soon()) else {
                throw ProgramFailure(.usage, "there is no dead letter \(number); nothing was changed")
            }
            chosen.append(summary)
        }
        return chosen
    }

    private func matching(
        _ repository: DeadLetterRepository,
        _ invocation: CommandInvocation
    ) async throws -> [DeadLetterSummary] {
        var filter = Self.filter(invocation)
        filter.limit = DeadLetterRepository.maxListed
        var chosen: [DeadLetterSummary] = []
        repeat {
            let page = try await repository.list(filter, deadline: invocation.soon())
            chosen += page
            filter.beforeID = page.count < DeadLetterRepository.maxListed ? nil : page.last?.id
        } while filter.beforeID != nil && chosen.count < Self.most
        return Array(chosen.reversed().prefix(invocation.arguments[Self.limit]))
    }
}

extension ValueFormat where Value == Timestamp {
    /// A moment, or how long ago it was.
    static var moment: ValueFormat {
        ValueFormat("time", accepted: "a time such as 2026-11-26T08:00:00Z, or how long ago: 30m, 24h") { text in
            if let moment = Timestamp(rfc3339: text) { return moment }
            return Duration(parsing: text).map { WallClock.system.now() - $0 }
        }
    }
}
