// A program of nothing but ServiceKit, for the tests of its process: signals, exit codes, help, commands.

import Basics
import ServiceKit

/// What the probe does wrong, if anything.
let mode = SettingKey<String>(
    "PROBE_MODE",
    .word(["calm", "stuck", "failing", "unbuildable", "leftover", "waiting"], placeholder: "mode"),
    default: "calm",
    help: "how this program behaves"
)

let name = CommandParameter<String>.option("name", .text, help: "a name")

let table = CommandTable(
    program: "service-probe",
    summary: "commands of the probe",
    commands: [
        Command("greet", summary: "prints a name", parameters: [name], settings: [Setting.httpPort]) { invocation in
            invocation.output.print([("name", .text(invocation[name]))])
        },
        Command("wait", summary: "waits for its cancellation") { _ in
            OutputDescriptor.standardError.write(Array("waiting\n".utf8))
            try await TimerQueue.shared.sleep(for: .seconds(600))
        },
        Command("ask", summary: "reads a secret") { invocation in
            OutputDescriptor.standardError.write(Array("asking\n".utf8))
            let secret = try await invocation.readSecret(prompt: "secret")
            invocation.output.print([("bytes", .integer(Int64(secret?.bytes.count ?? -1)))])
        },
        Command("away", summary: "finds its dependency away") { _ in
            throw ProgramFailure(.unavailable, "nothing listens there")
        },
    ]
)

if CommandLine.arguments.count > 1, CommandLine.arguments[1] == "as-commands" {
    CommandProgram.run(table, arguments: [CommandLine.arguments[0]] + CommandLine.arguments.dropFirst(2))
}

Program.run(
    name: "service-probe",
    summary: "a program for tests",
    settings: [mode, Setting.maxConnections, Setting.plaidSecret.optional]
) { context in
    let mode = context.settings[mode]
    if mode == "unbuildable" { throw ProgramFailure(.internalError, "cannot be built") }
    context.onHangUp { context.logger.info("reloaded") }
    context.add(component: "first", stop: { _ in context.logger.info("first has stopped") })
    switch mode {
    case "stuck": context.add(component: "stuck", stop: { _ in _ = Latch().wait(until: .distantFuture) })
    case "failing": context.add(component: "failing", start: { context.fail(.unavailable, "no more broker") })
    case "leftover": context.add(component: "leftover", stop: { _ in throw UnfinishedWork("one event in hand") })
    case "waiting":
        context.add(waitFor: "postgres", attempt: { _ in throw UnfinishedWork("connection refused") })
    default: break
    }
    context.add(component: "last", stop: { _ in context.logger.info("last has stopped") })
}
