// The event loop: libcurl's multi handle driven by our own epoll set, so that a turn costs what happened in it
// and not what is open. The owner of every socket number that libcurl uses.
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const uint64_t WAKE_TAG = UINT64_MAX;

static int64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static cp_socket *socket_entry(cp_loop *loop, curl_socket_t fd) {
    if (fd < 0) return NULL;
    if ((size_t)fd >= loop->socket_capacity) {
        size_t capacity = loop->socket_capacity ? loop->socket_capacity : 256;
        while (capacity <= (size_t)fd) capacity *= 2;
        cp_socket *grown = realloc(loop->sockets, capacity * sizeof *grown);
        if (!grown) return NULL;
        memset(grown + loop->socket_capacity, 0, (capacity - loop->socket_capacity) * sizeof *grown);
        loop->sockets = grown;
        loop->socket_capacity = capacity;
    }
    return &loop->sockets[fd];
}

static void watch(cp_loop *loop, curl_socket_t fd, cp_socket *entry, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u64 = ((uint64_t)entry->generation << 32) | (uint32_t)fd};
    int operation = entry->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(loop->epoll, operation, fd, &event) == 0) {
        entry->is_watched = true;
    } else if (errno == ENOENT && epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) == 0) {
        entry->is_watched = true;
    } else if (errno == EEXIST && epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event) == 0) {
        entry->is_watched = true;
    }
}

static void unwatch(cp_loop *loop, curl_socket_t fd, cp_socket *entry) {
    if (!entry->is_watched) return;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
    entry->is_watched = false;
}

static void set_idle(cp_loop *loop, cp_socket *entry, bool is_idle) {
    if (entry->is_idle == is_idle) return;
    entry->is_idle = is_idle;
    if (is_idle) loop->counts.idle += 1; else loop->counts.idle -= 1;
}

static long local_port(curl_socket_t fd) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) return 0;
    if (address.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&address)->sin_port);
    if (address.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return 0;
}

void cp_loop_hold(cp_loop *loop, long port) {
    for (size_t fd = 0; fd < loop->socket_capacity; fd += 1) {
        cp_socket *entry = &loop->sockets[fd];
        if (!entry->is_ours || !entry->is_idle || entry->port != port) continue;
        set_idle(loop, entry, false);
        unwatch(loop, (curl_socket_t)fd, entry);
    }
}

/// An idle connection must stay silent until the next request is written. Bytes there would be taken for that
/// request's answer (somebody else's report), and a reset would go unnoticed until the request is lost on it.
/// So the socket under libcurl's number is exchanged for a dead one: the check before reuse then finds end of
/// file, and libcurl opens another connection.
static void sever(cp_loop *loop, curl_socket_t fd, cp_socket *entry) {
    unwatch(loop, fd, entry);
    set_idle(loop, entry, false);
    loop->counts.severed += 1;
    int tries = 0;
    while (dup3(loop->dead_end, fd, O_CLOEXEC) < 0 && (errno == EINTR || errno == EBUSY) && ++tries < 16) {}
}

/// Always 0: an error from here leaves the transfer in limbo.
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *unused) {
    (void)unused;
    cp_loop *loop = user;
    cp_socket *entry = socket_entry(loop, fd);
    if (!entry) return 0;
    if (what == CURL_POLL_REMOVE) {
        cp_transfer *transfer = NULL;
        if (easy) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
        // A paused transfer's socket is wished for by nobody either, but it is not idle: its body waits there.
        if (entry->is_ours && !(transfer && transfer->is_paused)) {
            if (!entry->port) entry->port = local_port(fd);
            watch(loop, fd, entry, EPOLLIN | EPOLLRDHUP);
            set_idle(loop, entry, true);
        } else {
            unwatch(loop, fd, entry);
        }
        return 0;
    }
    set_idle(loop, entry, false);
    uint32_t events = 0;
    if (what & CURL_POLL_IN) events |= EPOLLIN;
    if (what & CURL_POLL_OUT) events |= EPOLLOUT;
    watch(loop, fd, entry, events);
    return 0;
}

/// Only stores the deadline: calling libcurl from here would recurse.
static int on_timer(CURLM *multi, long timeout_ms, void *user) {
    (void)multi;
    cp_loop *loop = user;
    loop->timer_ns = timeout_ms < 0 ? -1 : monotonic_ns() + (int64_t)timeout_ms * 1000000;
    return 0;
}

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)purpose;
    cp_loop *loop = user;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) return CURL_SOCKET_BAD;
    cp_socket *entry = socket_entry(loop, fd);
    if (!entry) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    *entry = (cp_socket){.generation = entry->generation + 1, .is_ours = true};
    loop->counts.opened += 1;
    loop->counts.open += 1;
    return fd;
}

static int on_close(void *user, curl_socket_t fd) {
    cp_loop *loop = user;
    cp_socket *entry = socket_entry(loop, fd);
    if (entry && entry->is_ours) {
        unwatch(loop, fd, entry);
        set_idle(loop, entry, false);
        *entry = (cp_socket){.generation = entry->generation + 1};
        loop->counts.open -= 1;
    }
    return close(fd);
}

CURLcode cp_loop_adopt(cp_loop *loop, CURL *easy) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    if (!code) code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, loop);
    if (!code) code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    if (!code) code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, loop);
    if (!code) code = curl_easy_setopt(easy, CURLOPT_SHARE, loop->share);
    return code;
}

