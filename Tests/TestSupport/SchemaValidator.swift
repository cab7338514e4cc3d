// The documents under schemas/, judged by a validator that is not ours: python3-jsonschema.

/// Runs validate_schema.py, which says what each of its calls prints.
package enum SchemaValidator {
    package static let root = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }

    /// A file under schemas/.
    package static func path(_ file: String) -> String { root + "/schemas/" + file }

    /// Runs the script and returns its lines; throws when it fails, and tells what it printed.
    package static func run(_ arguments: [String], input: [String] = []) async throws -> [String] {
        let child = try ChildProcess(
            "/usr/bin/python3",
            ["-W", "ignore", root + "/Tests/TestSupport/validate_schema.py"] + arguments,
            environment: ["PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"],
            standardInput: true
        )
        defer { child.end() }
        for line in input { child.write(line + "\n") }
        child.closeInput()
        _ = try await child.line(containing: "-- done --", within: .seconds(60))
        return child.lines.filter { $0 != "-- done --" }
    }

    /// What the script can import; asked once.
    private static let modules = Task { (try? await run(["capabilities"])) ?? [] }

    package static func has(_ modules: String...) async -> Bool {
        let present = await Self.modules.value
        return modules.allSatisfy { present.contains($0) }
    }
}
