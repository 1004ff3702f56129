#include "common/link/redis_url.h"

#include "common/base/buf.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { PORT = 6379, PORT_MOST = 65535, DB_MOST = 1 << 20 };

/* Digits alone, at most `most`; -1: it is no such number. */
static int number(const char *text, int most)
{
    char *end;
    const long value = isdigit((unsigned char)text[0]) ? strtol(text, &end, 10) : -1;

    return value >= 0 && value <= most && !*end ? (int)value : -1;
}

/* [USER]:PASSWORD */
static int parse_user(struct pl_redis_url *u, char *at, struct pl_error *err)
{
    char *colon = strchr(at, ':');

    if (!colon)
        return pl_fail(err, PL_EINVAL, "Redis address '%s': 'USER:PASSWORD@' is expected",
                       u->shown);
    *colon = '\0';
    u->user = at;
    u->password = colon + 1;
    return PL_OK;
}

/* HOST[:PORT], or [ADDRESS][:PORT] */
static int parse_host(struct pl_redis_url *u, char *at, struct pl_error *err)
{
    char *close = at[0] == '[' ? strchr(at, ']') : NULL, *colon = strrchr(at, ':');

    u->port = PORT;
    if (at[0] == '[') {
        if (!close || (close[1] && close[1] != ':'))
            return pl_fail(err, PL_EINVAL,
                           "Redis address '%s': '[ADDRESS]' or '[ADDRESS]:PORT' is expected",
                           u->shown);
        colon = close[1] ? close + 1 : NULL;
        *close = '\0';
        at++;
    } else if (colon && memchr(at, ':', (size_t)(colon - at))) {
        return pl_fail(err, PL_EINVAL, "Redis address '%s': an IPv6 address needs brackets",
                       u->shown);
    }
    if (colon) {
        *colon = '\0';
        u->port = number(colon + 1, PORT_MOST);
        if (u->port < 1)
            return pl_fail(err, PL_EINVAL, "Redis address '%s': '%s' is no port", u->shown,
                           colon + 1);
    }
    u->host = at;
    return *at ? PL_OK
               : pl_fail(err, PL_EINVAL, "Redis address '%s': the host is missing", u->shown);
}

/* Behind "redis://" or "rediss://". A password may hold any of "@/:". */
static int parse_tcp(struct pl_redis_url *u, char *at, struct pl_error *err)
{
    char *sign = strrchr(at, '@'), *slash;
    int rc = PL_OK;

    if (sign) {
        *sign = '\0';
        rc = parse_user(u, at, err);
        at = sign + 1;
    }
    if (rc < 0)
        return rc;
    slash = strchr(at, '/');
    if (slash) {
        *slash = '\0';
        u->db = number(slash + 1, DB_MOST);
        if (u->db < 0)
            return pl_fail(err, PL_EINVAL, "Redis address '%s': '%s' is no number of a database",
                           u->shown, slash + 1);
    }
    return parse_host(u, at, err);
}

static char *without_password(const char *text)
{
    const char *sign = strrchr(text, '@'), *scheme = strstr(text, "://");

    if (!sign || strncmp(text, "unix://", 7) == 0)
        return strdup(text);
    if (!scheme)
        return pl_strf("...%s", sign);
    return pl_strf("%.*s...%s", (int)(scheme + 3 - text), text, sign);
}

static int parse(struct pl_redis_url *u, struct pl_error *err)
{
    static const char unix_scheme[] = "unix://", tcp[] = "redis://", tls[] = "rediss://";

    if (strncmp(u->text, unix_scheme, strlen(unix_scheme)) == 0 &&
        u->text[strlen(unix_scheme)] == '/') {
        u->path = u->text + strlen(unix_scheme);
        return PL_OK;
    }
    if (strncmp(u->text, tcp, strlen(tcp)) == 0)
        return parse_tcp(u, u->text + strlen(tcp), err);
    u->tls = strncmp(u->text, tls, strlen(tls)) == 0;
    if (u->tls)
        return parse_tcp(u, u->text + strlen(tls), err);
    u->port = number(u->text, PORT_MOST);
    u->host = "127.0.0.1";
    if (u->port > 0)
        return PL_OK;
    return pl_fail(err, PL_EINVAL,
                   "'%s' is no address of Redis; unix:///PATH, "
                   "redis://[USER:PASSWORD@]HOST[:PORT], rediss://HOST[:PORT] for TLS, or a port "
                   "is expected",
                   u->shown);
}

int pl_redis_url_parse(const char *text, struct pl_redis_url *ret_url, struct pl_error *err)
{
    struct pl_redis_url u = {.shown = without_password(text), .text = strdup(text)};
    const int rc = u.shown && u.text
                       ? parse(&u, err)
                       : pl_fail(err, PL_ENOMEM, "no memory for the address of Redis");

    *ret_url = (struct pl_redis_url){0};
    if (rc < 0)
        pl_redis_url_release(&u);
    else
        *ret_url = u;
    return rc;
}

void pl_redis_url_release(struct pl_redis_url *url)
{
    if (url->password)
        explicit_bzero((char *)url->password, strlen(url->password));
    free(url->text);
    free(url->shown);
    *url = (struct pl_redis_url){0};
}
