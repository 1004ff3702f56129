#include "common/base/failpoint.h"

#ifdef PL_FAILPOINTS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { ORDERS_MAX = 64 };

enum action { ACTION_NONE, ACTION_KILL, ACTION_ERROR, ACTION_FULL, ACTION_STALL };

/* What is to happen at a point. */
struct order {
    char name[PL_FAILPOINT_NAME];
    enum action action;
    uint64_t at;
    bool onwards;
};

static struct {
    pthread_once_t once;
    pthread_mutex_t lock; /* of slots that are looked for */
    struct order orders[ORDERS_MAX];
    size_t count;
    struct pl_failpoint_slot *shared;         /* NULL: nobody counts */
    _Atomic uint64_t own[PL_FAILPOINT_SLOTS]; /* hits of this process, by order */
} points = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

static enum action action_of(const char *word)
{
    static const char *const words[] = {"", "kill", "error", "full", "stall"};

    for (size_t i = ACTION_KILL; i <= ACTION_STALL; i++)
        if (strcmp(word, words[i]) == 0)
            return (enum action)i;
    return ACTION_NONE;
}

/* A test that misspells what it orders would pass for the wrong reason: it ends here. */
static void read_order(const char *text)
{
    struct order *o = &points.orders[points.count];
    unsigned long long at = 0;
    char action[16] = "", plus = '\0';

    if (points.count == ORDERS_MAX ||
        sscanf(text, "%47[^=]=%15[a-z]@%llu%c", o->name, action, &at, &plus) < 3 || at == 0 ||
        (plus != '\0' && plus != '+') || action_of(action) == ACTION_NONE) {
        fprintf(stderr, "PLAIT_FAILPOINTS: '%s' is not NAME=kill|error|full|stall@N\n", text);
        abort();
    }
    o->action = action_of(action);
    o->at = at;
    o->onwards = plus == '+';
    points.count++;
}

static void read_environment(void)
{
    const char *orders = getenv("PLAIT_FAILPOINTS"), *path = getenv("PLAIT_FAILPOINTS_FILE");
    const size_t len = PL_FAILPOINT_SLOTS * sizeof(struct pl_failpoint_slot);
    char *copy = orders ? strdup(orders) : NULL, *rest = copy, *text;
    void *map;
    int fd;

    while ((text = strsep(&rest, ",")) != NULL)
        if (text[0])
            read_order(text);
    free(copy);
    if (!path || !path[0])
        return;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, (off_t)len) < 0) {
        fprintf(stderr, "PLAIT_FAILPOINTS_FILE: '%s': %s\n", path, strerror(errno));
        abort();
    }
    map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        points.shared = map;
}

/* The slot of a name, which processes look for side by side; NULL: there is none left. */
static struct pl_failpoint_slot *slot_of(const char *name)
{
    for (size_t i = 0; points.shared && i < PL_FAILPOINT_SLOTS; i++) {
        struct pl_failpoint_slot *s = &points.shared[i];
        uint32_t is = 0;

        if (atomic_load(&s->state) == 0 && atomic_compare_exchange_strong(&s->state, &is, 1)) {
            snprintf(s->name, sizeof s->name, "%s", name);
            atomic_store(&s->state, 2);
        }
        /* One that names it may be killed between the two: it is waited for a little only. */
        for (int spin = 0; atomic_load(&s->state) == 1 && spin < 1000; spin++) {
            const struct timespec pause = {0, 10000};

            nanosleep(&pause, NULL);
        }
        if (atomic_load(&s->state) == 2 && strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

static bool act(enum action action)
{
    const struct timespec pause = {1, 0};

    if (action == ACTION_KILL)
        raise(SIGKILL);
    if (action == ACTION_STALL)
        nanosleep(&pause, NULL);
    errno = action == ACTION_FULL ? ENOSPC : EIO;
    return action == ACTION_ERROR || action == ACTION_FULL;
}

bool pl_failpoint(const char *name)
{
    struct pl_failpoint_slot *slot;
    enum action action = ACTION_NONE;

    pthread_once(&points.once, read_environment);
    if (!points.shared && points.count == 0)
        return false;
    pthread_mutex_lock(&points.lock);
    slot = slot_of(name);
    pthread_mutex_unlock(&points.lock);
    for (size_t i = 0; i < points.count && action == ACTION_NONE; i++) {
        const struct order *o = &points.orders[i];
        uint64_t hits;

        if (strcmp(o->name, name) != 0)
            continue;
        hits = atomic_fetch_add(&points.own[i], 1) + 1;
        if (hits == o->at || (o->onwards && hits > o->at))
            action = o->action;
    }
    if (slot) {
        atomic_fetch_add(&slot->hits, 1);
        atomic_fetch_add(&slot->fired, action != ACTION_NONE);
    }
    return action != ACTION_NONE && act(action);
}

bool pl_failpoint_of(const char *what, const char *when)
{
    char name[PL_FAILPOINT_NAME];

    snprintf(name, sizeof name, "%s.%s", what, when);
    return pl_failpoint(name);
}

#endif
