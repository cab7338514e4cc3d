#define _GNU_SOURCE
#include "CPostgres.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <time.h>

const char *cpg_result_field(const PGresult *result, cpg_field field) {
    switch (field) {
    case CPG_FIELD_SQLSTATE: return PQresultErrorField(result, PG_DIAG_SQLSTATE);
    case CPG_FIELD_SEVERITY: return PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    case CPG_FIELD_MESSAGE: return PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    case CPG_FIELD_CONSTRAINT: return PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    case CPG_FIELD_TABLE: return PQresultErrorField(result, PG_DIAG_TABLE_NAME);
    case CPG_FIELD_COLUMN: return PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
    }
    return NULL;
}

static void receive_notice(void *context, const PGresult *result) {
    cpg_notice_sink *sink = context;
    sink->receive(sink->context, PQresultErrorField(result, PG_DIAG_SQLSTATE));
}

void cpg_set_notice_sink(PGconn *connection, cpg_notice_sink *sink) {
    PQsetNoticeReceiver(connection, receive_notice, sink);
}

int cpg_wait(int socket, bool read, bool write, int event, uint64_t monotonic_nanoseconds) {
    struct pollfd watched[2] = {
        {.fd = socket, .events = (short)((read ? POLLIN | POLLRDHUP : 0) | (write ? POLLOUT : 0))},
        {.fd = event, .events = POLLIN},
    };
    for (;;) {
        struct timespec left, *limit = NULL;
        if (monotonic_nanoseconds != UINT64_MAX) {
            struct timespec now;
            clock_gettime(CLOCK_MONOTONIC, &now);
            uint64_t present = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
            uint64_t rest = monotonic_nanoseconds > present ? monotonic_nanoseconds - present : 0;
            left.tv_sec = (time_t)(rest / 1000000000u);
            left.tv_nsec = (long)(rest % 1000000000u);
            limit = &left;
        }
        int ready = ppoll(watched, 2, limit, NULL);
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return CPG_FAILED;
        int seen = 0;
        if (watched[0].revents & (POLLIN | POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) seen |= CPG_READABLE;
        if (watched[0].revents & POLLOUT) seen |= CPG_WRITABLE;
        if (watched[1].revents) seen |= CPG_SIGNALLED;
        return seen;
    }
}

bool cpg_has_buffered_input(PGconn *connection) {
    if (!PQsslInUse(connection)) return false;
    SSL *tls = PQsslStruct(connection, "OpenSSL");
    return tls && SSL_pending(tls) > 0;
}
