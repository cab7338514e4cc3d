// What Swift sees of libcurl: one event loop (multi handle, epoll, socket table) and the transfers in it.
//
// libcurl's setters are variadic macros that Swift cannot call, and its callbacks run once per chunk or per
// socket event; both stay in C. Policy (when to start, pause, give up, how to read the outcome) is Swift's.
// Everything here belongs to one thread, the loop's, except where a line says otherwise.
#pragma once

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cp_loop cp_loop;
typedef struct cp_transfer cp_transfer;

/// Zero bytes after every body, so that a parser may read past the end (simdjson asks for 64).
#define CP_BODY_PADDING 64

// ---- Library -------------------------------------------------------------------------------------------------

/// Ignores SIGPIPE (OpenSSL writes without MSG_NOSIGNAL) and initialises libcurl. Call before threads start.
int cp_global_init(void);
/// For example "libcurl/7.88.1 OpenSSL/3.0.15". Any thread.
const char *cp_version(void);
/// True when this libcurl can carry TLS over OpenSSL and was built thread-safe. Any thread.
bool cp_library_is_fit(void);

/// True when the file can be read and its first 256 KiB hold a PEM certificate. Any thread.
bool cp_ca_file_is_good(const char *path);

typedef struct {
    char *host;     // brackets of an IPv6 literal included
    long port;
    bool is_plain;  // http:// rather than https://
    bool is_literal;
} cp_url;

/// Takes an absolute http(s) URL apart; false for anything else, and for one that carries credentials or a
/// fragment. `host` is the caller's: cp_url_free. Any thread.
bool cp_url_parse(const char *text, cp_url *out);
void cp_url_free(cp_url *url);

/// Seconds since 1970 of an HTTP date in any of the three lawful forms, -1 when unreadable. Any thread.
int64_t cp_http_date(const char *text);

// ---- Loop ----------------------------------------------------------------------------------------------------

typedef struct {
    int wake_descriptor;         // an eventfd; watched edge-triggered, never read
    long max_connections;        // open connections, in use and idle together
    const char *ca_file;         // copied
    bool allows_plain_http;
    const char *user_agent;      // copied; NULL: none is sent
    long max_idle_seconds;
} cp_loop_settings;

typedef struct {
    uint32_t connecting;   // transfers that have no usable connection yet
    uint32_t idle;         // open connections without a transfer
    uint32_t open;         // sockets open
    uint64_t opened;       // sockets ever opened
    uint64_t severed;      // idle connections given up because something came on them
} cp_loop_counts;

/// NULL when out of memory or descriptors.
cp_loop *cp_loop_create(const cp_loop_settings *settings);
/// Every transfer must have been freed.
void cp_loop_destroy(cp_loop *loop);
/// Waits at most `timeout_ms`, then serves every ready socket and due timer. Returns a CURLMcode, 0 when well.
int cp_loop_turn(cp_loop *loop, int timeout_ms, bool *woken);
/// Lets libcurl run what is due now, without waiting.
int cp_loop_run_due(cp_loop *loop);
/// The next finished transfer and its CURLcode, or NULL.
cp_transfer *cp_loop_next_finished(cp_loop *loop, int *code);
cp_loop_counts cp_loop_read_counts(const cp_loop *loop);

// ---- Transfer ------------------------------------------------------------------------------------------------

enum { CP_BODY_GO = 0, CP_BODY_WAIT = 1, CP_BODY_REFUSE = 2 };

/// Asked before the first body byte and whenever the body outgrows what was granted. `least` is the total
/// needed now; on CP_BODY_GO `*granted` is the total that may be held. CP_BODY_WAIT pauses the transfer until
/// cp_transfer_resume; CP_BODY_REFUSE ends it. Must not call into the loop.
typedef int (*cp_body_hook)(void *context, size_t least, size_t *granted);

typedef struct {
    const char *url;
    const char *method;
    const char *const *header_lines;  // complete lines as libcurl takes them, copied
    size_t header_count;
    const void *body;                 // copied
    size_t body_count;
    bool has_body;
    long connect_timeout_ms;
    long whole_timeout_ms;
    int64_t max_body_bytes;
    bool fresh_connection;
    bool is_repeatable;
    struct curl_slist *resolve;       // kept, not copied: must outlive the transfer; NULL: none
    cp_body_hook hook;
    void *context;
} cp_request;

typedef struct {
    long status;
    long request_bytes;      // sent, over all attempts
    long header_bytes;       // received
    long os_error;
    int64_t content_length;  // -1: none
    size_t body_bytes;       // received into the sink
    uint32_t silent_repeats; // requests that libcurl sent again after sending one in part or whole
    bool is_paused;
    bool is_connected;       // had a usable connection at least once
    bool is_too_large;
    bool is_refused;         // by the hook
    bool is_out_of_memory;
} cp_facts;

/// Makes the transfer and puts it into the loop. NULL with `*code` set (a CURLcode, or 1000 + a CURLMcode).
cp_transfer *cp_transfer_start(cp_loop *loop, const cp_request *request, int *code);
void *cp_transfer_context(const cp_transfer *transfer);
cp_facts cp_transfer_facts(cp_transfer *transfer);
/// Continues a transfer that waited. Returns a CURLcode.
int cp_transfer_resume(cp_transfer *transfer);
/// libcurl's own words about what failed; empty when it has none.
const char *cp_transfer_error(const cp_transfer *transfer);
/// Walks the headers of the last answer: pass NULL first, then what the last call returned.
struct curl_header *cp_transfer_next_header(cp_transfer *transfer, struct curl_header *previous);
/// How often the header came, and its last value (NULL: not at all). Usable from the body hook.
size_t cp_transfer_header(cp_transfer *transfer, const char *name, const char **value);
/// Hands the body over: `*count` bytes and CP_BODY_PADDING zero bytes, NULL when out of memory. Free it with
/// cp_body_free.
void *cp_transfer_take_body(cp_transfer *transfer, size_t *count);
void cp_body_free(void *body);
/// Takes the transfer out of the loop (an unfinished one loses its connection) and frees it. Not from a hook.
void cp_transfer_free(cp_transfer *transfer);

// ---- Addresses -----------------------------------------------------------------------------------------------

/// One CURLOPT_RESOLVE entry, "host:port:address,address". NULL when out of memory.
struct curl_slist *cp_resolve_list(const char *entry);
void cp_resolve_list_free(struct curl_slist *list);
