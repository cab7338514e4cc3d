// One request and its answer: every option libcurl is given stands here, with the sink that takes the body.
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/// Room for one more piece of body, or the reason why not.
static int make_room(cp_transfer *transfer, size_t total) {
    if (!transfer->has_body_started || total > transfer->granted) {
        size_t granted = 0;
        int verdict = transfer->hook(transfer->context, total, &granted);
        if (verdict != CP_BODY_GO) return verdict;
        if (granted < total) return CP_BODY_REFUSE;
        transfer->granted = granted;
        transfer->has_body_started = true;
    }
    if (total <= transfer->capacity && transfer->body) return CP_BODY_GO;
    char *grown = realloc(transfer->body, transfer->granted + CP_BODY_PADDING);
    if (!grown) {
        transfer->is_out_of_memory = true;
        return CP_BODY_REFUSE;
    }
    transfer->body = grown;
    transfer->capacity = transfer->granted;
    return CP_BODY_GO;
}

static size_t on_body(char *data, size_t size, size_t items, void *user) {
    cp_transfer *transfer = user;
    size_t count = size * items;
    if (count > transfer->limit - transfer->count) {
        transfer->is_too_large = true;
        return 0;
    }
    switch (make_room(transfer, transfer->count + count)) {
    case CP_BODY_GO: break;
    case CP_BODY_WAIT:
        transfer->is_paused = true;
        cp_loop_hold(transfer->loop, transfer->port);
        return CURL_WRITEFUNC_PAUSE;  // libcurl keeps this piece and delivers it again
    default:
        transfer->is_refused = !transfer->is_out_of_memory;
        return 0;
    }
    memcpy(transfer->body + transfer->count, data, count);
    transfer->count += count;
    return count;
}

/// Runs each time a request is about to be written on a connection that is ready: the moment at which libcurl's
/// silent repeat (a reused connection died before the first answer byte) can be counted, and refused.
static int on_ready(void *user, char *peer, char *own, int peer_port, int own_port) {
    (void)peer, (void)own, (void)peer_port;
    cp_transfer *transfer = user;
    transfer->port = own_port;
    long sent = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
    bool is_first = transfer->attempts == 0;
    bool was_sent = sent > transfer->sent_before;
    transfer->attempts += 1;
    transfer->sent_before = sent;
    if (is_first) {
        transfer->loop->counts.connecting -= 1;
    } else if (was_sent) {
        if (!transfer->is_repeatable) return CURL_PREREQFUNC_ABORT;
        transfer->silent_repeats += 1;
    }
    return CURL_PREREQFUNC_OK;
}

static CURLcode set_method(CURL *easy, const cp_request *request) {
    if (!request->has_body) {
        CURLcode code = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        if (!code && strcmp(request->method, "GET")) {
            code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
        }
        return code;
    }
    // The size goes first: COPYPOSTFIELDS copies that many bytes.
    CURLcode code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_count);
    if (!code) code = curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body_count ? request->body : "");
    if (!code && strcmp(request->method, "POST")) {
        code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
    return code;
}

static CURLcode set_headers(cp_transfer *transfer, const cp_request *request) {
    static const char *const own[] = {
        "Accept-Encoding: identity",  // inflating is a way to be flooded; an encoded answer is refused
        "Expect:",                    // no waiting for 100-continue
    };
    size_t total = request->header_count + sizeof own / sizeof *own;
    for (size_t i = 0; i < total; i += 1) {
        const char *line = i < request->header_count ? request->header_lines[i] : own[i - request->header_count];
        struct curl_slist *longer = curl_slist_append(transfer->headers, line);
        if (!longer) return CURLE_OUT_OF_MEMORY;
        transfer->headers = longer;
    }
    return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
}

#define SET(option, value) \
    do { \
        CURLcode code_ = curl_easy_setopt(easy, option, value); \
        if (code_) return code_; \
    } while (0)

