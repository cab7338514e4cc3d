// One request inside libcurl: its C transfer, its place in the budget, and what the sweep knows of it.

import Basics
import CCurl

/// Belongs to the client's thread.
final class Transfer {
    enum StartFailure: Error { case refused(code: Int32) }

    let job: ClientJob
    private let budget: BodyBudget?
    private let onGrant: @Sendable () -> Void
    /// Set, on any thread, when the room that the body waits for has been given.
    private let wasGranted = Locked(false)
    /// Owned; nil once freed.
    private var handle: OpaquePointer?
    /// The address list that libcurl reads while the transfer lives.
    private var addresses: ResolveList?
    private var ticket: BudgetTicket?
    private var framing: AnswerFraming?
    private var held = 0
    private(set) var isWaitingForRoom = false
    /// Why the hook ended the transfer.
    private var refusal: (kind: HTTPClientError.Kind, message: String)?
    private var lastProgress = 0
    private var lastProgressAt: MonotonicInstant

    /// First step of a body whose length is not known; it then doubles.
    private static let firstGrowth = 128 * 1_024

    init(job: ClientJob, budget: BodyBudget?, now: MonotonicInstant, onGrant: @escaping @Sendable () -> Void) {
        self.job = job
        self.budget = budget
        self.onGrant = onGrant
        lastProgressAt = now
    }

    deinit { free() }

    // MARK: Start and end

    /// Hands the request to libcurl.
    /// - Parameter addresses: Given when the host's addresses have changed since the last request to it.
    func start(in loop: OpaquePointer, now: MonotonicInstant, addresses: ResolveList?) throws(StartFailure) {
        self.addresses = addresses
        let request = job.request
        var code: Int32 = 0
        let left = job.end.at - now
        let started = HeaderLines(request.headers).withPointers { lines in
            request.url.withCString { url in
                request.method.withCString { method in
                    request.body.withUnsafeBytes { body -> OpaquePointer? in
                        var options = cp_request()
                        options.url = url
                        options.method = method
                        options.header_lines = lines.baseAddress
                        options.header_count = lines.count
                        options.body = body.baseAddress
                        options.body_count = body.count
                        options.has_body = request.method != "GET"
                        options.connect_timeout_ms = max(1, Int(request.timeouts.connect.inMilliseconds))
                        options.whole_timeout_ms = max(1, Int(left.inMilliseconds))
                        options.max_body_bytes = Int64(request.maxResponseBytes)
                        options.fresh_connection = request.needsFreshConnection
                        options.is_repeatable = request.isRepeatable
                        options.resolve = addresses?.pointer
                        options.hook = bodyHook
                        options.context = Unmanaged.passUnretained(self).toOpaque()
                        return cp_transfer_start(loop, &options, &code)
                    }
                }
            }
        }
        guard let started else { throw .refused(code: code) }
        handle = started
    }

    /// Takes the transfer out of the loop. Nothing of libcurl's calls back after it.
    func free() {
        if let handle { cp_transfer_free(handle) }
        handle = nil
        addresses = nil
    }

    var facts: TransferFacts { handle.map { TransferFacts(cp_transfer_facts($0)) } ?? TransferFacts() }

    // MARK: Body

    /// Asked by the sink before the first byte and before each growth; runs inside libcurl.
    fileprivate func makeRoom(least: Int) -> (verdict: Int32, granted: Int) {
        let go = Int32(CP_BODY_GO)
        guard let framing = readFraming() else { return (Int32(CP_BODY_REFUSE), 0) }
        let cap = job.request.maxResponseBytes
        let wanted: Int
        if let length = framing.contentLength, !framing.isChunked {
            wanted = max(length, least)
        } else {
            wanted = max(least, min(max(2 * held, Transfer.firstGrowth), cap))
        }
        guard wanted <= max(cap, least) else {
            refusal = (.tooLarge, "the answer's declared length is over the cap")
            return (Int32(CP_BODY_REFUSE), 0)
        }
        guard let budget else {
            held = wanted
            return (go, wanted)
        }
        let place = ticket ?? budget.ticket(grows: framing.isChunked || framing.contentLength == nil)
        ticket = place
        wasGranted.withLock { $0 = false }
        let isGranted = place.reserve(total: wanted) { [wasGranted, onGrant] in
            wasGranted.withLock { $0 = true }
            onGrant()
        }
        isWaitingForRoom = !isGranted
        guard isGranted else { return (Int32(CP_BODY_WAIT), 0) }
        held = wanted
        return (go, wanted)
    }

    private func readFraming() -> AnswerFraming? {
        if let framing { return framing }
        guard let handle else { return nil }
        do throws(AnswerFraming.Refusal) {
            framing = try AnswerFraming(AnswerFraming.Lines(of: handle))
        } catch {
            switch error {
            case .malformed(let message): refusal = (.malformedAnswer, message)
            case .encoded: refusal = (.encoded, "the answer has a coding that was not asked for")
            }
        }
        return framing
    }

    /// Continues a body that waited for room; libcurl's code when that ended the transfer.
    func resume(now: MonotonicInstant) -> Int32? {
        guard let handle, isWaitingForRoom else { return nil }
        isWaitingForRoom = false
        lastProgressAt = now
        let code = cp_transfer_resume(handle)
        return code == 0 ? nil : code
    }

