// JSON read by simdjson's DOM, behind a C interface.
//
// A document is parsed completely and strictly (RFC 8259, UTF-8, at most 1,024 levels) before anything of it
// is read. Text handed out points into the document and lives until it is closed. No C++ exception leaves.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A parsed document. Use on one thread at a time.
typedef struct csimdjson_document csimdjson_document;

enum {
    /// Up to this length a thread's own parser is used and kept; a longer document takes one of the seats,
    /// waiting while both are taken, and its parser is thrown away.
    CSIMDJSON_SMALL_BYTES = 1 << 20,
    CSIMDJSON_SEATS = 2,
    CSIMDJSON_MOST_BYTES = 64 << 20,
    /// Bytes that must be readable after the end for parsing without a copy.
    CSIMDJSON_PADDING = 64,
    /// Levels of arrays and objects; an empty one at the bottom is not counted.
    CSIMDJSON_MOST_LEVELS = 1024,
};

typedef enum {
    CSIMDJSON_OK = 0,
    /// Nothing but white space.
    CSIMDJSON_EMPTY,
    CSIMDJSON_NOT_UTF8,
    /// A string without its end: what a cut answer mostly looks like.
    CSIMDJSON_UNCLOSED,
    /// A raw control character inside a string.
    CSIMDJSON_CONTROL,
    CSIMDJSON_STRUCTURE,
    CSIMDJSON_TOO_DEEP,
    /// Lawful by its grammar, but holds a lone surrogate escape or a number beyond 64 bits or a double's range.
    CSIMDJSON_UNREADABLE,
    CSIMDJSON_TOO_LARGE,
    CSIMDJSON_NO_MEMORY,
} csimdjson_status;

typedef enum {
    CSIMDJSON_ABSENT = 0,
    CSIMDJSON_NULL,
    CSIMDJSON_FALSE,
    CSIMDJSON_TRUE,
    CSIMDJSON_SIGNED,
    CSIMDJSON_UNSIGNED,
    CSIMDJSON_DOUBLE,
    CSIMDJSON_STRING,
    CSIMDJSON_ARRAY,
    CSIMDJSON_OBJECT,
    /// The name stands more than once in an object on the way.
    CSIMDJSON_REPEATED,
} csimdjson_kind;

/// One value. `text` and `count`: a string's bytes. `count` alone: children of an array, members of an object.
typedef struct {
    int32_t kind;
    size_t count;
    const char *text;
    int64_t integer;    // also the bits of an unsigned one
    double number;
} csimdjson_value;

/// Parses. `padding`: bytes readable after the end; with fewer than CSIMDJSON_PADDING the input is copied.
/// `mend`: when the document is lawful but unreadable, read a private copy in which each lone surrogate
/// escape stands as U+FFFD and each number that may not fit as 0; `*mended` is then 1.
/// A status (csimdjson_status); only with CSIMDJSON_OK is `*document` set, and closed by the caller.
int32_t csimdjson_open(
    const uint8_t *bytes, size_t count, size_t padding, int mend, int *mended, csimdjson_document **document);

void csimdjson_close(csimdjson_document *document);

/// Reads wanted fields of the outermost object in one pass, noticing repeats. `names`: each ends with a NUL.
/// `values` has one place for each name, in that order. 0 when the outermost value is no object.
int csimdjson_fields(
    const csimdjson_document *document, const uint8_t *names, size_t names_count, csimdjson_value *values,
    size_t values_count);

/// Follows member names from the outermost value. `path`: names, each ends with a NUL.
void csimdjson_find(
    const csimdjson_document *document, const uint8_t *path, size_t path_count, csimdjson_value *value);

/// 1 when an array stands at `path` and one of its elements is an object whose member `name` is the string `text`.
int csimdjson_lists(
    const csimdjson_document *document, const uint8_t *path, size_t path_count, const uint8_t *name,
    size_t name_count, const uint8_t *text, size_t text_count);

/// The whole tree in document order, members as name then value. 0: more than `most_levels` deep, or no memory.
int csimdjson_tree(
    csimdjson_document *document, size_t most_levels, const csimdjson_value **values, size_t *count);

/// 1 when a string of a valid document holds the escape of U+0000.
int csimdjson_has_nul_escape(const uint8_t *bytes, size_t count);

/// The judgement of the grammar scan alone: CSIMDJSON_OK, CSIMDJSON_STRUCTURE or CSIMDJSON_TOO_DEEP. It does not
/// look at the encoding.
int32_t csimdjson_scan(const uint8_t *bytes, size_t count);

/// The library's version.
const char *csimdjson_version(void);

/// Bytes the calling thread's kept parser can take without growing; for tests.
size_t csimdjson_kept_capacity(void);

#ifdef __cplusplus
}
#endif
