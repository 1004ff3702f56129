#include "common/text/utf8.h"

#include "common/base/check.h"
#include "common/base/err.h"

#include <string.h>
#include <utf8proc.h>

/* Length by the first byte, and the bounds of the second; 0: no character begins like this. */
static size_t lead(unsigned char c, unsigned char *ret_least, unsigned char *ret_most)
{
    *ret_least = 0x80;
    *ret_most = 0xBF;
    if (c < 0x80)
        return 1;
    if (c >= 0xC2 && c < 0xE0)
        return 2;
    if (c >= 0xE0 && c < 0xF0) {
        *ret_least = c == 0xE0 ? 0xA0 : 0x80;
        *ret_most = c == 0xED ? 0x9F : 0xBF;
        return 3;
    }
    if (c >= 0xF0 && c < 0xF5) {
        *ret_least = c == 0xF0 ? 0x90 : 0x80;
        *ret_most = c == 0xF4 ? 0x8F : 0xBF;
        return 4;
    }
    return 0;
}

enum pl_utf8_kind pl_utf8_step(const char *text, size_t len, size_t *ret_len)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned char least, most;
    const size_t n = lead(p[0], &least, &most);

    if (n == 0) {
        *ret_len = 1;
        return PL_UTF8_BAD;
    }
    for (size_t i = 1; i < n; i++) {
        if (i == len) {
            *ret_len = i;
            return PL_UTF8_SHORT;
        }
        if (p[i] < least || p[i] > most) {
            *ret_len = i;
            return PL_UTF8_BAD;
        }
        least = 0x80;
        most = 0xBF;
    }
    *ret_len = n;
    return PL_UTF8_GOOD;
}

uint32_t pl_utf8_decode(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    static const unsigned char mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t cp;

    PL_ASSERT(n >= 1 && n <= 4);
    cp = p[0] & mask[n];
    for (size_t i = 1; i < n; i++)
        cp = cp << 6 | (p[i] & 0x3F);
    return cp;
}

size_t pl_utf8_put(uint32_t cp, char ret_bytes[4])
{
    const size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const unsigned char mark[5] = {0, 0, 0xC0, 0xE0, 0xF0};

    PL_ASSERT(cp < 0x110000 && (cp < 0xD800 || cp > 0xDFFF));
    for (size_t i = n - 1; i > 0; i--) {
        ret_bytes[i] = (char)(0x80 | (cp & 0x3F));
        cp >>= 6;
    }
    ret_bytes[0] = (char)(cp | mark[n]);
    return n;
}

/* The bytes at the front that are ASCII; eight at a time, since most text is. */
static size_t ascii_len(const char *text, size_t len)
{
    size_t at = 0;
    uint64_t word;

    while (len - at >= sizeof word) {
        memcpy(&word, text + at, sizeof word);
        if (word & 0x8080808080808080u)
            break;
        at += sizeof word;
    }
    while (at < len && (unsigned char)text[at] < 0x80)
        at++;
    return at;
}

/* The bytes at the front that are well formed. */
static size_t good_len(const char *text, size_t len)
{
    size_t at = 0, n;

    while (at < len) {
        at += ascii_len(text + at, len - at);
        if (at == len || pl_utf8_step(text + at, len - at, &n) != PL_UTF8_GOOD)
            break;
        at += n;
    }
    return at;
}

bool pl_utf8_valid(const char *text, size_t len)
{
    return good_len(text, len) == len;
}

int pl_utf8_repair(const char *text, size_t len, struct pl_buf *out)
{
    size_t at = 0;
    int rc = PL_OK;

    while (rc == PL_OK && at < len) {
        size_t n = good_len(text + at, len - at);

        rc = pl_buf_append(out, text + at, n);
        at += n;
        if (rc == PL_OK && at < len) {
            pl_utf8_step(text + at, len - at, &n);
            rc = pl_buf_puts(out, PL_UTF8_REPLACEMENT);
            at += n;
        }
    }
    return rc;
}

bool pl_utf8_is_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0D) || cp == 0x20 || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F ||
           cp == 0x205F || cp == 0x3000;
}

bool pl_utf8_is_word(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default: /* the joiners, and the circled letters, which are Alphabetic though symbols */
        return cp == 0x200C || cp == 0x200D || (cp >= 0x24B6 && cp <= 0x24E9) ||
               (cp >= 0x1F130 && cp <= 0x1F149) || (cp >= 0x1F150 && cp <= 0x1F169) ||
               (cp >= 0x1F170 && cp <= 0x1F189);
    }
}

uint32_t pl_utf8_before(const char *text, size_t at, size_t *ret_start)
{
    size_t start = at;

    PL_ASSERT(at >= 1);
    do
        start--;
    while (start > 0 && ((unsigned char)text[start] & 0xC0) == 0x80);
    *ret_start = start;
    return pl_utf8_decode(text + start, at - start);
}
