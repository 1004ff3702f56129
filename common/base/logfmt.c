#include "common/base/logfmt.h"

#include "common/base/json.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- writing ---- */

struct line {
    char *text;
    size_t len, size; /* size: with the NUL and a closing quote */
    bool quoted, full;
};

/* All of it or nothing, and then nothing more. */
static void put(struct line *l, const char *bytes, size_t n)
{
    if (l->full || l->len + n + 2 > l->size) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, bytes, n);
    l->len += n;
}

/* U+0080 to U+009F, U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069, U+FEFF: they steer
 * a terminal or end a line. */
static bool steers(const unsigned char *p, size_t n)
{
    const uint32_t cp = n == 2   ? (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu)
                        : n == 3 ? (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu)
                                 : 0xA0;

    return cp < 0xA0 || cp == 0x61C || cp == 0x200E || cp == 0x200F ||
           (cp >= 0x2028 && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xFEFF;
}

static void put_hex(struct line *l, unsigned char byte)
{
    char hex[5];

    snprintf(hex, sizeof hex, "\\x%02x", byte);
    put(l, hex, 4);
}

static void put_ascii(struct line *l, char c)
{
    static const char plain[] = "\n\r\t\"\\", named[] = "nrt\"\\";
    const char *at = c ? strchr(plain, c) : NULL;

    if (l->quoted && at)
        put(l, (const char[]){'\\', named[at - plain]}, 2);
    else if ((unsigned char)c < ' ' || c == 0x7F || (!l->quoted && strchr(" \"=\\", c)))
        put_hex(l, (unsigned char)c);
    else
        put(l, &c, 1);
}

static void put_data(struct line *l, const char *text, size_t len)
{
    for (size_t i = 0, n; i < len && !l->full; i += n) {
        n = pl_json_char(text + i, len - i);
        if (n == 1 && (unsigned char)text[i] < 0x80)
            put_ascii(l, text[i]);
        else if (n > 1 && !steers((const unsigned char *)text + i, n))
            put(l, text + i, n);
        else if (n > 1) /* all of it, or a part would be read as something else */
            for (size_t k = 0; k < n; k++)
                put_hex(l, (unsigned char)text[i + k]);
        else
            put_hex(l, (unsigned char)text[i]);
        n = n ? n : 1;
    }
}

/* A conversion: "%" flags width precision, then length and letter apart. */
struct conversion {
    char spec[32]; /* without length and letter */
    size_t precision;
    bool has_precision;
    char length; /* 'H' is hh, 'q' ll, 0 none */
    char letter;
};

/* A number that stands there or is given as an argument, into the spec. */
static const char *read_number(const char *at, struct conversion *c, size_t *ret, va_list *ap)
{
    int n = 0;

    if (*at == '*') {
        n = va_arg(*ap, int);
        at++;
    } else {
        while (isdigit((unsigned char)*at) && n < 1000)
            n = 10 * n + (*at++ - '0');
    }
    n = n < 0 ? 0 : n > 200 ? 200 : n;
    if (n > 0 || ret)
        snprintf(c->spec + strlen(c->spec), sizeof c->spec - strlen(c->spec), "%d", n);
    if (ret)
        *ret = (size_t)n;
    return at;
}

/* Behind the '%'; what it needs of the arguments besides its value is taken. */
static const char *read_conversion(const char *at, struct conversion *c, va_list *ap)
{
    size_t flags = strspn(at, "-+ #0");

    memset(c, 0, sizeof *c);
    flags = flags < 8 ? flags : 8;
    snprintf(c->spec, sizeof c->spec, "%%%.*s", (int)flags, at);
    at = read_number(at + flags, c, NULL, ap);
    if (*at == '.') {
        strcat(c->spec, ".");
        c->has_precision = true;
        at = read_number(at + 1, c, &c->precision, ap);
    }
    if (*at && strchr("hlzjt", *at)) {
        c->length = *at++;
        if ((c->length == 'h' || c->length == 'l') && *at == c->length) {
            c->length = c->length == 'h' ? 'H' : 'q';
            at++;
        }
    }
    c->letter = *at;
    return *at ? at + 1 : at;
}

static intmax_t signed_arg(char length, va_list *ap)
{
    switch (length) {
    case 'H':
        return (signed char)va_arg(*ap, int);
    case 'h':
        return (short)va_arg(*ap, int);
    case 'l':
        return va_arg(*ap, long);
    case 'q':
        return va_arg(*ap, long long);
    case 'z':
    case 't':
        return va_arg(*ap, ptrdiff_t);
    case 'j':
        return va_arg(*ap, intmax_t);
    default:
        return va_arg(*ap, int);
    }
}

static uintmax_t unsigned_arg(char length, va_list *ap)
{
    switch (length) {
    case 'H':
        return (unsigned char)va_arg(*ap, unsigned);
    case 'h':
        return (unsigned short)va_arg(*ap, unsigned);
    case 'l':
        return va_arg(*ap, unsigned long);
    case 'q':
        return va_arg(*ap, unsigned long long);
    case 'z':
    case 't':
        return va_arg(*ap, size_t);
    case 'j':
        return va_arg(*ap, uintmax_t);
    default:
        return va_arg(*ap, unsigned);
    }
}

/* The compiler checks formats where lines are written; here they come in pieces. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

/* false: it is none that is known, and the arguments cannot be gone on with. */
static bool put_value(struct line *l, struct conversion *c, va_list *ap)
{
    char number[600], *end = c->spec + strlen(c->spec);
    const char *text;
    int n = 0;

    if (c->letter == 's') {
        text = va_arg(*ap, const char *);
        text = text ? text : "(null)";
        put_data(l, text, c->has_precision ? strnlen(text, c->precision) : strlen(text));
        return true;
    }
    if (c->letter && strchr("di", c->letter)) {
        memcpy(end, (const char[]){'j', c->letter, '\0'}, 3);
        n = snprintf(number, sizeof number, c->spec, signed_arg(c->length, ap));
    } else if (c->letter && strchr("uxXo", c->letter)) {
        memcpy(end, (const char[]){'j', c->letter, '\0'}, 3);
        n = snprintf(number, sizeof number, c->spec, unsigned_arg(c->length, ap));
    } else if (c->letter && strchr("eEfFgGaA", c->letter)) {
        memcpy(end, (const char[]){c->letter, '\0'}, 2);
        n = snprintf(number, sizeof number, c->spec, va_arg(*ap, double));
    } else if (c->letter == 'p') {
        n = snprintf(number, sizeof number, "%p", va_arg(*ap, void *));
    } else if (c->letter == 'c') {
        number[0] = (char)va_arg(*ap, int);
        put_data(l, number, 1);
        return true;
    } else if (c->letter == '%') {
        n = snprintf(number, sizeof number, "%%");
    } else {
        return false;
    }
    put(l, number, n > 0 && (size_t)n < sizeof number ? (size_t)n : 0);
    return true;
}

#pragma GCC diagnostic pop

size_t pl_logfmt_vprint(char *text, size_t size, const char *fmt, va_list ap)
{
    struct line l = {.text = text, .size = size};
    bool known = true;
    va_list rest;

    va_copy(rest, ap);
    while (known && *fmt && !l.full) {
        struct conversion c;

        if (*fmt != '%') {
            put(&l, fmt, 1);
            l.quoted ^= *fmt == '"' && !l.full;
            fmt++;
            continue;
        }
        fmt = read_conversion(fmt + 1, &c, &rest);
        known = put_value(&l, &c, &rest);
    }
    va_end(rest);
    if (l.quoted)
        text[l.len++] = '"';
    text[l.len] = '\0';
    return l.len;
}

size_t pl_logfmt_print(char *text, size_t size, const char *fmt, ...)
{
    va_list ap;
    size_t len;

    va_start(ap, fmt);
    len = pl_logfmt_vprint(text, size, fmt, ap);
    va_end(ap);
    return len;
}

/* ---- reading ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool pl_logfmt_next(const char **at, struct pl_logfmt_field *ret_field)
{
    struct pl_logfmt_field f = {0};
    const char *p = *at;

    while (is_blank(*p))
        p++;
    if (!*p)
        return false;
    f.key = f.value = p;
    while (*p && !is_blank(*p) && *p != '=' && *p != '"')
        p++;
    if (*p == '=') {
        f.key_len = (size_t)(p - f.key);
        f.value = ++p;
    }
    f.quoted = f.key_len > 0 && *p == '"';
    if (f.quoted) {
        f.value = ++p;
        while (*p && *p != '"')
            p += p[0] == '\\' && p[1] ? 2 : 1;
    } else {
        while (*p && !is_blank(*p))
            p++;
    }
    f.value_len = (size_t)(p - f.value);
    *at = f.quoted && *p ? p + 1 : p;
    *ret_field = f;
    return true;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t pl_logfmt_value(const struct pl_logfmt_field *field, char *text, size_t size)
{
    static const char names[] = "nrt\"\\", plain[] = "\n\r\t\"\\";
    const char *v = field->value;
    size_t len = 0;

    for (size_t i = 0; i < field->value_len && len + 1 < size; i++) {
        const char *name =
            v[i] == '\\' && i + 1 < field->value_len && v[i + 1] ? strchr(names, v[i + 1]) : NULL;

        if (name && *name) {
            text[len++] = plain[name - names];
            i++;
        } else if (v[i] == '\\' && i + 3 < field->value_len && v[i + 1] == 'x' &&
                   hex(v[i + 2]) >= 0 && hex(v[i + 3]) >= 0) {
            text[len++] = (char)(hex(v[i + 2]) << 4 | hex(v[i + 3]));
            i += 3;
        } else {
            text[len++] = v[i];
        }
    }
    if (size > 0)
        text[len] = '\0';
    return len;
}

/* Digits from `at` on: how many. */
static size_t digits(const char *at, size_t len)
{
    size_t n = 0;

    while (n < len && isdigit((unsigned char)at[n]))
        n++;
    return n;
}

bool pl_logfmt_is_number(const struct pl_logfmt_field *field)
{
    const char *v = field->value, *end = v + field->value_len;
    size_t n;

    if (field->quoted || field->key_len == 0 || field->value_len > 40)
        return false;
    v += v < end && *v == '-';
    n = digits(v, (size_t)(end - v));
    if (n == 0 || n > 15 || (n > 1 && *v == '0'))
        return false;
    v += n;
    if (v < end && *v == '.') {
        n = digits(v + 1, (size_t)(end - v - 1));
        if (n == 0)
            return false;
        v += 1 + n;
    }
    if (v < end && (*v == 'e' || *v == 'E')) {
        v++;
        v += v < end && (*v == '+' || *v == '-');
        n = digits(v, (size_t)(end - v));
        if (n == 0 || n > 2)
            return false;
        v += n;
    }
    return v == end;
}
