// Thin calls over libmicrohttpd 0.9.75 and the sockets around it; the rules are HTTPServer's.
#define _GNU_SOURCE

#include "CMicrohttpd.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct cmhd_server {
    struct MHD_Daemon *daemon;
    struct cmhd_callbacks callbacks;
};

// A slot travels through the library as a pointer that is never followed: slot + 1, so that it is not NULL.
static void *pointer_of(size_t slot) {
    return (void *)(uintptr_t)(slot + 1);
}

static bool slot_of(struct MHD_Connection *connection, size_t *slot) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info == NULL || info->socket_context == NULL) return false;
    *slot = (size_t)(uintptr_t)info->socket_context - 1;
    return true;
}

static void on_connection(
    void *cls, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode code
) {
    struct cmhd_server *server = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = pointer_of(server->callbacks.opened(server->callbacks.context, info ? (int)info->connect_fd : -1));
    } else if (*context != NULL) {
        server->callbacks.closed(server->callbacks.context, (size_t)(uintptr_t)*context - 1);
    }
}

static void *on_target(void *cls, const char *target, struct MHD_Connection *connection) {
    struct cmhd_server *server = cls;
    size_t slot;
    if (!slot_of(connection, &slot)) return NULL;
    server->callbacks.target(server->callbacks.context, slot, target ? target : "");
    return pointer_of(slot);
}

static enum MHD_Result on_request(
    void *cls, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
    const char *data, size_t *count, void **context
) {
    (void)url;
    (void)context;
    struct cmhd_server *server = cls;
    size_t slot;
    if (!slot_of(connection, &slot)) return MHD_NO;
    size_t size = *count;
    *count = 0;  // every byte is taken: what is left over can hang the connection or spin the loop
    bool goes_on = server->callbacks.handle(
        server->callbacks.context, slot, connection, method, version, data, data ? size : 0
    );
    return goes_on ? MHD_YES : MHD_NO;
}

static void on_completed(
    void *cls, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code
) {
    (void)context;
    struct cmhd_server *server = cls;
    size_t slot;
    if (slot_of(connection, &slot)) {
        server->callbacks.completed(
            server->callbacks.context, slot, code == MHD_REQUEST_TERMINATED_COMPLETED_OK
        );
    }
}

static void on_log(void *cls, const char *format, va_list arguments) {
    struct cmhd_server *server = cls;
    unsigned status = 0;
    static const char own_answer[] = "Error processing request";
    if (strncmp(format, own_answer, sizeof own_answer - 1) == 0) {
        va_list copy;
        va_copy(copy, arguments);
        status = va_arg(copy, unsigned);
        va_end(copy);
    }
    char text[256];
    if (strstr(format, "request for") != NULL) {
        // These name the target, which may hold what must not reach a log.
        snprintf(text, sizeof text, "Failed to send an answer");
    } else {
        vsnprintf(text, sizeof text, format, arguments);
    }
    server->callbacks.logged(server->callbacks.context, status, text);
}

/// Targets are matched as they came: the default would decode `%2f` and even `%00` in place.
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text) {
    (void)cls;
    (void)connection;
    return strlen(text);
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason) {
    (void)cls;
    char text[256];
    int length = snprintf(
        text, sizeof text, "libmicrohttpd: %s (%s:%u)\n", reason ? reason : "broken invariant", file ? file : "", line
    );
    if (length > 0) {
        size_t count = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
        ssize_t ignored = write(STDERR_FILENO, text, count);
        (void)ignored;
    }
    abort();
}

struct cmhd_server *cmhd_start(const struct cmhd_settings *settings, const struct cmhd_callbacks *callbacks) {
    struct cmhd_server *server = calloc(1, sizeof *server);
    if (server == NULL) return NULL;
    server->callbacks = *callbacks;
    MHD_set_panic_func(on_panic, NULL);

    struct MHD_OptionItem options[] = {
        // First: what the library says about the other options goes to stderr otherwise.
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_log, server},
        {MHD_OPTION_LISTEN_SOCKET, settings->listener, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)settings->pool_bytes, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)settings->connection_limit, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)settings->idle_seconds, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, server},
        {MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL},
        {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    // 8192 is MHD_USE_SUSPEND_RESUME without its wake-up bit 1024: an external loop has its own.
    unsigned flags = MHD_USE_EPOLL | MHD_USE_ERROR_LOG | 8192u;
    if (!settings->sends_date) flags |= MHD_USE_SUPPRESS_DATE_NO_CLOCK;
    server->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (server->daemon == NULL) {
        free(server);
        return NULL;
    }
    return server;
}

void cmhd_stop(struct cmhd_server *server) {
    MHD_stop_daemon(server->daemon);
    free(server);
}

void cmhd_quiesce(struct cmhd_server *server) {
    MHD_socket listener = MHD_quiesce_daemon(server->daemon);
    if (listener != MHD_INVALID_SOCKET) close(listener);
}

void cmhd_run(struct cmhd_server *server) {
    MHD_run(server->daemon);
}

int cmhd_timeout(struct cmhd_server *server) {
    MHD_UNSIGNED_LONG_LONG milliseconds = 0;
    if (MHD_get_timeout(server->daemon, &milliseconds) != MHD_YES) return -1;
    return milliseconds > 60000 ? 60000 : (int)milliseconds;
}

