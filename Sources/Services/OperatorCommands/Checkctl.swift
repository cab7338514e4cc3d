// `checkctl`: the operator's command line, as one table.

import HTTPClient
import ServiceKit

package enum Checkctl {
    package static func main() -> Never {
        CommandProgram.run(table, prepare: { HTTPClientLibrary.globalInit() })
    }

    static let table = CommandTable(
        program: "checkctl",
        summary: "looks after the check pipeline: schema, topics, users, reports, dead letters",
        commands: [MigrateCommand.command] + TopicCommands.all + UserCommands.all + ReportCommands.all
            + DeadLetterCommands.all + [WebhookCommands.send, StatusCommand.command, TraceCommand.command]
    )
}
