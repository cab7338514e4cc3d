// A request on its way through the library's handler: head, body, end, answer.

import Basics
import CMicrohttpd

extension HTTPLoop {
    // MARK: Connections

    func opened(_ descriptor: Int32) -> Int {
        isActive = true
        if metrics.openConnections >= limits.evictionThreshold { evict() }
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = connections.count
            connections.append(nil)
        }
        let record = ConnectionRecord(
            slot: slot,
            descriptor: descriptor,
            peer: Self.peer(of: descriptor),
            body: BodyBuffer(budget: board.budget, smallBytes: limits.smallBodyBytes)
        )
        connections[slot] = record
        metrics.openConnections += 1
        metrics.acceptedConnections += 1
        reschedule(record)
        return slot
    }

    /// The longest idle connection goes; with none idle, the longest silent newcomer, then the slowest header.
    private func evict() {
        for state in [ConnectionState.idle, .first, .head] {
            guard let slot = deadlines.oldest(in: state), let record = connections[slot] else { continue }
            metrics.evictedConnections += 1
            cut(record)
            return
        }
    }

    /// The descriptor is closed right after this.
    func closed(_ slot: Int) {
        isActive = true
        guard let record = connections[slot] else { return }
        if record.isInHand { ended(record, answered: false) }
        deadlines.clear(slot)
        connections[slot] = nil
        freeSlots.append(slot)
        metrics.openConnections -= 1
    }

    // MARK: Requests

    func requestBegan(_ slot: Int, target: [UInt8]) {
        isActive = true
        guard let record = connections[slot] else { return }
        record.machine.requestBegan()
        record.serial = nextSerial
        nextSerial += 1
        record.target = target
        record.arrivedWhileDraining = isDraining
        record.isInHand = true
        metrics.requests += 1
        metrics.inHand += 1
        reschedule(record)
    }

    /// False closes the connection.
    func handle(
        _ slot: Int,
        _ connection: OpaquePointer,
        method: UnsafePointer<CChar>?,
        version: UnsafePointer<CChar>?,
        data: UnsafeRawBufferPointer?
    ) -> Bool {
        isActive = true
        guard let record = connections[slot] else { return false }
        switch record.machine.phase {
        case .head: return readHead(record, connection, method: bytes(of: method), version: bytes(of: version))
        case .body:
            if let data { return readBody(record, data) }
            return endBody(record, connection)
        case .answered:
            guard let response = record.machine.resumed() else { return false }
            return queue(response, record, connection)
        case .first, .deciding, .answering, .waiting, .writing, .idle, .cut: return false
        }
    }

    private func readHead(_ record: ConnectionRecord, _ connection: OpaquePointer, method: [UInt8], version: [UInt8])
        -> Bool
    {
        let raw = RawHead(
            method: method,
            target: record.target,
            version: version,
            fields: readFields(connection),
            byteCount: cmhd_header_size(connection)
        )
        let action: ExchangeMachine.HeadAction
        switch raw.inspected(by: limits) {
        case .failure(let fault):
            metrics.refusedHeads[fault, default: 0] += 1
            action = record.machine.headRefused(with: .empty(fault.status))
        case .success(let facts):
            let head = RequestHead(
                method: HTTPMethod(Text.latin1(method)),
                target: RequestTarget(record.target[...]),
                framing: facts.framing,
                arrivedWhileDraining: record.arrivedWhileDraining,
                peer: record.peer,
                fields: raw.fields
            )
            action = judge(head, facts, record)
        }
        switch action {
        case .readBody:
            reschedule(record)
            return true
        case .answer(let response): return queue(response, record, connection)
        case .close: return false
        }
    }

    private func judge(_ head: RequestHead, _ facts: RawHead.Facts, _ record: ConnectionRecord)
        -> ExchangeMachine.HeadAction
    {
        switch service.head(head) {
        case .answer(let response):
            return record.machine.headAnswered(
                with: response,
                framing: facts.framing,
                discardLimit: limits.refusedBodyBytes
            )
        case .accept(let bodyLimit, let mayWait):
            record.head = head
            record.bodyLimit = bodyLimit
            record.mayWait = mayWait
            if let length = facts.framing.contentLength, length > bodyLimit { metrics.oversizedBodies += 1 }
            return record.machine.headAccepted(
                bodyLimit: bodyLimit,
                discardFactor: limits.discardFactor,
                framing: facts.framing,
                isPlain: facts.isPlain
            )
        }
    }

    private func readBody(_ record: ConnectionRecord, _ data: UnsafeRawBufferPointer) -> Bool {
        let wasWithin = record.machine.received <= record.bodyLimit
        let action = record.machine.bodyArrived(data.count)
        let isChunked = record.head?.isChunked ?? false
        if isChunked, wasWithin, record.machine.received > record.bodyLimit { metrics.oversizedBodies += 1 }
        switch action {
        case .keep:
            if !record.body.append(data, claimed: record.head?.contentLength, limit: record.bodyLimit) {
                metrics.overloadAnswers += 1
                record.machine.bodyRefused(with: limits.overloadAnswer)
            }
        case .discard: record.body.discard()
        case .cut: cut(record)
        }
        return true
    }

    private func endBody(_ record: ConnectionRecord, _ connection: OpaquePointer) -> Bool {
        switch record.machine.bodyEnded() {
        case .close: return false
        case .answer(let response): return queue(response, record, connection)
        case .askService: break
        }
        guard let head = record.head else { return false }
        let body = record.body.finish()
        let isFull = metrics.waiting >= limits.maxWaiting
        if isStopping || (record.mayWait && isFull) {
            metrics.overloadAnswers += 1
            return queue(limits.overloadAnswer, record, connection)
        }
        now = clock.now()
        let request = Request(head: head, body: body, receivedAt: wallClock.now(), receivedMonotonic: now)
        let exchange = Exchange(slot: record.slot, serial: record.serial, desk: inbox)
        // Before the service is asked, since its answer may beat its own return.
        if record.mayWait { inbox.issue(record.serial, slot: record.slot) }
        switch service.request(request, exchange: exchange) {
        case .answer(let response):
            if record.mayWait { _ = inbox.withdraw(record.serial, slot: record.slot) }
            return queue(response, record, connection)
        case .wait(let until, let onTimeout):
            // Without a ticket nothing could ever complete it.
            guard record.mayWait else { return queue(onTimeout, record, connection) }
            suspend(record, connection, until: until, onTimeout: onTimeout)
            return true
        }
    }

    /// Hands an answer to the library. From here the WRITE deadline runs.
    func queue(_ response: Response, _ record: ConnectionRecord, _ connection: OpaquePointer) -> Bool {
        let closes = record.machine.closesAfterAnswer || response.closeConnection || isDraining || isStopping
        var response = response
        var made = cache.response(for: response, closing: closes)
        if made == nil {
            onEvent(.unsendableAnswer(status: response.status))
            response = .empty(500)
            made = cache.response(for: response, closing: closes)
        }
        record.machine.answerQueued()
        record.head = nil
        let status = (200...599).contains(response.status) ? response.status : 500
        let slowest = Duration.seconds(response.content.count / max(1, limits.writeBytesPerSecond))
        reschedule(record, at: now + limits.writeTimeout + slowest)
        guard let made, response.breakOff != .beforeAnswer else { return false }
        return cmhd_queue(connection, UInt32(status), made.pointer)
    }

    func completed(_ slot: Int, answered: Bool) {
        isActive = true
        guard let record = connections[slot] else { return }
        ended(record, answered: answered)
        record.machine.finished()
        if isDraining, record.machine.phase == .idle { cut(record) } else { reschedule(record) }
    }

    private func ended(_ record: ConnectionRecord, answered: Bool) {
        guard record.isInHand else { return }
        record.isInHand = false
        record.head = nil
        record.target = []
        record.body.discard()
        if record.suspended != nil {
            record.suspended = nil
            metrics.waiting -= 1
        }
        if record.mayWait { _ = inbox.withdraw(record.serial, slot: record.slot) }
        record.mayWait = false
        metrics.inHand -= 1
        if !answered { metrics.unfinishedRequests += 1 }
    }

    private func readFields(_ connection: OpaquePointer) -> HeaderFields {
        let count = cmhd_fields(connection, fieldBuffer.baseAddress, fieldBuffer.count)
        var bytes = 0
        for index in 0..<count { bytes += fieldBuffer[index].name_length + fieldBuffer[index].value_length }
        var fields = HeaderFields(reservingBytes: bytes, fields: count)
        for index in 0..<count {
            let field = fieldBuffer[index]
            fields.append(
                name: UnsafeRawBufferPointer(start: field.name, count: field.name_length),
                value: UnsafeRawBufferPointer(start: field.value, count: field.value_length)
            )
        }
        return fields
    }

    private static func peer(of descriptor: Int32) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
            guard let base = text.baseAddress else { return "" }
            cmhd_peer(descriptor, base, text.count)
            return String(cString: base)
        }
    }
}
