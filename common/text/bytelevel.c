#include "common/text/bytelevel.h"

#include "common/base/err.h"
#include "common/text/utf8.h"

static bool printable(unsigned c)
{
    return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF);
}

/* The others are 0x00-0x20, 0x7F-0xA0 and 0xAD: 33, 34 and 1 of them. */
uint32_t pl_bytelevel_char(unsigned char byte)
{
    if (printable(byte))
        return byte;
    if (byte <= 0x20)
        return 0x100u + byte;
    return byte == 0xAD ? 0x100u + 67 : 0x100u + 33 + (byte - 0x7Fu);
}

int pl_bytelevel_byte(uint32_t cp)
{
    if (cp < 0x100)
        return printable(cp) ? (int)cp : -1;
    cp -= 0x100;
    if (cp < 33)
        return (int)cp;
    if (cp < 67)
        return (int)(cp - 33 + 0x7F);
    return cp == 67 ? 0xAD : -1;
}

int pl_bytelevel_write(const char *bytes, size_t len, struct pl_buf *out)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < len; i++) {
        char utf8[4];
        const size_t n = pl_utf8_put(pl_bytelevel_char((unsigned char)bytes[i]), utf8);

        rc = pl_buf_append(out, utf8, n);
    }
    return rc;
}

int pl_bytelevel_read(const char *text, size_t len, struct pl_buf *out, bool *ret_all)
{
    const size_t before = out->len;
    int rc = PL_OK;

    *ret_all = true;
    for (size_t at = 0, n; rc == PL_OK && at < len; at += n) {
        int byte;
        char c;

        pl_utf8_step(text + at, len - at, &n);
        byte = pl_bytelevel_byte(pl_utf8_decode(text + at, n));
        if (byte < 0) {
            *ret_all = false;
            break;
        }
        c = (char)byte;
        rc = pl_buf_append(out, &c, 1);
    }
    if ((rc < 0 || !*ret_all) && out->data) {
        out->len = before;
        out->data[before] = '\0';
    }
    return rc;
}
