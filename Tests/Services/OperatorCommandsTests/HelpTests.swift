import Basics
import Testing

@testable import OperatorCommands
@testable import ServiceKit

@Suite struct HelpTests {
    @Test func `the program's help lists every command with a line`() throws {
        guard case .help(let text) = try Checkctl.table.parse(["--help"]) else {
            Issue.record("no help")
            return
        }
        for command in Checkctl.table.commands {
            #expect(text.contains("  \(command.name) "))
            #expect(text.contains(command.summary))
            #expect(!command.summary.isEmpty && !command.summary.hasSuffix("."))
        }
    }

    @Test func `has every command of the contract that its programs need`() {
        let names = Set(Checkctl.table.commands.map(\.name))
        let expected = [
            "migrate", "topics plan", "topics apply", "users add", "users list", "users show", "users remove",
            "reports list", "reports show", "dead-letters list", "dead-letters show", "dead-letters replay",
            "dead-letters discard", "webhooks send", "status", "trace",
        ]
        #expect(names.isSuperset(of: expected))
    }

    @Test func `each command's help names its options and its settings`() throws {
        for command in Checkctl.table.commands {
            guard case .help(let text) = try Checkctl.table.parse(command.path + ["--help"]) else {
                Issue.record("no help for \(command.name)")
                continue
            }
            #expect(text.contains("Usage: checkctl \(command.name)"))
            for parameter in command.parameters { #expect(text.contains("  \(parameter.shape.label)")) }
            for flag in command.flags { #expect(text.contains("  --\(flag.name)\n")) }
            for setting in command.settings { #expect(text.contains("  \(setting.name)=")) }
            #expect(text.contains("LOG_LEVEL=level  (default warning)"))
            #expect(text.contains("LOG_FORMAT=json|text  (default text)"))
            #expect(text.contains("--output (default table)"))
        }
    }

    @Test func `no command takes a secret as an argument`() {
        for command in Checkctl.table.commands {
            for parameter in command.parameters {
                let label = parameter.shape.label
                #expect(!label.contains("secret") && !label.contains("key"))
                #expect(!label.contains("token") || label.hasSuffix("-file"), "\(command.name) \(label)")
            }
        }
    }
}
