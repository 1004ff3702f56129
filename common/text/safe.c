#include "common/text/safe.h"

#include "common/base/err.h"
#include "common/text/utf8.h"

bool pl_text_is_unsafe(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x61c || cp == 0x200e || cp == 0x200f ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff;
}

int pl_text_safe(const char *text, size_t len, bool lines, struct pl_buf *out)
{
    int rc = PL_OK;

    for (size_t at = 0, n; rc == PL_OK && at < len; at += n) {
        const bool good = pl_utf8_step(text + at, len - at, &n) == PL_UTF8_GOOD;
        const uint32_t cp = good ? pl_utf8_decode(text + at, n) : 0;

        if (good && lines && (cp == '\n' || cp == '\t'))
            rc = pl_buf_append(out, text + at, n);
        else if (good && cp >= 0xa0 && pl_text_is_unsafe(cp))
            rc = pl_buf_printf(out, "\\u%04x", (unsigned)cp);
        else if (good && !pl_text_is_unsafe(cp))
            rc = pl_buf_append(out, text + at, n);
        else
            for (size_t i = 0; rc == PL_OK && i < n; i++)
                rc = pl_buf_printf(out, "\\x%02x", (unsigned char)text[at + i]);
    }
    return rc;
}
