import Basics
import JSON
import ServiceKit
import TestSupport
import Testing

@testable import OperatorCommands

@Suite struct UserCommandTests {
    @Test func `adds users with a token on standard input, and aliases; tokens lie sealed and are never shown`()
        async throws
    {
        let person = try await Operator.arrives()
        let token = "user-sandbox-0a1b2c3d-hidden"
        let added = try await person.starts(
            ["users", "add", "--user-id", "usr_1", "--client-user-id", "c-1"],
            input: token + "\n"
        )
        #expect(added.code == 0)
        #expect(added.text == "user_id     usr_1\ndone        created\nuser_token  sealed")
        let plain = try await person.starts(["users", "add", "--user-id", "usr_2"], input: "\n")
        #expect(plain.text == "user_id     usr_2\ndone        created\nuser_token  none")
        let alias = try await person.starts(
            ["users", "add", "--user-id", "usr_3", "--client-user-id", "c-1", "--output", "json"],
            input: ""
        )
        #expect(alias.text == #"{"user_id":"usr_1","done":"alias added","user_token":"unchanged"}"#)

        let sealed = try await person.sql(
            "select encode(user_token, 'hex') from plaid_users where user_token is not null"
        )
        #expect(sealed.count == 1)
        #expect(sealed.first?.contains(Hex.encode(Array("hidden".utf8))) == false)
        let shown = try await person.runs("users", "show", "usr_3", "--output", "json").succeeded()
        let json = try JSON.parse(shown.output)
        #expect(json["user_id"]?.stringValue == "usr_1")
        #expect(json["aliases"]?.arrayValue?.compactMap(\.stringValue) == ["usr_1", "usr_3"])
        #expect(json["user_token"]?.boolValue == true)
        let list = try await person.runs("users", "list", "--output", "json").succeeded()
        #expect(try JSON.parse(list.output).arrayValue?.count == 2)
        for text in [added.text, shown.text, list.text] { #expect(!text.contains("hidden")) }
    }

    @Test func `takes a token from a file, and says which file it cannot read`() async throws {
        let person = try await Operator.arrives()
        let folder = TemporaryFolder()
        let path = folder.write("user-sandbox-from-file\n", to: "token")
        let added = try await person.runs("users", "add", "--user-id", "u", "--token-file", path).succeeded()
        #expect(added.text.contains("sealed"))
        let missing = await person.runs("users", "add", "--user-id", "u", "--token-file", path + "-not")
        #expect(missing.failure?.code == .usage)
    }

    @Test func `pages through the list`() async throws {
        let person = try await Operator.arrives()
        let folder = TemporaryFolder()
        let empty = folder.write("", to: "empty")
        for number in 1...5 {
            try await person.runs("users", "add", "--user-id", "u\(number)", "--token-file", empty).succeeded()
        }
        var seen: [String] = []
        var after = "0"
        while true {
            let page = try await person.runs("users", "list", "--limit", "2", "--after", after, "--output", "json")
                .succeeded()
            let rows = try JSON.parse(page.output).arrayValue ?? []
            guard let last = rows.last?["row"]?.intValue else { break }
            #expect(rows.count <= 2)
            seen += rows.compactMap { $0["user_id"]?.stringValue }
            after = String(last)
        }
        #expect(seen == ["u1", "u2", "u3", "u4", "u5"])
    }

    @Test func `what cannot be done is said in words, with what to do`() async throws {
        let person = try await Operator.arrives()
        let folder = TemporaryFolder()
        let empty = folder.write("", to: "empty")
        for (id, client) in [("a", "c-a"), ("b", "c-b")] {
            try await person.runs(
                "users",
                "add",
                "--user-id",
                id,
                "--client-user-id",
                client,
                "--token-file",
                empty
            ).succeeded()
        }
        let mixed = await person.runs(
            "users",
            "add",
            "--user-id",
            "a",
            "--client-user-id",
            "c-b",
            "--token-file",
            empty
        )
        #expect(mixed.failure?.code == .usage)
        #expect(mixed.failure?.message.contains("another client user id") == true)
        let unknown = await person.runs("users", "show", "nobody")
        #expect(unknown.failure?.code == .usage)
        #expect(unknown.failure?.message.contains("users list") == true)
        #expect(await person.runs("users", "remove", "nobody").failure?.code == .usage)
        try await person.runs("users", "remove", "a").succeeded()
        #expect(await person.runs("users", "show", "a").failure?.code == .usage)
    }
}
