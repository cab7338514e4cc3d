// Where the library calls in: C functions without captures that find the loop by its address and copy what is lent.

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
            onEvent(.libraryMessage(String(cString: text)))
        }
    }
}

private func loop(_ context: UnsafeMutableRawPointer?) -> HTTPLoop? {
    context.map { Unmanaged<HTTPLoop>.fromOpaque($0).takeUnretainedValue() }
}

/// Copies a C string, up to its NUL.
func bytes(of text: UnsafePointer<CChar>?) -> [UInt8] {
    guard let text else { return [] }
    return [UInt8](UnsafeRawBufferPointer(start: text, count: strlen(text)))
}
