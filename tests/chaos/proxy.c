#include "tests/chaos/proxy.h"

#include "common/base/rng.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS_MAX = 256, PIECE_MAX = 16384, HELD_MAX = 1 << 20 };

const char *const pl_net_names[PL_NETS] = {"open",       "delay",    "throttle", "hold",   "reset",
                                           "half-close", "truncate", "corrupt",  "reorder"};

struct order {
    int link, net;
    unsigned amount;
};

/* Bytes on their way. */
struct piece {
    struct piece *next;
    double due_s;
    size_t len, at;
    unsigned char bytes[PIECE_MAX];
};

struct flow { /* one direction of a connection */
    struct piece *first, *last;
    size_t held;
    bool ended, shut; /* nothing more comes; and the other side knows */
};

struct pair {
    int fds[2]; /* the client's, the target's; -1: there is no such pair */
    size_t link;
    struct flow flows[2]; /* from fds[i] to the other */
};

struct link {
    int listening;
    char target[108];
    enum pl_net mode; /* open, delay, throttle or hold */
    unsigned amount;
    unsigned once[PL_NETS]; /* to be done to the next pieces */
};

static struct { /* of the process that is the proxy */
    struct link links[PL_PROXY_LINKS];
    size_t count;
    struct pair pairs[PAIRS_MAX];
    struct pl_rng rng;
    uint32_t drawn;
    volatile uint64_t *counts;
} all;

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t below(uint64_t limit)
{
    return pl_rng_below(&all.rng, all.drawn++, limit);
}

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* ---- connections ---- */

