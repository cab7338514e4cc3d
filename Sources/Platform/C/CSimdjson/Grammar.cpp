// A scan by RFC 8259's grammar, for documents that the parser refuses though they may be lawful:
// lone surrogate escapes, integers beyond 64 bits, doubles beyond range. Iterative, one pass.

#include "Grammar.h"
#include "CSimdjson.h"

#include <cstring>

namespace {

struct Scan {
    const uint8_t *at;
    const uint8_t *const end;
    const uint8_t *const start;
    uint8_t *const copy;

    bool peek(uint8_t byte) const { return at < end && *at == byte; }
    bool is_digit() const { return at < end && *at >= '0' && *at <= '9'; }

    void skip_space() {
        while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    }

    bool literal(const char *word, size_t length) {
        if (size_t(end - at) < length || std::memcmp(at, word, length) != 0) return false;
        at += length;
        return true;
    }

    bool digits() {
        if (!is_digit()) return false;
        while (is_digit()) at++;
        return true;
    }

    bool number() {
        const uint8_t *first = at;
        bool has_exponent = false;
        if (peek('-')) at++;
        if (peek('0')) at++;
        else if (!digits()) return false;
        if (peek('.')) {
            at++;
            if (!digits()) return false;
        }
        if (peek('e') || peek('E')) {
            has_exponent = true;
            at++;
            if (peek('+') || peek('-')) at++;
            if (!digits()) return false;
        }
        // Every integer of up to 18 digits fits, and every double of that length without an exponent.
        if (copy != nullptr && (has_exponent || at - first > 18)) {
            std::memset(copy + (first - start), ' ', size_t(at - first));
            copy[first - start] = '0';
        }
        return true;
    }

    /// Four hexadecimal digits; negative when they are not.
    int32_t unit() {
        if (end - at < 4) return -1;
        int32_t value = 0;
        for (int index = 0; index < 4; index++, at++) {
            uint8_t byte = *at, lower = byte | 0x20;
            if (byte >= '0' && byte <= '9') value = value << 4 | (byte - '0');
            else if (lower >= 'a' && lower <= 'f') value = value << 4 | (lower - 'a' + 10);
            else return -1;
        }
        return value;
    }

    /// After the backslash and the u; `escape` points at the backslash.
    bool unicode_escape(const uint8_t *escape) {
        int32_t first = unit();
        if (first < 0) return false;
        if (first < 0xD800 || first > 0xDFFF) return true;
        if (first < 0xDC00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
            const uint8_t *before = at;
            at += 2;
            int32_t second = unit();
            if (second < 0) return false;
            if (second >= 0xDC00 && second <= 0xDFFF) return true;
            at = before;    // not the other half: it is read again as an escape of its own
        }
        if (copy != nullptr) std::memcpy(copy + (escape - start), "\\ufffd", 6);
        return true;
    }

    /// After the opening quote.
    bool string() {
        while (at < end) {
            uint8_t byte = *at++;
            if (byte == '"') return true;
            if (byte < 0x20) return false;
            if (byte != '\\') continue;
            const uint8_t *escape = at - 1;
            if (at == end) return false;
            byte = *at++;
            if (byte == 'u') {
                if (!unicode_escape(escape)) return false;
            } else if (byte == 0 || std::strchr("\"\\/bfnrt", byte) == nullptr) {
                return false;
            }
        }
        return false;
    }

    bool scalar() {
        if (at == end) return false;
        switch (*at) {
        case '"': at++; return string();
        case 't': return literal("true", 4);
        case 'f': return literal("false", 5);
        case 'n': return literal("null", 4);
        default: return number();
        }
    }

    bool name() {
        skip_space();
        if (!peek('"')) return false;
        at++;
        if (!string()) return false;
        skip_space();
        if (!peek(':')) return false;
        at++;
        return true;
    }

    Grammar document() {
        uint8_t closers[CSIMDJSON_MOST_LEVELS];
        size_t depth = 0;
        while (true) {
            skip_space();
            if (peek('{') || peek('[')) {
                bool is_object = *at == '{';
                if (depth == CSIMDJSON_MOST_LEVELS) return Grammar::too_deep;
                closers[depth++] = is_object ? '}' : ']';
                at++;
                skip_space();
                if (!peek(closers[depth - 1])) {
                    if (is_object && !name()) return Grammar::unlawful;
                    continue;   // the first element's value
                }
            } else if (!scalar()) {
                return Grammar::unlawful;
            }
            // A value has ended, or the container just opened is empty: close, or go on to the next value.
            skip_space();
            while (depth > 0 && peek(closers[depth - 1])) {
                depth--;
                at++;
                skip_space();
            }
            if (depth == 0) return at == end ? Grammar::lawful : Grammar::unlawful;
            if (!peek(',')) return Grammar::unlawful;
            at++;
            if (closers[depth - 1] == '}' && !name()) return Grammar::unlawful;
        }
    }
};

}  // namespace

Grammar scan_grammar(const uint8_t *bytes, size_t count, uint8_t *copy) {
    Scan scan { bytes, bytes + count, bytes, copy };
    return scan.document();
}
