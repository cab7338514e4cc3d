import Basics
import ServiceKit
import TestSupport
import Testing

@Suite struct SettingsTests {
    private let folder = TemporaryFolder("settings")

    private func load(_ keys: [any AnySettingKey], _ environment: [String: String]) throws -> Settings {
        try Settings(keys, environment: environment)
    }

    @Test func `the environment wins over the file, the file over the default`() throws {
        let file = folder.write("HTTP_PORT=1\nADMIN_PORT = 2 \n", to: "config")
        let keys: [any AnySettingKey] = [Setting.httpPort, Setting.adminPort, Setting.maxConnections]
        let settings = try load(keys, ["CONFIG_FILE": file, "HTTP_PORT": "3"])
        #expect(settings[Setting.httpPort] == 3)
        #expect(settings[Setting.adminPort] == 2)
        #expect(settings[Setting.maxConnections] == 2000)
    }

    @Test func `an empty value is as if not set, and still hides the file's`() throws {
        let file = folder.write("HTTP_PORT=1\nTOPIC_PREFIX=a-\nPLAID_CLIENT_ID=x\n", to: "config")
        let settings = try load(
            [Setting.httpPort, Setting.topicPrefix],
            ["CONFIG_FILE": file, "HTTP_PORT": "", "TOPIC_PREFIX": ""]
        )
        #expect(settings[Setting.httpPort] == 8080)
        #expect(settings[Setting.topicPrefix].isEmpty)
        let error = #expect(throws: ConfigurationError.self) {
            try load([Setting.plaidClientID], ["CONFIG_FILE": file, "PLAID_CLIENT_ID": ""])
        }
        #expect(error?.variable == "PLAID_CLIENT_ID")
    }

    @Test func `the file has comments, blank lines, quotes and Windows line ends`() throws {
        let text = "# comment\r\n\r\nTOPIC_PREFIX = \"a-\"\r\n  HTTP_HOST='::1'\nPLAID_CLIENT_ID=a=b#c\n"
        let settings = try load(
            [Setting.topicPrefix, Setting.httpHost, Setting.plaidClientID],
            ["CONFIG_FILE": folder.write(text, to: "config")]
        )
        #expect(settings[Setting.topicPrefix] == "a-")
        #expect(settings[Setting.httpHost] == "::1")
        #expect(settings[Setting.plaidClientID] == "a=b#c")
    }

    @Test(arguments: [
        ("just words hidden", "CONFIG_FILE", "line 1"), ("A=1\n=hidden", "CONFIG_FILE", "line 2"),
        ("A B=hidden", "CONFIG_FILE", "line 1"), ("A=1\n\nA=hidden", "A", "line 3"),
        // A key that an editor has wrapped: its padding looks like the sign after a name.
        ("ENCRYPTION_KEYS=k:\nc2VjhiddenVuZGVyIQ==", "CONFIG_FILE", "line 2"),
    ])
    func `a broken line is named by its number and not shown`(_ text: String, _ variable: String, _ part: String) throws
    {
        let file = folder.write(text, to: "config")
        let error = try #require(throws: ConfigurationError.self) {
            try load([Setting.httpPort], ["CONFIG_FILE": file])
        }
        #expect(error.variable == variable)
        #expect(error.description.contains(part))
        #expect(!error.description.contains("hidden"))
    }

    @Test func `a file that is missing, a folder, too large or not text is refused`() throws {
        let missing = "\(folder.path)/none"
        let large = folder.write(String(repeating: "# filler\n", count: 150_000), to: "large")
        let binary = folder.write("A=\u{0}", to: "binary")
        for path in [missing, folder.path, large] {
            let error = #expect(throws: ConfigurationError.self) {
                try load([Setting.httpPort], ["CONFIG_FILE": path])
            }
            #expect(error?.variable == "CONFIG_FILE")
        }
        #expect(throws: Never.self) { try load([Setting.httpPort], ["CONFIG_FILE": binary]) }
        let error = #expect(throws: ConfigurationError.self) {
            try Settings(
                [Setting.httpPort],
                from: SettingSource(environment: EnvironmentVariables(["CONFIG_FILE": "x"])) { _, _ in
                    [0x41, 0x3D, 0xFF]
                }
            )
        }
        #expect(error?.problem == "names a file that is not UTF-8 text")
    }

    @Test func `a secret comes from its file, without the last line end`() throws {
        let file = folder.write("s3cret value\n", to: "secret")
        let settings = try load([Setting.plaidSecret], ["PLAID_SECRET_FILE": file])
        #expect(settings[Setting.plaidSecret].reveal() == "s3cret value")
        let config = folder.write("PLAID_SECRET_FILE=\(file)\n", to: "config")
        #expect(
            try load([Setting.plaidSecret], ["CONFIG_FILE": config])[Setting.plaidSecret].reveal() == "s3cret value"
        )
        // The environment's file wins over the configuration file's value.
        let both = folder.write("PLAID_SECRET=other\n", to: "both")
        let winner = try load([Setting.plaidSecret], ["CONFIG_FILE": both, "PLAID_SECRET_FILE": file])
        #expect(winner[Setting.plaidSecret].reveal() == "s3cret value")
    }

    @Test func `a secret given twice, a missing file or an empty one is refused by name`() throws {
        let file = folder.write("x", to: "secret")
        let empty = folder.write("\n", to: "empty")
        let cases: [([String: String], String)] = [
            (["PLAID_SECRET": "hidden", "PLAID_SECRET_FILE": file], "PLAID_SECRET"),
            (["PLAID_SECRET_FILE": "\(folder.path)/none"], "PLAID_SECRET_FILE"),
            (["PLAID_SECRET_FILE": empty], "PLAID_SECRET_FILE"),
        ]
        for (environment, variable) in cases {
            let error = #expect(throws: ConfigurationError.self) { try load([Setting.plaidSecret], environment) }
            #expect(error?.variable == variable)
            #expect(error?.description.contains("hidden") == false)
        }
    }

    @Test func `only secrets are read from files`() {
        let file = folder.write("80", to: "port")
        #expect(throws: Never.self) {
            let settings = try load([Setting.httpPort], ["HTTP_PORT_FILE": file])
            #expect(settings[Setting.httpPort] == 8080)
        }
    }

    @Test func `an optional key is nil when absent and checked when present`() throws {
        #expect(try load([Setting.encryptionKeys.optional], [:])[Setting.encryptionKeys.optional] == nil)
        #expect(throws: ConfigurationError.self) {
            try load([Setting.encryptionKeys.optional], ["ENCRYPTION_KEYS": "nonsense"])
        }
    }

    @Test func `only listed keys are read`() throws {
        let settings = try load([Setting.httpPort], ["MAX_BODY": "nonsense"])
        #expect(settings.ifListed(Setting.maxBody) == nil)
        #expect(settings.ifListed(Setting.httpPort) == 8080)
    }

    @Test func `misspelt names in the file are found`() throws {
        let file = folder.write("HTTP_PROT=1\nPLAID_SECRET_FILE=/x\nMAX_BODY=1MiB\nHTTP_PORT_FILE=1\n", to: "config")
        #expect(try load([Setting.httpPort], ["CONFIG_FILE": file]).unknownNames == ["HTTP_PORT_FILE", "HTTP_PROT"])
    }

    @Test func `help shows names, forms, defaults and no secret`() {
        let text = SettingsHelp.text(Setting.all)
        for key in Setting.all { #expect(text.contains("\n  \(key.name)=")) }
        #expect(text.contains("HTTP_PORT=port  (default 8080)"))
        #expect(text.contains("PLAID_SECRET=secret  (required, secret)"))
        #expect(text.contains("KAFKA_CONFIG_FILE=file  (optional)"))
        #expect(text.contains("X_FILE"))
        #expect(!SettingsHelp.text([Setting.httpPort]).contains("X_FILE"))
    }

    @Test func `reads this process's environment`() {
        #expect(EnvironmentVariables.current()["PATH"] == ProcessEnvironment.value("PATH"))
        #expect(EnvironmentVariables.current()["CHECK_PIPELINE_NO_SUCH_NAME"] == nil)
    }
}