static bool prepare(cp_loop *loop, const cp_loop_settings *settings) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return false;
    loop->dead_end = pair[0];
    close(pair[1]);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) return false;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_TAG};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, settings->wake_descriptor, &event) != 0) return false;
    if (settings->user_agent && !(loop->user_agent = strdup(settings->user_agent))) return false;
    if (!(loop->ca_file = strdup(settings->ca_file))) return false;
    if (!(loop->multi = curl_multi_init()) || !(loop->share = curl_share_init())) return false;
    // Handles are made anew for each request; without sharing, each new connection would be a full handshake.
    if (curl_share_setopt(loop->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION)) return false;
    CURLM *multi = loop->multi;
    return !curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket)
        && !curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, loop)
        && !curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer)
        && !curl_multi_setopt(multi, CURLMOPT_TIMERDATA, loop)
        // The default (4 x handles running now) closes the pool in every lull.
        && !curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, settings->max_connections)
        // A net under our own limit of requests in flight, not the limiter: requests queued in libcurl have
        // their timeout running already.
        && !curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, settings->max_connections)
        && !curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, 0L)
        && !curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
}

cp_loop *cp_loop_create(const cp_loop_settings *settings) {
    cp_loop *loop = calloc(1, sizeof *loop);
    if (!loop) return NULL;
    loop->epoll = loop->dead_end = -1;
    loop->timer_ns = -1;
    loop->wake = settings->wake_descriptor;
    loop->allows_plain_http = settings->allows_plain_http;
    loop->max_idle_seconds = settings->max_idle_seconds;
    loop->max_connections = settings->max_connections;
    if (prepare(loop, settings)) return loop;
    cp_loop_destroy(loop);
    return NULL;
}

void cp_loop_destroy(cp_loop *loop) {
    // First the multi handle: it closes the pooled connections through on_close.
    if (loop->multi) curl_multi_cleanup(loop->multi);
    if (loop->share) curl_share_cleanup(loop->share);
    if (loop->epoll >= 0) close(loop->epoll);
    if (loop->dead_end >= 0) close(loop->dead_end);
    free(loop->sockets);
    free(loop->events);
    free(loop->ca_file);
    free(loop->user_agent);
    free(loop);
}

static int wait_ms(const cp_loop *loop, int timeout_ms) {
    if (loop->timer_ns < 0) return timeout_ms;
    int64_t left = loop->timer_ns - monotonic_ns();
    if (left <= 0) return 0;
    int64_t left_ms = (left + 999999) / 1000000;
    return timeout_ms < 0 || left_ms < timeout_ms ? (int)left_ms : timeout_ms;
}

/// The entry an event is meant for, or NULL when its socket is gone.
static cp_socket *addressee(cp_loop *loop, const struct epoll_event *event, curl_socket_t *fd) {
    *fd = (curl_socket_t)(event->data.u64 & UINT32_MAX);
    if (event->data.u64 == WAKE_TAG) return NULL;
    cp_socket *entry = socket_entry(loop, *fd);
    uint32_t generation = (uint32_t)(event->data.u64 >> 32);
    return entry && entry->is_watched && entry->generation == generation ? entry : NULL;
}

static CURLMcode serve(cp_loop *loop, curl_socket_t fd, uint32_t events) {
    int mask = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP)) mask |= CURL_CSELECT_IN;
    if (events & EPOLLOUT) mask |= CURL_CSELECT_OUT;
    if (events & EPOLLERR) mask |= CURL_CSELECT_ERR;
    int running = 0;
    return curl_multi_socket_action(loop->multi, fd, mask, &running);
}

int cp_loop_run_due(cp_loop *loop) {
    if (loop->timer_ns < 0 || monotonic_ns() < loop->timer_ns) return CURLM_OK;
    loop->timer_ns = -1;
    int running = 0;
    return curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static CURLMcode serve_batch(cp_loop *loop, const struct epoll_event *events, int count, bool *woken) {
    curl_socket_t fd;
    // Idle connections first: serving any socket may start a transfer, and that must not be on one of these.
    for (int i = 0; i < count; i += 1) {
        cp_socket *entry = addressee(loop, &events[i], &fd);
        if (entry && entry->is_idle) sever(loop, fd, entry);
        if (events[i].data.u64 == WAKE_TAG) *woken = true;
    }
    for (int i = 0; i < count; i += 1) {
        cp_socket *entry = addressee(loop, &events[i], &fd);
        if (!entry) continue;
        if (entry->is_idle) {  // became so within this batch
            sever(loop, fd, entry);
            continue;
        }
        CURLMcode code = serve(loop, fd, events[i].events);
        if (code > CURLM_OK) return code;
    }
    return CURLM_OK;
}

int cp_loop_turn(cp_loop *loop, int timeout_ms, bool *woken) {
    // Room for everything that can be ready, so that no idle connection's event is left for a later turn.
    size_t capacity = (size_t)loop->counts.open + 64;
    if (capacity > loop->event_capacity) {
        struct epoll_event *grown = realloc(loop->events, capacity * 2 * sizeof *grown);
        if (!grown) return CURLM_OUT_OF_MEMORY;
        loop->events = grown;
        loop->event_capacity = capacity * 2;
    }
    *woken = false;
    int count = epoll_wait(loop->epoll, loop->events, (int)loop->event_capacity, wait_ms(loop, timeout_ms));
    CURLMcode code = count > 0 ? serve_batch(loop, loop->events, count, woken) : CURLM_OK;
    return code > CURLM_OK ? (int)code : cp_loop_run_due(loop);
}

cp_transfer *cp_loop_next_finished(cp_loop *loop, int *code) {
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(loop->multi, &left))) {
        if (message->msg != CURLMSG_DONE) continue;
        cp_transfer *transfer = NULL;
        *code = (int)message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        if (transfer) return transfer;
    }
    return NULL;
}

cp_loop_counts cp_loop_read_counts(const cp_loop *loop) {
    return loop->counts;
}
