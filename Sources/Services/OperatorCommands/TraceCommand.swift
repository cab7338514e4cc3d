// `checkctl trace`: everything the database knows of one user, in order.

import Basics
import PlaidAPI
import ReportStore
import ServiceKit

enum TraceCommand {
    private static let user = CommandParameter<String>.argument("USER", .text, help: "any id of the user, or your own")

    static let command = Command(
        "trace",
        summary: "shows everything that happened to one user, in order",
        parameters: [user],
        settings: Setting.database + [Setting.plaidEnvironment]
    ) { invocation in
        try await invocation.withDatabase { pool in
            let query = TraceQuery(pool: pool, environment: invocation.settings.plaidEnvironment)
            let entries = try await query.trace(user: invocation.arguments[user], deadline: invocation.soon())
            guard !entries.isEmpty else {
                throw ProgramFailure(.usage, "nothing is known of that user in this environment")
            }
            var table = OutputTable(columns: ["at", "what", "product", "subject", "detail"])
            for entry in entries {
                table.add([
                    .time(entry.at), .text(entry.what.rawValue), .optional(entry.product), .optional(entry.subject),
                    .optional(entry.detail),
                ])
            }
            invocation.output.print(table)
        }
    }
}