static void pair_close(struct pair *p, bool reset)
{
    const struct linger at_once = {1, 0};

    if (reset)
        setsockopt(p->fds[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    for (size_t i = 0; i < 2; i++) {
        close(p->fds[i]);
        while (p->flows[i].first) {
            struct piece *piece = p->flows[i].first;

            p->flows[i].first = piece->next;
            free(piece);
        }
    }
    *p = (struct pair){.fds = {-1, -1}};
}

static int connect_to(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0) {
        set_nonblocking(fd);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static void take_connection(size_t link)
{
    const struct linger at_once = {1, 0};
    const int on = 1, fd = accept4(all.links[link].listening, NULL, NULL, SOCK_CLOEXEC);
    struct pair *p = NULL;
    int target;

    if (fd < 0)
        return;
    for (size_t i = 0; i < PAIRS_MAX && !p; i++)
        if (all.pairs[i].fds[0] < 0)
            p = &all.pairs[i];
    target = p ? connect_to(all.links[link].target) : -1;
    if (target < 0) { /* as a port that nobody listens at */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
        return;
    }
    set_nonblocking(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *p = (struct pair){.fds = {fd, target}, .link = link};
}

static bool spend(struct link *l, enum pl_net net)
{
    if (l->once[net] == 0)
        return false;
    l->once[net]--;
    all.counts[net]++;
    return true;
}

/* What the link does to a piece; false: its connection ends with it. */
static bool spoil(struct link *l, struct piece *piece)
{
    if (spend(l, PL_NET_CORRUPT))
        piece->bytes[below(piece->len)] ^= (unsigned char)(1u << below(8));
    if (piece->len > 1 && spend(l, PL_NET_REORDER)) {
        const size_t half = piece->len / 2;
        unsigned char kept[PIECE_MAX];

        memcpy(kept, piece->bytes, half);
        memmove(piece->bytes, piece->bytes + half, piece->len - half);
        memcpy(piece->bytes + piece->len - half, kept, half);
    }
    if (spend(l, PL_NET_TRUNCATE)) {
        piece->len = below(piece->len);
        return false;
    }
    return true;
}

static void take_bytes(struct pair *p, size_t side)
{
    struct link *l = &all.links[p->link];
    struct flow *f = &p->flows[side];
    struct piece *piece = malloc(sizeof *piece);
    const double now = seconds(), after = f->last ? f->last->due_s : now;
    ssize_t n;

    if (!piece)
        return;
    n = read(p->fds[side], piece->bytes, sizeof piece->bytes);
    if (n <= 0) {
        f->ended = f->ended || n == 0 || (errno != EAGAIN && errno != EINTR);
        free(piece);
        return;
    }
    piece->next = NULL;
    piece->at = 0;
    piece->len = (size_t)n;
    piece->due_s = now;
    if (l->mode == PL_NET_DELAY && l->amount > 0)
        piece->due_s = now + 1e-3 * (l->amount + (double)below(l->amount));
    if (l->mode == PL_NET_THROTTLE)
        piece->due_s = (after > now ? after : now) + (double)n / (l->amount + 1.0);
    if (piece->due_s < after)
        piece->due_s = after;
    if (l->mode == PL_NET_DELAY || l->mode == PL_NET_THROTTLE)
        all.counts[l->mode]++;
    f->ended = f->ended || !spoil(l, piece);
    f->held += piece->len;
    if (f->last)
        f->last->next = piece;
    else
        f->first = piece;
    f->last = piece;
}

/* What is due of a direction; false: the connection is no more. */
static bool pass_on(struct pair *p, size_t side, double now)
{
    struct flow *f = &p->flows[side];

    while (f->first && f->first->due_s <= now) {
        struct piece *piece = f->first;
        const ssize_t n = send(p->fds[!side], piece->bytes + piece->at, piece->len - piece->at,
                               MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN && errno != EINTR && piece->len > piece->at)
            return false;
        if (n < 0 && piece->len > piece->at)
            return true;
        piece->at += n > 0 ? (size_t)n : 0;
        f->held -= n > 0 ? (size_t)n : 0;
        if (piece->at < piece->len)
            return true;
        f->first = piece->next;
        f->last = f->first ? f->last : NULL;
        free(piece);
    }
    if (f->ended && !f->first && !f->shut) {
        shutdown(p->fds[!side], SHUT_WR);
        f->shut = true;
    }
    return !(p->flows[0].shut && p->flows[1].shut);
}

/* ---- orders ---- */

static void obey(const struct order *o)
{
    struct link *l = &all.links[o->link];

    switch ((enum pl_net)o->net) {
    case PL_NET_OPEN:
    case PL_NET_DELAY:
    case PL_NET_THROTTLE:
    case PL_NET_HOLD:
        l->mode = (enum pl_net)o->net;
        l->amount = o->amount;
        all.counts[o->net] += o->net == PL_NET_HOLD;
        break;
    case PL_NET_RESET:
    case PL_NET_HALF:
        for (size_t i = 0; i < PAIRS_MAX; i++) {
            struct pair *p = &all.pairs[i];

            if (p->fds[0] < 0 || p->link != (size_t)o->link)
                continue;
            all.counts[o->net]++;
            if (o->net == PL_NET_RESET)
                pair_close(p, true);
            else
                p->flows[below(2)].ended = true;
        }
        break;
    default:
        l->once[o->net] += o->amount;
    }
}

/* ---- the loop ---- */

static void serve(int control)
{
    static struct pollfd fds[PL_PROXY_LINKS + 2 * PAIRS_MAX + 1];
    static struct pair *of[PL_PROXY_LINKS + 2 * PAIRS_MAX + 1];
    struct order order;

    for (;;) {
        const double now = seconds();
        size_t n = 0;
        double next = now + 1.0;

        fds[n++] = (struct pollfd){.fd = control, .events = POLLIN};
        for (size_t i = 0; i < all.count; i++, n++)
            fds[n] = (struct pollfd){.fd = all.links[i].listening,
                                     .events = all.links[i].mode == PL_NET_HOLD ? 0 : POLLIN};
        for (size_t i = 0; i < PAIRS_MAX; i++) {
            struct pair *p = &all.pairs[i];
            const bool hold = p->fds[0] >= 0 && all.links[p->link].mode == PL_NET_HOLD;

            for (size_t side = 0; p->fds[0] >= 0 && side < 2; side++) {
                const struct flow *in = &p->flows[side], *out = &p->flows[!side];
                short events = 0;

                if (!hold && !in->ended && in->held < HELD_MAX)
                    events |= POLLIN;
                if (!hold && out->first && out->first->due_s <= now)
                    events |= POLLOUT;
                if (!hold && out->first && out->first->due_s < next)
                    next = out->first->due_s;
                of[n] = p;
                fds[n++] = (struct pollfd){.fd = events ? p->fds[side] : -1, .events = events};
            }
        }
        poll(fds, n, next > now ? (int)((next - now) * 1000.0) + 1 : 1);
        if (fds[0].revents) {
            if (recv(control, &order, sizeof order, 0) != sizeof order)
                _exit(0);
            obey(&order);
            continue; /* pairs may have gone */
        }
        for (size_t i = 1 + all.count; i < n; i++)
            if ((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) && (fds[i].events & POLLIN))
                take_bytes(of[i], of[i]->fds[1] == fds[i].fd);
        for (size_t i = 0; i < PAIRS_MAX; i++) {
            struct pair *p = &all.pairs[i];

            for (size_t side = 0; side < 2 && p->fds[0] >= 0; side++)
                if (all.links[p->link].mode != PL_NET_HOLD && !pass_on(p, side, seconds()))
                    pair_close(p, false);
        }
        for (size_t i = 0; i < all.count; i++)
            if (fds[1 + i].revents & POLLIN)
                take_connection(i);
    }
}

static int listen_at(int *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0) {
        close(fd);
        return -1;
    }
    *ret_port = ntohs(at.sin_port);
    return fd;
}

int pl_proxy_start(struct pl_proxy *proxy, const char *const *targets, size_t links, uint64_t seed,
                   struct pl_error *err)
{
    int ends[2];
    void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    *proxy = (struct pl_proxy){.links = links};
    if (shared == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return pl_fail_errno(err, "start the proxy");
    proxy->counts = shared;
    memset(&all, 0, sizeof all);
    all.count = links;
    all.counts = shared;
    all.rng = (struct pl_rng){.seed = seed, .batch = (uint32_t)PL_RNG_TEST, .prompt = 1};
    for (size_t i = 0; i < PAIRS_MAX; i++)
        all.pairs[i].fds[0] = -1;
    for (size_t i = 0; i < links; i++) {
        snprintf(all.links[i].target, sizeof all.links[i].target, "%s", targets[i]);
        all.links[i].listening = listen_at(&proxy->ports[i]);
        if (all.links[i].listening < 0)
            return pl_fail_errno(err, "listen for the proxy");
    }
    proxy->pid = fork();
    if (proxy->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        serve(ends[1]);
    }
    close(ends[1]);
    for (size_t i = 0; i < links; i++)
        close(all.links[i].listening);
    proxy->control = ends[0];
    return proxy->pid > 0 ? PL_OK : pl_fail_errno(err, "start the proxy");
}

void pl_proxy_set(struct pl_proxy *proxy, size_t link, enum pl_net net, unsigned amount)
{
    const struct order order = {(int)link, net, amount};

    (void)send(proxy->control, &order, sizeof order, MSG_NOSIGNAL);
}

void pl_proxy_stop(struct pl_proxy *proxy)
{
    if (proxy->pid > 0) {
        kill(proxy->pid, SIGKILL);
        waitpid(proxy->pid, NULL, 0);
        close(proxy->control);
        munmap((void *)proxy->counts, 4096);
    }
    *proxy = (struct pl_proxy){0};
}
