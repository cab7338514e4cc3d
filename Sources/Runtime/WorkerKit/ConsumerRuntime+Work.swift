// The one task: takes started work from the inbox and gives each piece a child.

import Basics

extension ConsumerRuntime {
    /// Runs until the inbox is closed and every child has ended.
    func work() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.beat() }
            await withDiscardingTaskGroup { children in
                while let started = await inbox.next() {
                    children.addTask { await self.carryOut(started) }
                }
                // Cancelled while waiting for work: the children are cancelled with us, and end soon.
            }
            group.cancelAll()
        }
        finished.open()
    }

    /// Writes the worker's row at once and then at every beat. A slow write delays the next, never doubles it.
    private func beat() async {
        while !Task.isCancelled {
            await service.heartbeat(snapshot)
            let next = environment.monotonic.now() + configuration.heartbeatEvery
            guard (try? await environment.timers.sleep(until: next)) != nil else { return }
        }
    }

    /// Carries out a piece of work, and then whatever its end lets start: that saves a hop to another child.
    private func carryOut(_ first: StartedWork) async {
        var next: StartedWork? = first
        while let started = next {
            let result = await perform(started)
            next = decide(takesOne: true) { $0.core.finished(started.id, result, at: $1) }
        }
    }

    private func perform(_ started: StartedWork) async -> WorkResult {
        let id = started.id
        let context = HandlerContext(
            attempt: started.attempt,
            deadline: started.deadline,
            isCurrent: { [state] in state.withLock { $0.core.isCurrent(id) } }
        )
        switch started.task {
        case .handle:
            let outcome = await service.handler.handle(started.work, context: context)
            guard case .expired = outcome else { return .handled(outcome) }
            return .expiry(await service.handler.expire(started.work, context: context))
        case .expire:
            return .expiry(await service.handler.expire(started.work, context: context))
        case .deadLetter(let letter, let isPublished):
            return await bury(letter, isPublished: isPublished, context)
        }
    }

    /// Topic, then row. A step that failed is repeated later, one that succeeded is not.
    private func bury(_ letter: DeadLetter, isPublished: Bool, _ context: HandlerContext) async -> WorkResult {
        var isPublished = isPublished
        do {
            // Given up meanwhile: the new owner decides about this event, and two letters would be one too many.
            guard context.isCurrent() else { return .deadLetter(isPublished: isPublished, isRecorded: false) }
            if !isPublished { try await service.deadLetters.publish(letter) }
            isPublished = true
            try await service.deadLetters.record(letter)
            return .deadLetter(isPublished: true, isRecorded: true)
        } catch {
            // What failed shows in the sink's own logs and metrics; here it is one more reason to wait.
            return .deadLetter(isPublished: isPublished, isRecorded: false)
        }
    }
}
