// Parsers, their seats, and the reading of parsed documents.

#include "CSimdjson.h"
#include "Grammar.h"

#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string_view>
#include <vector>

#include <simdjson.h>

using namespace simdjson;

static_assert(CSIMDJSON_PADDING >= SIMDJSON_PADDING, "the library reads further than promised");

struct csimdjson_document {
    /// A first allocation fixes the depth, which later ones keep; the library refuses at its limit, not beyond.
    csimdjson_document() {
        if (parser.allocate(SIMDJSON_PADDING, CSIMDJSON_MOST_LEVELS + 1) != SUCCESS) throw std::bad_alloc();
    }

    dom::parser parser { CSIMDJSON_MOST_BYTES };
    dom::element root;
    std::vector<csimdjson_value> tree;
    bool is_kept = false;       // the thread's own
    bool is_open = false;
    bool has_seat = false;
};

namespace {

/// Bounds how many large documents are parsed at once. A holder only computes, so the wait is bounded too.
class Seats {
    std::mutex lock;
    std::condition_variable freed;
    int left = CSIMDJSON_SEATS;

public:
    void take() {
        std::unique_lock<std::mutex> held(lock);
        freed.wait(held, [this] { return left > 0; });
        left--;
    }
    void give() {
        {
            std::lock_guard<std::mutex> held(lock);
            left++;
        }
        freed.notify_one();
    }
};

Seats &seats() {
    // Never destroyed: a thread may still hold a seat when the process ends.
    static Seats *const shared = new Seats;
    return *shared;
}

thread_local std::unique_ptr<csimdjson_document> kept;

/// The thread's own parser when the document is small and the parser is free, else a new one.
csimdjson_document *acquire(size_t count) {
    if (count <= CSIMDJSON_SMALL_BYTES) {
        if (kept == nullptr) {
            kept.reset(new csimdjson_document);
            kept->is_kept = true;
        }
        if (!kept->is_open) {
            kept->is_open = true;
            return kept.get();
        }
        return new csimdjson_document;
    }
    seats().take();
    try {
        auto *document = new csimdjson_document;
        document->has_seat = true;
        return document;
    } catch (...) {
        seats().give();
        throw;
    }
}

int32_t status_of(error_code error) {
    switch (error) {
    case SUCCESS: return CSIMDJSON_OK;
    case CAPACITY: return CSIMDJSON_TOO_LARGE;
    case MEMALLOC: return CSIMDJSON_NO_MEMORY;
    case DEPTH_ERROR: return CSIMDJSON_TOO_DEEP;
    case UTF8_ERROR: return CSIMDJSON_NOT_UTF8;
    case EMPTY: return CSIMDJSON_EMPTY;
    case UNESCAPED_CHARS: return CSIMDJSON_CONTROL;
    case UNCLOSED_STRING: return CSIMDJSON_UNCLOSED;
    default: return CSIMDJSON_STRUCTURE;
    }
}

/// Parses into `document`; the state behind it is as told for `csimdjson_open`.
int32_t parse(
    csimdjson_document &document, const uint8_t *bytes, size_t count, size_t padding, bool mend, int *mended) {
    bool needs_copy = padding < CSIMDJSON_PADDING;
    error_code error = document.parser.parse(bytes, count, needs_copy).get(document.root);
    if (error != STRING_ERROR && error != NUMBER_ERROR) return status_of(error);

    // The encoding of the whole was checked before these two arise; the grammar was not.
    std::unique_ptr<uint8_t[]> copy;
    if (mend) {
        copy.reset(new uint8_t[count + CSIMDJSON_PADDING]());
        std::memcpy(copy.get(), bytes, count);
    }
    switch (scan_grammar(bytes, count, copy.get())) {
    case Grammar::unlawful: return CSIMDJSON_STRUCTURE;
    case Grammar::too_deep: return CSIMDJSON_TOO_DEEP;
    case Grammar::lawful: break;
    }
    if (!mend) return CSIMDJSON_UNREADABLE;
    error = document.parser.parse(copy.get(), count, false).get(document.root);
    if (error == STRING_ERROR || error == NUMBER_ERROR) return CSIMDJSON_UNREADABLE;
    *mended = error == SUCCESS;
    return status_of(error);
}

csimdjson_value describe(dom::element element) {
    csimdjson_value value {};
    switch (element.type()) {
    case dom::element_type::NULL_VALUE: value.kind = CSIMDJSON_NULL; break;
    case dom::element_type::BOOL: {
        bool is_true = false;
        (void)element.get(is_true);
        value.kind = is_true ? CSIMDJSON_TRUE : CSIMDJSON_FALSE;
        break;
    }
    case dom::element_type::INT64:
        value.kind = CSIMDJSON_SIGNED;
        (void)element.get(value.integer);
        break;
    case dom::element_type::UINT64: {
        uint64_t bits = 0;
        (void)element.get(bits);
        value.kind = CSIMDJSON_UNSIGNED;
        value.integer = int64_t(bits);
        break;
    }
    case dom::element_type::DOUBLE:
        value.kind = CSIMDJSON_DOUBLE;
        (void)element.get(value.number);
        break;
    case dom::element_type::STRING: {
        std::string_view text;
        (void)element.get(text);
        value.kind = CSIMDJSON_STRING;
        value.text = text.data();
        value.count = text.size();
        break;
    }
    case dom::element_type::ARRAY: value.kind = CSIMDJSON_ARRAY; break;
    case dom::element_type::OBJECT: value.kind = CSIMDJSON_OBJECT; break;
    }
    return value;
}

/// Takes the next NUL-terminated name off `names`; false at the end.
bool next_name(const char *&names, const char *end, std::string_view &name) {
    if (names == end) return false;
    const auto *stop = static_cast<const char *>(std::memchr(names, 0, size_t(end - names)));
    if (stop == nullptr) stop = end;
    name = std::string_view(names, size_t(stop - names));
    names = stop == end ? end : stop + 1;
    return true;
}

/// How often `name` stands in `object`; `element` is the last of them.
int count_members(dom::object object, std::string_view name, dom::element &element) {
    int found = 0;
    for (auto field : object) {
        if (field.key == name) {
            element = field.value;
            found++;
        }
    }
    return found;
}

enum class Found { nothing, one, several };

/// What stands at the end of `path`; `element` is it when there is just one.
Found follow(dom::element from, const uint8_t *path, size_t path_count, dom::element &element) {
    const char *names = reinterpret_cast<const char *>(path);
    const char *end = names + path_count;
    std::string_view name;
    element = from;
    while (next_name(names, end, name)) {
        dom::object object;
        if (element.get(object) != SUCCESS) return Found::nothing;
        int found = count_members(object, name, element);
        if (found == 0) return Found::nothing;
        if (found > 1) return Found::several;
    }
    return Found::one;
}

std::string_view view(const uint8_t *bytes, size_t count) {
    return std::string_view(reinterpret_cast<const char *>(bytes), count);
}

/// Whether an object with the member stands in the array at the path. Looks into every member of a repeated
/// name: a warning must not hide behind a repeat. Recurses once per name of the path.
bool lists(
    dom::element from, const char *names, const char *end, std::string_view member, std::string_view text) {
    std::string_view name;
    if (next_name(names, end, name)) {
        dom::object object;
        if (from.get(object) != SUCCESS) return false;
        for (auto field : object) {
            if (field.key == name && lists(field.value, names, end, member, text)) return true;
        }
        return false;
    }
    dom::array array;
    if (from.get(array) != SUCCESS) return false;
    for (dom::element entry : array) {
        dom::object object;
        if (entry.get(object) != SUCCESS) continue;
        for (auto field : object) {
            std::string_view found;
            if (field.key == member && field.value.get(found) == SUCCESS && found == text) return true;
        }
    }
    return false;
}

/// Appends the tree in document order, with a stack of our own: input decides how deep it goes.
bool flatten(dom::element root, size_t most_levels, std::vector<csimdjson_value> &out) {
    struct Level {
        bool is_object;
        size_t container;   // its place in `out`
        dom::array::iterator element, elements_end;
        dom::object::iterator member, members_end;
    };
    std::vector<Level> levels;
    auto enter = [&](dom::element element) {
        out.push_back(describe(element));
        Level level {};
        level.container = out.size() - 1;
        dom::array array;
        dom::object object;
        if (element.get(array) == SUCCESS) {
            level.element = array.begin();
            level.elements_end = array.end();
        } else if (element.get(object) == SUCCESS) {
            level.is_object = true;
            level.member = object.begin();
            level.members_end = object.end();
        } else {
            return true;
        }
        if (levels.size() == most_levels) return false;
        levels.push_back(level);
        return true;
    };
    if (!enter(root)) return false;
    while (!levels.empty()) {
        Level &level = levels.back();
        bool is_done = level.is_object ? level.member == level.members_end : level.element == level.elements_end;
        if (is_done) {
            levels.pop_back();
            continue;
        }
        out[level.container].count++;
        dom::element next;
        if (level.is_object) {
            std::string_view key = level.member.key();
            csimdjson_value name {};
            name.kind = CSIMDJSON_STRING;
            name.text = key.data();
            name.count = key.size();
            out.push_back(name);
            next = level.member.value();
            ++level.member;
        } else {
            next = *level.element;
            ++level.element;
        }
        if (!enter(next)) return false;     // `level` may be gone after this
    }
    return true;
}

}  // namespace

