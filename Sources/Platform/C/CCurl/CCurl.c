// The parts of libcurl that need no loop: start, version, URLs, dates, address lists.
#define _GNU_SOURCE
#include "CCurl.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int cp_global_init(void) {
    signal(SIGPIPE, SIG_IGN);
    return (int)curl_global_init(CURL_GLOBAL_DEFAULT);
}

const char *cp_version(void) {
    return curl_version();
}

bool cp_library_is_fit(void) {
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    return info->ssl_version && !strncmp(info->ssl_version, "OpenSSL/", 8) && (info->features & CURL_VERSION_THREADSAFE);
}

bool cp_ca_file_is_good(const char *path) {
    enum { READ = 256 * 1024 };
    static const char marker[] = "-----BEGIN CERTIFICATE-----";
    FILE *file = fopen(path, "re");
    if (!file) return false;
    char *start = malloc(READ);
    size_t count = start ? fread(start, 1, READ, file) : 0;
    bool is_good = count > 0 && memmem(start, count, marker, sizeof marker - 1) != NULL;
    free(start);
    fclose(file);
    return is_good;
}

/// The part's text for the caller to curl_free, or NULL when the URL has none.
static char *url_part(CURLU *url, CURLUPart part, unsigned flags) {
    char *text = NULL;
    return curl_url_get(url, part, &text, flags) ? NULL : text;
}

static bool has_part(CURLU *url, CURLUPart part) {
    char *text = url_part(url, part, 0);
    curl_free(text);
    return text != NULL;
}

static bool is_address(const char *host) {
    struct in_addr ignored;
    return host[0] == '[' || inet_pton(AF_INET, host, &ignored) == 1;
}

bool cp_url_parse(const char *text, cp_url *out) {
    memset(out, 0, sizeof *out);
    const char *authority = strstr(text, "://");  // libcurl mends a third slash; we do not
    if (!authority || authority[3] == '/') return false;
    CURLU *url = curl_url();
    if (!url) return false;
    bool is_good = false;
    char *scheme = NULL, *port = NULL;
    if (!curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER) && !has_part(url, CURLUPART_USER)
        && !has_part(url, CURLUPART_FRAGMENT)) {
        scheme = url_part(url, CURLUPART_SCHEME, 0);
        port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
        out->host = url_part(url, CURLUPART_HOST, 0);
        if (scheme && port && out->host) {
            out->port = strtol(port, NULL, 10);
            out->is_plain = !strcasecmp(scheme, "http");
            out->is_literal = is_address(out->host);
            is_good = out->is_plain || !strcasecmp(scheme, "https");
        }
    }
    curl_free(scheme);
    curl_free(port);
    curl_url_cleanup(url);
    if (!is_good) cp_url_free(out);
    return is_good;
}

void cp_url_free(cp_url *url) {
    curl_free(url->host);
    url->host = NULL;
}

int64_t cp_http_date(const char *text) {
    return (int64_t)curl_getdate(text, NULL);
}

struct curl_slist *cp_resolve_list(const char *entry) {
    return curl_slist_append(NULL, entry);
}

void cp_resolve_list_free(struct curl_slist *list) {
    curl_slist_free_all(list);
}