    /// The room was given, and the word of it found a full mailbox.
    var hasForgottenGrant: Bool { isWaitingForRoom && wasGranted.withLock { $0 } }

    // MARK: Outcome

    /// What libcurl reported, read as a complete answer or told apart.
    func outcome(code: Int32, now: MonotonicInstant, wall: () -> Timestamp) -> Result<
        HTTPClientResponse, HTTPClientError
    > {
        guard let handle, code == 0 else { return .failure(failure(code: code)) }
        let facts = self.facts
        guard let framing = readFraming() else { return .failure(failure(code: 0)) }
        guard facts.status >= 200, framing.isComplete(status: facts.status, count: facts.bodyBytes) else {
            return .failure(error(.cutAnswer, "the answer ended early or does not say where it ends", facts))
        }
        guard let body = takeBody(facts) else { return .failure(error(.local, "no memory for the body", facts)) }
        let headers = readHeaders(of: handle)
        func value(_ name: String) -> String? { headers.first { $0.name == name }?.value }
        let date = value("date").flatMap(AnswerTimes.date)
        return .success(
            HTTPClientResponse(
                status: facts.status,
                body: body,
                headers: headers,
                retryAfter: value("retry-after").flatMap { AnswerTimes.retryAfter($0, now: date ?? wall()) },
                date: date,
                silentRepeats: facts.silentRepeats,
                elapsed: now - job.submittedAt
            )
        )
    }

    private func takeBody(_ facts: TransferFacts) -> Bytes? {
        guard let handle, facts.bodyBytes > 0 else { return .empty }
        var count = 0
        guard let base = cp_transfer_take_body(handle, &count) else { return nil }
        let place = ticket
        ticket = nil
        place?.settle(count: count)
        return Bytes(adopting: base, count: count, readablePadding: Int(CP_BODY_PADDING)) { base in
            cp_body_free(base)
            withExtendedLifetime(place) {}  // its end gives the room back
        }
    }

    private func failure(code: Int32) -> HTTPClientError {
        let facts = self.facts
        if let refusal, code == 0 || code == Int32(CURLE_WRITE_ERROR.rawValue) {
            return error(refusal.kind, refusal.message, facts, code: code)
        }
        let curlCode = CURLcode(rawValue: UInt32(code))
        let kind = FailureReading.kind(code: curlCode, facts: facts)
        let meaning = String(cString: curl_easy_strerror(curlCode))
        let detail = handle.map { String(cString: cp_transfer_error($0)) } ?? ""
        return error(kind, detail.isEmpty ? meaning : detail, facts, code: code)
    }

    /// The error for a transfer that we end ourselves.
    func ended(_ kind: HTTPClientError.Kind, _ message: String) -> HTTPClientError { error(kind, message, facts) }

    private func error(
        _ kind: HTTPClientError.Kind,
        _ message: String,
        _ facts: TransferFacts,
        code: Int32 = 0
    ) -> HTTPClientError {
        HTTPClientError(
            kind,
            sent: facts.sent,
            code: code,
            message: message,
            status: facts.status == 0 ? nil : facts.status,
            silentRepeats: facts.silentRepeats
        )
    }

    // MARK: Sweep

    /// The clock that has run out, if any. libcurl cannot tell slow from stuck, nor knows the caller's deadline.
    func expiredPhase(now: MonotonicInstant) -> HTTPClientError.Phase? {
        let facts = self.facts
        let end = job.end
        if now >= end.at { return end.phase }
        if facts.progress != lastProgress || facts.isPaused {
            lastProgress = facts.progress
            lastProgressAt = now
            return nil
        }
        let silence = now - lastProgressAt
        if facts.headerBytes > 0 { return silence >= job.request.timeouts.stall ? .stall : nil }
        if facts.requestBytes > 0 { return silence >= job.request.timeouts.firstByte ? .firstByte : nil }
        return nil
    }
}

private func bodyHook(
    _ context: UnsafeMutableRawPointer?,
    _ least: Int,
    _ granted: UnsafeMutablePointer<Int>?
) -> Int32 {
    guard let context, let granted else { return Int32(CP_BODY_REFUSE) }
    let (verdict, total) = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue().makeRoom(least: least)
    granted.pointee = total
    return verdict
}

/// The header lines as libcurl takes them, in one buffer. libcurl keeps its own copy until the transfer is freed.
private struct HeaderLines {
    private var buffer: [UInt8] = []
    private var offsets: [Int] = []

    init(_ headers: [(name: String, value: HeaderValue)]) {
        var hasContentType = false
        for (name, value) in headers {
            let bytes = value.bytes
            // "Name;" sends an empty value, "Name:" would remove the header.
            append(Array(name.utf8) + Array((bytes.isEmpty ? ";" : ": ").utf8) + bytes)
            if name.lowercased() == "content-type" { hasContentType = true }
        }
        if !hasContentType { append(Array("Content-Type:".utf8)) }  // libcurl would call it a form
    }

    private mutating func append(_ line: [UInt8]) {
        offsets.append(buffer.count)
        buffer += line
        buffer.append(0)
    }

    func withPointers<R>(_ body: (UnsafeBufferPointer<UnsafePointer<CChar>?>) -> R) -> R {
        buffer.withUnsafeBytes { bytes in
            let base = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            return offsets.map { offset in base.map { $0 + offset } }.withUnsafeBufferPointer(body)
        }
    }
}
