// libpq, and what Swift cannot import from it: character macros, callback set-up, one poll over two descriptors.
#pragma once
#include <postgresql/libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

// Fields of an error or notice; NULL when the server did not send them. They live as long as the result.
typedef enum {
    CPG_FIELD_SQLSTATE,
    CPG_FIELD_SEVERITY, // not localized
    CPG_FIELD_MESSAGE,
    CPG_FIELD_CONSTRAINT,
    CPG_FIELD_TABLE,
    CPG_FIELD_COLUMN,
} cpg_field;
const char *_Nullable cpg_result_field(const PGresult *_Nonnull result, cpg_field field);

// Receives the SQLSTATE of each notice, on the connection's thread, inside a libpq call.
typedef void (*cpg_notice)(void *_Nullable context, const char *_Nullable sqlstate);
typedef struct {
    cpg_notice _Nonnull receive;
    void *_Nullable context;
} cpg_notice_sink;
// The sink must outlive the connection. Without one, libpq prints notices, data included, to stderr.
void cpg_set_notice_sink(PGconn *_Nonnull connection, cpg_notice_sink *_Nonnull sink);

// What a wait ended with; several bits may be set. 0: the time came first.
#define CPG_READABLE 1
#define CPG_WRITABLE 2
#define CPG_SIGNALLED 4
#define CPG_FAILED 8
// Waits until the socket is readable (and writable, when asked) or the event descriptor is signalled, at most until
// the given time on CLOCK_MONOTONIC (UINT64_MAX: without limit). Sockets or events of -1 are left out. An end sent
// by the peer counts as readable.
int cpg_wait(int socket, bool read, bool write, int event, uint64_t monotonic_nanoseconds);

// Whether TLS holds decrypted bytes that libpq has not taken: poll does not see them. libpq 15 reads at least 8 KiB at
// a time, PostgreSQL 17 and proxies send records of 16.
bool cpg_has_buffered_input(PGconn *_Nonnull connection);
