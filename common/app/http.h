/*
 * A small HTTP server for what looks at this process: GET and HEAD of a few paths, answered whole
 * from memory. It keeps nothing between requests and closes each connection behind its answer.
 *
 * It has a thread that waits, and one for each connection, so that an answer that takes long does
 * not keep others waiting. At most PL_HTTP_CONNECTIONS are open: one more ends the oldest of them,
 * so that clients which send nothing, or a byte now and then, keep nobody out. A connection that is
 * silent for PL_HTTP_SILENT_S ends; a request's head has a few kilobytes of room.
 */
#ifndef PL_APP_HTTP_H
#define PL_APP_HTTP_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>

enum { PL_HTTP_CONNECTIONS = 16, PL_HTTP_SILENT_S = 10 };

struct pl_http_answer {
    unsigned status;  /* 200 */
    const char *type; /* "text/plain; charset=utf-8", which it is where nothing is said */
    struct pl_buf body;
};

struct pl_http_opts {
    /*
     * HOST:PORT, or HOST:PORT-PORT for the first of these ports that is free; port 0: any. HOST is
     * a name or an address, an IPv6 one in brackets: [::1]:9640. Given, not copied.
     */
    const char *listen;
    /* Fills in the answer for `path`, which has no query; false: there is no such path. Called by
     * several threads. */
    bool (*answer)(void *at, const char *path, struct pl_http_answer *answer);
    void *at;
};

struct pl_http;

/* PL_EINVAL: `listen` is no such address. PL_EIO: it cannot be bound, or all of its ports are in
 * use. PL_ENOMEM. Ended with pl_http_destroy(), which waits for answers that are under way. */
int pl_http_create(const struct pl_http_opts *opts, struct pl_http **ret_http,
                   struct pl_error *err);
void pl_http_destroy(struct pl_http *http); /* NULL is fine */

/* Where it listens, "127.0.0.1:9641"; borrowed. */
const char *pl_http_address(const struct pl_http *http);

#endif
