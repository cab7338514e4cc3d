// `checkctl users`: who the webhooks' ids belong to, and the sealed tokens of old-style users.

import Basics
import Cryptography
import PlaidAPI
import ReportStore
import ServiceKit

enum UserCommands {
    private static let settings = Setting.database + [Setting.plaidEnvironment, Setting.encryptionKeys]
    private static let userID = CommandParameter<String>.option(
        "user-id",
        .text,
        help: "an id of the user as webhooks name it"
    )
    private static let clientUserID = CommandParameter<String>.option(
        "client-user-id",
        .text,
        help: "your own id of the user; a new --user-id under a known one becomes an alias of that user"
    ).optional
    private static let tokenFile = CommandParameter<String>.option(
        "token-file",
        .path,
        help: "a file with the user_token; without it the token is read from standard input"
    ).optional
    private static let limit = CommandParameter<Int>.option(
        "limit",
        .integer(1...1_000),
        default: "100",
        help: "rows at most"
    )
    private static let after = CommandParameter<Int>.option(
        "after",
        .integer(0...Int.max),
        default: "0",
        help: "only rows after this number: the next page"
    )
    private static let user = CommandParameter<String>.argument("USER", .text, help: "any id of the user")

    static let all = [
        Command(
            "users add",
            summary: "adds a user, an alias, or a user_token (read from standard input; an empty line means none)",
            parameters: [userID, clientUserID, tokenFile],
            settings: settings
        ) { invocation in
            let token = try await invocation.readSecret(
                prompt: "user_token (empty: none)",
                file: invocation.arguments[tokenFile]
            )
            try await withUsers(invocation) { users in
                let (addition, canonical) = try await users.add(
                    userID: invocation.arguments[userID],
                    clientUserID: invocation.arguments[clientUserID],
                    userToken: token,
                    deadline: invocation.soon()
                )
                let tokenWord = token != nil ? "sealed" : addition == .created ? "none" : "unchanged"
                invocation.output.print([
                    ("user_id", .text(canonical)), ("done", .text(word(addition))), ("user_token", .text(tokenWord)),
                ])
            }
        },
        Command("users list", summary: "lists users", parameters: [limit, after], settings: settings) { invocation in
            try await withUsers(invocation) { users in
                let page = try await users.list(
                    after: Int64(invocation.arguments[after]),
                    limit: invocation.arguments[limit],
                    deadline: invocation.soon()
                )
                var table = OutputTable(columns: [
                    "row", "user_id", "client_user_id", "aliases", "user_token", "created_at",
                ])
                for user in page {
                    table.add([
                        .integer(user.rowID), .text(user.userID), .optional(user.clientUserID),
                        .integer(Int64(user.aliases.count)), .bool(user.hasUserToken), .time(user.createdAt),
                    ])
                }
                invocation.output.print(table)
            }
        },
        Command("users show", summary: "shows one user", parameters: [user], settings: settings) { invocation in
            try await withUsers(invocation) { users in
                let id = invocation.arguments[user]
                guard let user = try await users.show(id, deadline: invocation.soon()) else {
                    throw ProgramFailure(.usage, "no user goes by that id; checkctl users list shows those there are")
                }
                invocation.output.print([
                    ("row", .integer(user.rowID)), ("user_id", .text(user.userID)),
                    ("client_user_id", .optional(user.clientUserID)),
                    ("aliases", .list(user.aliases.map { .text($0) })), ("user_token", .bool(user.hasUserToken)),
                    ("created_at", .time(user.createdAt)), ("updated_at", .time(user.updatedAt)),
                ])
            }
        },
        Command(
            "users remove",
            summary: "removes a user with all ids and the token; reports stay",
            parameters: [user],
            settings: settings
        ) { invocation in
            try await withUsers(invocation) { users in
                guard try await users.remove(userID: invocation.arguments[user], deadline: invocation.soon()) else {
                    throw ProgramFailure(.usage, "no user goes by that id; nothing was removed")
                }
                invocation.output.print([("removed", .bool(true))])
            }
        },
    ]

    private static func word(_ addition: UserAddition) -> String {
        switch addition {
        case .created: "created"
        case .aliasAdded: "alias added"
        case .updated: "updated"
        }
    }

    private static func withUsers(
        _ invocation: CommandInvocation,
        _ body: (UserRepository) async throws -> Void
    ) async throws {
        try await invocation.withDatabase { pool in
            do {
                try await body(
                    UserRepository(
                        pool: pool,
                        keyRing: invocation.settings[Setting.encryptionKeys],
                        environment: invocation.settings.plaidEnvironment
                    )
                )
            } catch let error as UserEditError {
                throw ProgramFailure(.usage, "\(error)")
            }
        }
    }
}
