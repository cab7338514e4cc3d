// The two structs behind CCurl.h, shared by the loop and the transfers.
#pragma once

#include "CCurl.h"

#include <sys/epoll.h>

/// What we know of one descriptor, indexed by its number.
typedef struct {
    uint32_t generation;  // a number comes back within one batch of events: old events must not reach the new socket
    bool is_ours;         // opened by our callback, so idle means an idle connection
    bool is_watched;      // in the epoll set
    bool is_idle;
    long port;            // the connection's own, known from its first idle time on
} cp_socket;

struct cp_loop {
    CURLM *multi;
    CURLSH *share;
    int epoll;
    int wake;
    int dead_end;          // a socket whose peer is closed: reading it gives end of file at once
    cp_socket *sockets;
    size_t socket_capacity;
    struct epoll_event *events;
    size_t event_capacity;
    int64_t timer_ns;      // monotonic deadline libcurl asked for, -1: none
    cp_loop_counts counts;
    char *ca_file;
    char *user_agent;
    bool allows_plain_http;
    long max_idle_seconds;
    long max_connections;
};

struct cp_transfer {
    cp_loop *loop;
    CURL *easy;
    struct curl_slist *headers;
    cp_body_hook hook;
    void *context;
    char *body;
    size_t count;
    size_t capacity;       // without padding
    size_t granted;        // bytes the hook allowed
    size_t limit;
    long port;             // the connection's own
    long sent_before;      // request bytes at the start of this attempt
    uint32_t attempts;
    uint32_t silent_repeats;
    bool is_repeatable;
    bool is_added;
    bool has_body_started;
    bool is_paused;
    bool is_too_large;
    bool is_refused;
    bool is_out_of_memory;
    char error[CURL_ERROR_SIZE];
};

/// Gives a new transfer the loop's socket callbacks.
CURLcode cp_loop_adopt(cp_loop *loop, CURL *easy);

/// Says that the connection with this port of ours is in use. libcurl announces a reused connection only when it
/// has to wait for it; a transfer that pauses before that would leave its connection looking idle.
void cp_loop_hold(cp_loop *loop, long port);