int32_t csimdjson_open(
    const uint8_t *bytes, size_t count, size_t padding, int mend, int *mended, csimdjson_document **document) {
    *mended = 0;
    if (count > CSIMDJSON_MOST_BYTES) return CSIMDJSON_TOO_LARGE;
    if (count == 0) return CSIMDJSON_EMPTY;
    csimdjson_document *made = nullptr;
    int32_t status = CSIMDJSON_NO_MEMORY;
    try {
        made = acquire(count);
        status = parse(*made, bytes, count, padding, mend != 0, mended);
    } catch (...) {
        status = CSIMDJSON_NO_MEMORY;
    }
    if (status == CSIMDJSON_OK) *document = made;
    else if (made != nullptr) csimdjson_close(made);
    return status;
}

void csimdjson_close(csimdjson_document *document) {
    document->tree.clear();
    if (document->is_kept) {
        if (document->tree.capacity() > 4096) document->tree.shrink_to_fit();
        document->is_open = false;
        return;
    }
    bool has_seat = document->has_seat;
    delete document;
    if (has_seat) seats().give();
}

int csimdjson_fields(
    const csimdjson_document *document, const uint8_t *names, size_t names_count, csimdjson_value *values,
    size_t values_count) {
    dom::object object;
    if (document->root.get(object) != SUCCESS) return 0;
    enum { most_names = 16 };
    std::string_view wanted[most_names];
    size_t count = 0;
    const char *cursor = reinterpret_cast<const char *>(names);
    const char *end = cursor + names_count;
    while (count < most_names && count < values_count && next_name(cursor, end, wanted[count])) count++;
    for (size_t index = 0; index < values_count; index++) values[index] = csimdjson_value {};
    for (auto field : object) {
        for (size_t index = 0; index < count; index++) {
            if (field.key != wanted[index]) continue;
            if (values[index].kind == CSIMDJSON_ABSENT) {
                values[index] = describe(field.value);
            } else {
                values[index] = csimdjson_value {};
                values[index].kind = CSIMDJSON_REPEATED;
            }
        }
    }
    return 1;
}

