#include "common/app/http.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

enum {
    HEAD_BYTES_MAX = 8192,
    BODY_BYTES_MAX = 8 << 20,
    BACKLOG = 64,
    HOST_BYTES = 256,
    /* Connections that were ended count until their threads had a processor; at this limit MHD
     * turns away whoever comes next, and on a busy machine twice as many as may be open were not
     * enough for a hundred silent ones. */
    CLOSING_MAX = 16 * PL_HTTP_CONNECTIONS,
};

struct pl_http {
    struct pl_http_opts opts;
    struct MHD_Daemon *daemon;
    char address[HOST_BYTES + 16];
    pthread_mutex_t lock;
    int open[PL_HTTP_CONNECTIONS]; /* oldest first */
    size_t open_count;
};

/* ---- where to listen ---- */

struct place {
    char host[HOST_BYTES];
    unsigned first, last; /* ports */
};

static bool read_port(const char **at, unsigned *ret_port)
{
    char *end;
    unsigned long port;

    if (**at < '0' || **at > '9')
        return false;
    port = strtoul(*at, &end, 10);
    *at = end;
    *ret_port = (unsigned)port;
    return port <= 65535;
}

static int read_place(const char *listen, struct place *ret_place, struct pl_error *err)
{
    const char *colon = strrchr(listen, ':'), *at = colon ? colon + 1 : "";
    size_t len = colon ? (size_t)(colon - listen) : 0;
    const bool brackets = len > 2 && listen[0] == '[' && listen[len - 1] == ']';
    bool good = len > 0 && read_port(&at, &ret_place->first);

    ret_place->last = ret_place->first;
    if (good && *at == '-') {
        at++;
        good = read_port(&at, &ret_place->last) && ret_place->first > 0 &&
               ret_place->first <= ret_place->last;
    }
    good = good && !*at && len < sizeof ret_place->host &&
           (brackets ||
            (!memchr(listen, ':', len) && listen[0] != '[')); /* an IPv6 address goes in brackets */
    if (!good)
        return pl_fail(err, PL_EINVAL,
                       "'%s' is no address to listen on; HOST:PORT or HOST:PORT-PORT is expected, "
                       "such as 127.0.0.1:9640 or [::1]:9640-9699",
                       listen);
    if (brackets)
        listen++, len -= 2;
    memcpy(ret_place->host, listen, len);
    ret_place->host[len] = '\0';
    return PL_OK;
}

/* -1: not this one, with errno. */
static int listen_on(const struct addrinfo *a)
{
    const int one = 1, fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    close(fd);
    return -1;
}

/* A socket on the first port that is free. */
static int open_socket(const struct place *place, const char *listen, int *ret_fd,
                       struct pl_error *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};

    for (unsigned port = place->first; port <= place->last; port++) {
        struct addrinfo *list = NULL;
        char service[8];
        int rc, fd = -1, met;

        snprintf(service, sizeof service, "%u", port);
        rc = getaddrinfo(place->host, service, &hints, &list);
        if (rc != 0)
            return pl_fail(err, PL_EIO, "'%s': the host cannot be listened on: %s", listen,
                           gai_strerror(rc));
        for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
            fd = listen_on(a);
        met = errno;
        freeaddrinfo(list);
        if (fd >= 0) {
            *ret_fd = fd;
            return PL_OK;
        }
        errno = met;
        if (errno != EADDRINUSE)
            return pl_fail_errno(err, "listen on port %u of '%s'", port, place->host);
    }
    return pl_fail(err, PL_EIO, "'%s': %s in use by other programs; give another port, or a range",
                   listen, place->first == place->last ? "the port is" : "all of the ports are");
}

