// The logs of a test's processes, written to a folder when the test fails.

import Basics
import Glibc
import TestSupport
import Testing

/// Knows the processes of the running test.
final class KeptLogs: Sendable {
    @TaskLocal static var current: KeptLogs?

    private let children = Locked<[ChildProcess]>([])
    private let papers = Locked<[(name: String, text: String)]>([])
    private let failed = Locked(false)

    func add(_ child: ChildProcess) { children.withLock { $0.append(child) } }
    /// Something else to be kept when the test fails, as a file of this name.
    func add(_ text: String, as name: String) { papers.withLock { $0.append((name, text)) } }
    func noteFailure() { failed.withLock { $0 = true } }
    var hasFailed: Bool { failed.withLock { $0 } }

    /// Writes one file a process, in the order of their starts, and returns the folder.
    func write() -> String? {
        var template = Array("\(ProcessEnvironment.value("TMPDIR") ?? "/tmp")/check-pipeline-failed-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { return nil }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let logs = children.withLock { $0 }.enumerated().map { index, child in
            ("\(index + 1)-\(child.name).log", child.lines.joined(separator: "\n") + "\n")
        }
        for (name, text) in logs + papers.withLock({ $0 }) {
            guard let stream = fopen("\(folder)/\(name)", "w") else { continue }
            fputs(text, stream)
            fclose(stream)
        }
        return folder
    }
}

/// Keeps the logs of every process that a failing test of this suite has started, and says where.
struct KeepsLogs: TestTrait, SuiteTrait, TestScoping {
    let isRecursive = true

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        let logs = KeptLogs()
        let watch = IssueHandlingTrait.compactMapIssues { issue in
            logs.noteFailure()
            return issue
        }
        do {
            try await watch.provideScope(for: test, testCase: testCase) {
                try await KeptLogs.$current.withValue(logs) { try await function() }
            }
        } catch {
            logs.noteFailure()
            report(logs, test)
            throw error
        }
        if logs.hasFailed { report(logs, test) }
    }

    private func report(_ logs: KeptLogs, _ test: Test) {
        guard let folder = logs.write() else { return }
        print("\(test.name): the logs of its processes are in \(folder)")
    }
}

extension Trait where Self == KeepsLogs {
    static var keepsLogs: Self { KeepsLogs() }
}