void csimdjson_find(
    const csimdjson_document *document, const uint8_t *path, size_t path_count, csimdjson_value *value) {
    dom::element element;
    *value = csimdjson_value {};
    switch (follow(document->root, path, path_count, element)) {
    case Found::nothing: value->kind = CSIMDJSON_ABSENT; break;
    case Found::several: value->kind = CSIMDJSON_REPEATED; break;
    case Found::one: *value = describe(element); break;
    }
}

int csimdjson_lists(
    const csimdjson_document *document, const uint8_t *path, size_t path_count, const uint8_t *name,
    size_t name_count, const uint8_t *text, size_t text_count) {
    const char *names = reinterpret_cast<const char *>(path);
    return lists(document->root, names, names + path_count, view(name, name_count), view(text, text_count));
}

int csimdjson_tree(
    csimdjson_document *document, size_t most_levels, const csimdjson_value **values, size_t *count) {
    try {
        document->tree.clear();
        if (!flatten(document->root, most_levels, document->tree)) return 0;
    } catch (...) {
        return 0;
    }
    *values = document->tree.data();
    *count = document->tree.size();
    return 1;
}

int csimdjson_has_nul_escape(const uint8_t *bytes, size_t count) {
    static const char escape[] = { '\\', 'u', '0', '0', '0', '0' };
    const uint8_t *at = bytes;
    const uint8_t *end = bytes + count;
    while (at < end) {
        const auto *found = static_cast<const uint8_t *>(memmem(at, size_t(end - at), escape, sizeof escape));
        if (found == nullptr) return 0;
        // An even run of backslashes before this one leaves it its meaning; an odd one takes it away.
        size_t before = 0;
        while (found - before > bytes && found[-1 - ptrdiff_t(before)] == '\\') before++;
        if (before % 2 == 0) return 1;
        at = found + sizeof escape;
    }
    return 0;
}

int32_t csimdjson_scan(const uint8_t *bytes, size_t count) {
    switch (scan_grammar(bytes, count, nullptr)) {
    case Grammar::lawful: return CSIMDJSON_OK;
    case Grammar::too_deep: return CSIMDJSON_TOO_DEEP;
    default: return CSIMDJSON_STRUCTURE;
    }
}

const char *csimdjson_version(void) {
    return SIMDJSON_STRINGIFY(SIMDJSON_VERSION);
}

size_t csimdjson_kept_capacity(void) {
    return kept == nullptr ? 0 : kept->parser.capacity();
}