static void note_address(struct pl_http *h, int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    char host[HOST_BYTES], port[8];

    if (getsockname(fd, (struct sockaddr *)&at, &len) == 0 &&
        getnameinfo((struct sockaddr *)&at, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(h->address, sizeof h->address, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host,
                 port);
}

/* ---- connections ---- */

/* Behind MHD's list: it closes the socket only after it said so here. */
static void note_connection(void *at, struct MHD_Connection *connection, void **kept,
                            enum MHD_ConnectionNotificationCode what)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pl_http *h = at;
    size_t i = 0;

    (void)kept;
    pthread_mutex_lock(&h->lock);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        if (h->open_count == PL_HTTP_CONNECTIONS) {
            (void)shutdown(h->open[0], SHUT_RDWR);
            memmove(h->open, h->open + 1, --h->open_count * sizeof *h->open);
        }
        h->open[h->open_count++] = info->connect_fd;
    } else {
        while (i < h->open_count && h->open[i] != info->connect_fd)
            i++;
        if (i < h->open_count)
            memmove(h->open + i, h->open + i + 1, (--h->open_count - i) * sizeof *h->open);
    }
    pthread_mutex_unlock(&h->lock);
}

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status, const char *type,
                             const void *body, size_t len)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(len, (void *)body, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result;

    if (!r)
        return MHD_NO;
    result = MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) &&
                     MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") &&
                     MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close") &&
                     (status != MHD_HTTP_METHOD_NOT_ALLOWED ||
                      MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD"))
                 ? MHD_queue_response(connection, status, r)
                 : MHD_NO;
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result say(struct MHD_Connection *connection, unsigned status, const char *text)
{
    return reply(connection, status, "text/plain; charset=utf-8", text, strlen(text));
}

static enum MHD_Result handle(void *at, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **kept)
{
    struct pl_http *h = at;
    struct pl_http_answer answer = {.status = MHD_HTTP_OK, .type = "text/plain; charset=utf-8"};
    enum MHD_Result result;

    (void)version, (void)upload, (void)upload_size, (void)kept;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return say(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
    pl_buf_init(&answer.body, BODY_BYTES_MAX);
    result = h->opts.answer(h->opts.at, url, &answer)
                 ? reply(connection, answer.status, answer.type,
                         answer.body.data ? answer.body.data : "", answer.body.len)
                 : say(connection, MHD_HTTP_NOT_FOUND, "there is nothing at this path\n");
    pl_buf_release(&answer.body);
    return result;
}

/* ---- from start to end ---- */

/* Signals are for the program's own threads. */
static struct MHD_Daemon *start(struct pl_http *h, int fd)
{
    struct MHD_Daemon *daemon;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
            MHD_USE_ITC,
        0, NULL, NULL, handle, h, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(PL_HTTP_CONNECTIONS + CLOSING_MAX), MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)PL_HTTP_SILENT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES_MAX,
        MHD_OPTION_NOTIFY_CONNECTION, note_connection, h, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}

int pl_http_create(const struct pl_http_opts *opts, struct pl_http **ret_http, struct pl_error *err)
{
    struct pl_http *h = calloc(1, sizeof *h);
    struct place place;
    int fd = -1, rc;

    if (!h)
        return pl_fail(err, PL_ENOMEM, "no memory for the HTTP server");
    h->opts = *opts;
    pthread_mutex_init(&h->lock, NULL);
    rc = read_place(opts->listen, &place, err);
    if (rc == PL_OK)
        rc = open_socket(&place, opts->listen, &fd, err);
    if (rc == PL_OK) {
        note_address(h, fd);
        h->daemon = start(h, fd);
        if (!h->daemon) {
            close(fd);
            rc = pl_fail(err, PL_EIO, "'%s': the HTTP server does not start", opts->listen);
        }
    }
    if (rc < 0) {
        pl_http_destroy(h);
        return rc;
    }
    *ret_http = h;
    return PL_OK;
}

void pl_http_destroy(struct pl_http *http)
{
    if (!http)
        return;
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    pthread_mutex_destroy(&http->lock);
    free(http);
}

const char *pl_http_address(const struct pl_http *http)
{
    return http->address;
}
