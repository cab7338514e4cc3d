// What HTTPServer needs of GNU libmicrohttpd, flattened for Swift. The library's own header stays out of
// Swift's sight: its enums are marked closed (an unlisted value traps) and five of its calls are variadic.
// Everything but `cmhd_response_*` belongs to the one thread that runs the daemon.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct MHD_Connection;
struct MHD_Response;
struct cmhd_server;

/// What the daemon tells its owner. `slot` is what `opened` returned for that connection.
struct cmhd_callbacks {
    void *context;
    /// A connection was accepted; the descriptor is live until `closed` has returned.
    size_t (*opened)(void *context, int descriptor);
    void (*closed)(void *context, size_t slot);
    /// The request line is complete: the only sign that a request has begun. From here `completed` always comes.
    void (*target)(void *context, size_t slot, const char *target);
    /// First call: headers. Calls with `data`: body bytes, all to be taken. Later ones: the end, and again after a resume.
    /// False closes the connection without an answer.
    bool (*handle)(
        void *context, size_t slot, struct MHD_Connection *connection, const char *method, const char *version,
        const char *data, size_t count
    );
    void (*completed)(void *context, size_t slot, bool answered);
    /// The library's log line; `status` is not 0 when the library answers a request by itself with that status.
    void (*logged)(void *context, unsigned status, const char *text);
};

struct cmhd_settings {
    int listener;
    size_t pool_bytes;
    unsigned connection_limit;
    unsigned idle_seconds;
    bool sends_date;
};

/// Starts a daemon in external epoll mode; NULL when the library refuses (`errno` may say why). The listening socket
/// is closed by `cmhd_stop`, or by the caller after `cmhd_quiesce`.
struct cmhd_server *cmhd_start(const struct cmhd_settings *settings, const struct cmhd_callbacks *callbacks);
/// No connection may be suspended: the library aborts the process otherwise.
void cmhd_stop(struct cmhd_server *server);
/// Stops accepting and closes the listening socket.
void cmhd_quiesce(struct cmhd_server *server);
void cmhd_run(struct cmhd_server *server);
/// Milliseconds until the library wants to run; -1 when it has no wish.
int cmhd_timeout(struct cmhd_server *server);
int cmhd_epoll_descriptor(struct cmhd_server *server);

void cmhd_suspend(struct MHD_Connection *connection);
void cmhd_resume(struct MHD_Connection *connection);
bool cmhd_queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response);
size_t cmhd_header_size(struct MHD_Connection *connection);

struct cmhd_field {
    const char *name;
    size_t name_length;
    const char *value;
    size_t value_length;
};

/// Writes up to `capacity` header fields in their order and returns how many there are, at most `capacity`.
size_t cmhd_fields(struct MHD_Connection *connection, struct cmhd_field *fields, size_t capacity);

/// The body must outlive the response.
struct MHD_Response *cmhd_response_borrowing(const void *body, size_t count);
struct MHD_Response *cmhd_response_copying(const void *body, size_t count);
/// `release(owner)` is called once, when the library no longer needs the body.
struct MHD_Response *cmhd_response_owning(const void *body, size_t count, void (*release)(void *), void *owner);
/// Promises `promised` bytes, sends `count` and then closes the connection. `release(owner)` as above.
struct MHD_Response *cmhd_response_breaking(
    const void *body, size_t count, uint64_t promised, void (*release)(void *), void *owner
);
bool cmhd_response_add(struct MHD_Response *response, const char *name, const char *value);
void cmhd_response_destroy(struct MHD_Response *response);

const char *cmhd_version(void);

/// A non-blocking listening socket, or a negative number: -1 with `errno`, -2 when the host is not an address of ours.
int cmhd_listen(const char *host, uint16_t port, int backlog, uint16_t *bound);
/// The peer's address in text, at most `capacity` bytes with the final zero; empty when unknown.
void cmhd_peer(int descriptor, char *text, size_t capacity);
/// Whether bytes wait in the socket, unread.
bool cmhd_has_input(int descriptor);
void cmhd_shutdown(int descriptor);