/// Left alone on purpose: LOW_SPEED_* (kills a report that is made lazily; our sweep does it), PIPEWAIT,
/// ACCEPT_ENCODING, cookies, HSTS, alt-svc, DoH, and VERBOSE, which prints secrets.
static CURLcode configure(cp_transfer *transfer, const cp_request *request) {
    CURL *easy = transfer->easy;
    cp_loop *loop = transfer->loop;
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->error);
    SET(CURLOPT_URL, request->url);

    // The way there. 1.1: this version may report a cut HTTP/2 body as whole.
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROTOCOLS_STR, loop->allows_plain_http ? "http,https" : "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);  // a 3xx is an answer
    SET(CURLOPT_PROXY, "");           // else the proxy variables of the environment are obeyed
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L);      // else removing a transfer waits for its name look-up
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    if (request->resolve) SET(CURLOPT_RESOLVE, request->resolve);

    // TLS. A CA path would be parsed anew for each connection (20 ms, 0.9 MB); a file is cached.
    SET(CURLOPT_CAINFO, loop->ca_file);
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);

    // Reuse: below the server's idle limit, and no connection outlives a change of addresses for long.
    SET(CURLOPT_MAXAGE_CONN, loop->max_idle_seconds);
    SET(CURLOPT_MAXLIFETIME_CONN, 600L);
    SET(CURLOPT_FRESH_CONNECT, request->fresh_connection || !request->is_repeatable ? 1L : 0L);

    // Bounds.
    SET(CURLOPT_CONNECTTIMEOUT_MS, request->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, request->whole_timeout_ms);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->max_body_bytes);  // by Content-Length; the sink counts too
    SET(CURLOPT_UPLOAD_BUFFERSIZE, 16384L);

    if (loop->user_agent) SET(CURLOPT_USERAGENT, loop->user_agent);
    SET(CURLOPT_PREREQFUNCTION, on_ready);
    SET(CURLOPT_PREREQDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transfer);
    CURLcode code = set_method(easy, request);
    if (!code) code = set_headers(transfer, request);
    if (!code) code = cp_loop_adopt(loop, easy);
    return code;
}

cp_transfer *cp_transfer_start(cp_loop *loop, const cp_request *request, int *code) {
    *code = CURLE_OUT_OF_MEMORY;
    cp_transfer *transfer = calloc(1, sizeof *transfer);
    if (!transfer) return NULL;
    transfer->loop = loop;
    transfer->hook = request->hook;
    transfer->context = request->context;
    transfer->limit = (size_t)request->max_body_bytes;
    transfer->is_repeatable = request->is_repeatable;
    transfer->easy = curl_easy_init();
    if (transfer->easy) *code = (int)configure(transfer, request);
    if (!*code) {
        CURLMcode added = curl_multi_add_handle(loop->multi, transfer->easy);
        if (added) *code = 1000 + (int)added;
    }
    if (*code) {
        cp_transfer_free(transfer);
        return NULL;
    }
    transfer->is_added = true;
    loop->counts.connecting += 1;
    return transfer;
}

void cp_transfer_free(cp_transfer *transfer) {
    if (transfer->is_added) {
        curl_multi_remove_handle(transfer->loop->multi, transfer->easy);
        if (transfer->attempts == 0) transfer->loop->counts.connecting -= 1;
    }
    if (transfer->easy) curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    free(transfer->body);
    free(transfer);
}

void *cp_transfer_context(const cp_transfer *transfer) {
    return transfer->context;
}

cp_facts cp_transfer_facts(cp_transfer *transfer) {
    curl_off_t length = -1;
    cp_facts facts = {
        .body_bytes = transfer->count,
        .silent_repeats = transfer->silent_repeats,
        .is_paused = transfer->is_paused,
        .is_connected = transfer->attempts > 0,
        .is_too_large = transfer->is_too_large,
        .is_refused = transfer->is_refused,
        .is_out_of_memory = transfer->is_out_of_memory,
    };
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &facts.status);
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &facts.request_bytes);
    curl_easy_getinfo(transfer->easy, CURLINFO_HEADER_SIZE, &facts.header_bytes);
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &facts.os_error);
    curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    facts.content_length = length;
    return facts;
}

int cp_transfer_resume(cp_transfer *transfer) {
    // Before the call: it delivers the kept piece at once, which may pause again.
    transfer->is_paused = false;
    return (int)curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
}

const char *cp_transfer_error(const cp_transfer *transfer) {
    return transfer->error;
}

struct curl_header *cp_transfer_next_header(cp_transfer *transfer, struct curl_header *previous) {
    return curl_easy_nextheader(transfer->easy, CURLH_HEADER, -1, previous);
}

size_t cp_transfer_header(cp_transfer *transfer, const char *name, const char **value) {
    struct curl_header *header = NULL;
    *value = NULL;
    if (curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return 0;
    size_t amount = header->amount;
    if (amount > 1 && curl_easy_header(transfer->easy, name, amount - 1, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return 0;
    }
    *value = header->value;
    return amount;
}

void *cp_transfer_take_body(cp_transfer *transfer, size_t *count) {
    char *body = transfer->body;
    *count = transfer->count;
    // A chunked body may have grown to twice its size; an empty one has no buffer yet.
    if (!body || transfer->capacity > transfer->count) {
        char *fitted = realloc(body, transfer->count + CP_BODY_PADDING);
        if (fitted) body = fitted;
    }
    transfer->body = NULL;
    if (body) memset(body + transfer->count, 0, CP_BODY_PADDING);
    return body;
}

void cp_body_free(void *body) {
    free(body);
}