int cmhd_epoll_descriptor(struct cmhd_server *server) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info ? info->epoll_fd : -1;
}

void cmhd_suspend(struct MHD_Connection *connection) {
    MHD_suspend_connection(connection);
}

void cmhd_resume(struct MHD_Connection *connection) {
    MHD_resume_connection(connection);
}

bool cmhd_queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response) {
    return MHD_queue_response(connection, status, response) == MHD_YES;
}

size_t cmhd_header_size(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

struct field_list {
    struct cmhd_field *fields;
    size_t count;
    size_t capacity;
};

static enum MHD_Result on_field(
    void *cls, enum MHD_ValueKind kind, const char *name, size_t name_length, const char *value, size_t value_length
) {
    (void)kind;
    struct field_list *list = cls;
    if (list->count == list->capacity) return MHD_NO;
    list->fields[list->count++] = (struct cmhd_field){name, name_length, value ? value : "", value ? value_length : 0};
    return MHD_YES;
}

size_t cmhd_fields(struct MHD_Connection *connection, struct cmhd_field *fields, size_t capacity) {
    struct field_list list = {fields, 0, capacity};
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_field, &list);
    return list.count;
}

struct MHD_Response *cmhd_response_borrowing(const void *body, size_t count) {
    return MHD_create_response_from_buffer(count, (void *)body, MHD_RESPMEM_PERSISTENT);
}

struct MHD_Response *cmhd_response_copying(const void *body, size_t count) {
    return MHD_create_response_from_buffer(count, (void *)body, MHD_RESPMEM_MUST_COPY);
}

struct MHD_Response *cmhd_response_owning(const void *body, size_t count, void (*release)(void *), void *owner) {
    return MHD_create_response_from_buffer_with_free_callback_cls(count, (void *)body, release, owner);
}

struct breaking_body {
    const char *bytes;
    size_t count;
    void (*release)(void *);
    void *owner;
};

static ssize_t read_breaking(void *body, uint64_t position, char *buffer, size_t room) {
    const struct breaking_body *breaking = body;
    if (position >= breaking->count) return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t left = breaking->count - (size_t)position;
    size_t taken = left < room ? left : room;
    memcpy(buffer, breaking->bytes + position, taken);
    return (ssize_t)taken;
}

static void free_breaking(void *body) {
    struct breaking_body *breaking = body;
    breaking->release(breaking->owner);
    free(breaking);
}

struct MHD_Response *cmhd_response_breaking(
    const void *body, size_t count, uint64_t promised, void (*release)(void *), void *owner
) {
    struct breaking_body *breaking = malloc(sizeof *breaking);
    if (breaking == NULL) return NULL;
    *breaking = (struct breaking_body){ body, count, release, owner };
    struct MHD_Response *response =
        MHD_create_response_from_callback(promised, 32 * 1024, read_breaking, breaking, free_breaking);
    if (response == NULL) free(breaking);
    return response;
}

bool cmhd_response_add(struct MHD_Response *response, const char *name, const char *value) {
    if (strcasecmp(name, "Date") != 0) return MHD_add_response_header(response, name, value) == MHD_YES;
    // 0.9.75 returns MHD_NO for a Date it has added, so the outcome is looked up.
    MHD_add_response_header(response, name, value);
    return MHD_get_response_header(response, "Date") != NULL;
}

void cmhd_response_destroy(struct MHD_Response *response) {
    MHD_destroy_response(response);
}

const char *cmhd_version(void) {
    return MHD_get_version();
}

static int listen_at(const struct addrinfo *address, int backlog, uint16_t *bound) {
    int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    int on = 1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    char port[8];
    if (bind(descriptor, address->ai_addr, address->ai_addrlen) != 0 || listen(descriptor, backlog) != 0 ||
        getsockname(descriptor, (struct sockaddr *)&name, &length) != 0 ||
        getnameinfo((struct sockaddr *)&name, length, NULL, 0, port, sizeof port, NI_NUMERICSERV) != 0) {
        int reason = errno;
        close(descriptor);
        errno = reason;
        return -1;
    }
    *bound = (uint16_t)strtoul(port, NULL, 10);
    return descriptor;
}

int cmhd_listen(const char *host, uint16_t port, int backlog, uint16_t *bound) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    if (getaddrinfo(host, service, &hints, &addresses) != 0 || addresses == NULL) return -2;
    int descriptor = listen_at(addresses, backlog, bound);
    int reason = errno;
    freeaddrinfo(addresses);
    errno = reason;
    if (descriptor < 0 && reason == EADDRNOTAVAIL) return -2;
    return descriptor;
}

void cmhd_peer(int descriptor, char *text, size_t capacity) {
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    if (getpeername(descriptor, (struct sockaddr *)&name, &length) != 0 ||
        getnameinfo((struct sockaddr *)&name, length, text, (socklen_t)capacity, NULL, 0, NI_NUMERICHOST) != 0) {
        if (capacity > 0) text[0] = 0;
    }
}

bool cmhd_has_input(int descriptor) {
    char byte;
    return recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void cmhd_shutdown(int descriptor) {
    shutdown(descriptor, SHUT_RDWR);
}
