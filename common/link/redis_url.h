/*
 * Where Redis is: what a person writes, taken apart.
 *
 *   unix:///PATH
 *   redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]     plain
 *   rediss://[[USER]:PASSWORD@]HOST[:PORT][/DB]    over TLS
 *   PORT                                           of this machine, plain
 *
 * HOST is a name, an IPv4 address, or an IPv6 address in brackets.
 */
#ifndef PL_LINK_REDIS_URL_H
#define PL_LINK_REDIS_URL_H

#include "common/base/err.h"

#include <stdbool.h>

struct pl_redis_url {
    const char *path;            /* of a socket; NULL: host and port */
    const char *host;            /* without brackets */
    const char *user, *password; /* NULL: none; the user may be "" */
    int port, db;
    bool tls;
    char *shown; /* without the password, for people */
    char *text;  /* all of the above lie in it */
};

/* Ended with pl_redis_url_release(). PL_EINVAL: it is none, with a sentence that does not tell a
 * password; PL_ENOMEM. On failure *ret_url holds nothing. */
int pl_redis_url_parse(const char *text, struct pl_redis_url *ret_url, struct pl_error *err);
void pl_redis_url_release(struct pl_redis_url *url); /* zeroed is fine */

#endif
