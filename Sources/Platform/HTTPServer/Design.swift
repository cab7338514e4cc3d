// How this module hangs together, for whoever changes it. No code.
//
// Files
//   HTTPServer            the handle others hold: open the port, start, drain, stop, metrics
//   HTTPLoop              one thread's turn: inbox, library, deadlines, publishing counters
//     +Callbacks          C functions the library calls; they copy and pass on
//     +Requests           accept, head, body, end, answer
//     +Waiting            suspended requests: completion, timeout
//     +Ending             drain, last answers, closing
//   RawHead, ExchangeMachine, DeadlineTable, Tickets       the decisions, without I/O, clock or lock
//   LoopInbox             what other threads may touch: tickets, completions, commands, one eventfd
//   BodyBuffer, LibraryResponse                            memory that crosses into and out of the library
//   Router, Route, AsyncExchanges                          a service for programs with more than one path
//
// Threads and locks
//   Everything of the library and of HTTPLoop belongs to the loop's thread. Four locks, never two at a time: the
//   inbox, the board's metrics, the server's stage, the router's tasks. The drain latch is opened by the loop.
//
// Not obvious
//   1. A request waits by `suspend`; `resume` is called on the loop's thread only, because nothing wakes an external
//      loop otherwise. The library's connection pointer is good while suspended: nobody else can end it.
//   2. Who answers a waiting request is decided by its ticket, under the inbox's lock: a completion redeems it, the
//      timeout withdraws it. A timeout that finds the ticket gone must leave the connection alone; its answer is in
//      the inbox.
//   3. `target` is the only sign that a request has begun, and from there `completed` comes for every ending. The
//      target is copied there: the library cuts and edits it afterwards.
//   4. An answer can be queued in the handler's first call (then the connection closes) or after the whole body,
//      never in between: what is decided while a body arrives is kept until its end, or the socket is shut down.
//   5. Body bytes are always taken whole; what is left over can hang the connection or spin the loop.
//   6. `cut` only shuts the socket down. The library notices in its next run, ends the request and closes; the record
//      lives until `closed`, which runs while the descriptor is still open, so `cut` never hits a stranger's socket.
//   7. The daemon must not be stopped while a connection is suspended: the library aborts the process.
//   8. The library answers some broken requests itself, without a callback; the log line is the only trace.
//   9. `cmhd_timeout` may be 0 for as long as a client likes (an over-long chunk line): hence the guard in `wait`.
//  10. A head whose parts do not add up to its size was not written plainly (a NUL, a fold, a bare LF, odd spacing). It
//      is served, but nothing behind it is ever read as a request. Nor behind a chunked body: its lines are not seen.
