// Where the library calls in: C functions without captures that find the loop by its address and copy what is lent.

import Basics
import CMicrohttpd
import Glibc

extension HTTPLoop {
    /// - Parameter context: The loop, unretained: it outlives the daemon, which it stops itself.
    static func callbacks(context: UnsafeMutableRawPointer) -> cmhd_callbacks {
        cmhd_callbacks(
            context: context,
            opened: { context, descriptor in loop(context)?.opened(descriptor) ?? 0 },
            closed: { context, slot in loop(context)?.closed(slot) },
            target: { context, slot, target in loop(context)?.requestBegan(slot, target: bytes(of: target)) },
            handle: { context, slot, connection, method, version, data, count in
                guard let loop = loop(context), let connection else { return false }
                return loop.handle(
                    slot,
                    connection,
                    method: method,
                    version: version,
                    data: data.map { UnsafeRawBufferPointer(start: $0, count: count) }
                )
            },
            completed: { context, slot, answered in loop(context)?.completed(slot, answered: answered) },
            logged: { context, status, text in loop(context)?.logged(status: Int(status), text) }
        )
    }

    private func logged(status: Int, _ text: UnsafePointer<CChar>?) {
        if status != 0 {
            metrics.libraryAnswers[status, default: 0] += 1
        } else if let text {
            report(String(cString: text))
        }
    }

    /// Clients can cause messages, so only so many of them become events.
    private func report(_ message: String) {
        metrics.libraryMessages += 1
        if now >= messageWindowEnd {
            messageWindowEnd = now + Self.messageWindow
            messagesLeft = Self.messagesPerWindow
        }
        guard messagesLeft > 0 else { return }
        messagesLeft -= 1
        onEvent(.libraryMessage(message))
    }

    private static let messageWindow: Duration = .seconds(60)
    private static let messagesPerWindow = 10
}

private func loop(_ context: UnsafeMutableRawPointer?) -> HTTPLoop? {
    context.map { Unmanaged<HTTPLoop>.fromOpaque($0).takeUnretainedValue() }
}

/// Copies a C string, up to its NUL.
func bytes(of text: UnsafePointer<CChar>?) -> [UInt8] {
    guard let text else { return [] }
    return [UInt8](UnsafeRawBufferPointer(start: text, count: strlen(text)))
}
